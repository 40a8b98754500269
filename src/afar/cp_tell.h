/* What `afar cp` says of each file: lines for a person, or JSON.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  as long as standard output and error do.
 * Limits:  none. */
#ifndef AFAR_CP_TELL_H
#define AFAR_CP_TELL_H

#include "copy/copy.h"

struct cp_tell {
    bool json;
    bool verbose;
    bool silent; /* the reason of what fails has been told: the connection ended, an interrupt */
};

/* The hosts' names as the user wrote them; NULL: here. */
void cp_tell_result(const struct cp_tell *tell, const struct copy_result *result,
                    const char *source_host, const char *target_host);

/* The last line, or object. */
void cp_tell_total(const struct cp_tell *tell, const struct copy_counts *counts, int64_t ms,
                   int status);

/* "1.2 GiB" */
void cp_format_bytes(uint64_t bytes, char *text, size_t size);

#endif
