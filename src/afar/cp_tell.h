/* Reports what became of each file: lines for people, or JSON.
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
    bool silent; /* why all remaining files fail was reported: connection lost, interrupt */
};

/* Reports one file. The hosts are as the user wrote them; NULL: local. */
void cp_tell_result(const struct cp_tell *tell, const struct copy_result *result,
                    const char *source_host, const char *target_host);

/* Writes the last line, or JSON object. */
void cp_tell_total(const struct cp_tell *tell, const struct copy_counts *counts, int64_t ms,
                   int status);

/* "1.2 GiB" */
void cp_format_bytes(uint64_t bytes, char *text, size_t size);

#endif
