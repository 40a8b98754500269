/* Small files, replaced as a whole: a reader, and the disk after a power failure, has the old one
 * or the new one.
 *
 * Owns:    a draft owns its names, and its temporary file until that is published (draft_close).
 * Threads: one.
 * Blocks:  as long as the file system does.
 * Limits:  none. Each function says what went wrong (report.h) and returns false. */
#ifndef AFAR_DRAFT_H
#define AFAR_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct draft {
    char *path;      /* what a symbolic link there leads to */
    char *temporary; /* beside it; NULL: published, or there is none */
};

/* Writes a temporary file of this mode beside `path`. What fails needs no draft_close. */
bool draft_open(struct draft *draft, const char *path, const void *data, size_t size, mode_t mode);

/* Puts it in its place. Unless `replace`, fails where there is something already. */
bool draft_publish(struct draft *draft, bool replace);

/* Removes what was not published. */
void draft_close(struct draft *draft);

/* Makes a folder, and those above it, unless they are there: for nobody else (0700), or for all to
 * look into (0755), whatever the umask. */
bool draft_make_folder(const char *path, bool for_all);

#endif
