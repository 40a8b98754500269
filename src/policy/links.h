/* Follows a path as the kernel does, one name after the other, through all of its links. What a
 * path means is decided by each folder that has a name or a link on the way, also by those that are
 * neither in the path as it is written nor in the real path.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file system.
 * Limits:  PATH_MAX, LINKS_MAX. */
#ifndef POLICY_LINKS_H
#define POLICY_LINKS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

enum { LINKS_MAX = 40 }; /* the kernel's own limit: path_resolution(7) */

struct links_name {
    const char *folder;      /* without links; "/": the root */
    const char *place;       /* the folder and the name */
    const struct stat *info; /* what is there (of a link: the link itself); NULL: nothing */
    bool is_last;            /* nothing follows but what a link has */
};

/* Gets the next name on the way. Anything but AFAR_OK ends the way. */
typedef enum afar_status links_visit(void *user, const struct links_name *name,
                                     struct afar_error *err);

/* Calls `visit` for each name on the way; stops at one that is not there. A relative path begins at
 * the root too, with the working directory. AFAR_EINVAL: too long a path, or too many links.
 * AFAR_ESYSTEM: it cannot be examined. And what `visit` returns. */
enum afar_status links_follow(const char *path, links_visit *visit, void *user,
                              struct afar_error *err);

#endif
