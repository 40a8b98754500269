/* Replaces small files atomically: a reader finds the complete old or the complete new file, also
 * after a power failure.
 *
 * Owns:    a draft owns its names, and its temporary file until that is published (draft_close).
 * Threads: one.
 * Blocks:  as long as the file system does.
 * Limits:  none. Each function that fails reports why (report.h) and returns false. */
#ifndef AFAR_DRAFT_H
#define AFAR_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct draft {
    char *path;      /* with symbolic links resolved */
    char *temporary; /* beside it; NULL: published, or none */
};

/* Writes a temporary file of this mode beside `path`. After a failure draft_close is not needed. */
bool draft_open(struct draft *draft, const char *path, const void *data, size_t size, mode_t mode);

/* Gives it its name. Without `replace`, fails if that exists. */
bool draft_publish(struct draft *draft, bool replace);

/* Removes the temporary file unless it was published. */
void draft_close(struct draft *draft);

/* Makes a folder and its missing parents: readable only by the owner (0700), or with `for_all` by
 * everyone (0755), whatever the umask. */
bool draft_make_folder(const char *path, bool for_all);

#endif
