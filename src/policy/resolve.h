/* Which file a command's first word means, as a path that no client can spell in two ways:
 * absolute, its directory without symbolic links, "." and "..". The last name stays as it is, also
 * where it is a link: of /bin/ls and /bin/sh that both lead to /bin/busybox, a rule means one.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file system: not for an event loop.
 * Limits:  PATH_MAX. */
#ifndef POLICY_RESOLVE_H
#define POLICY_RESOLVE_H

#include <stdbool.h>

#include "base/error.h"

struct resolve_place {
    const char *root; /* where "/" is (chroot); NULL: here */
    const char *cwd;  /* for "./program"; NULL: the server's; within the root */
    const char *path; /* list of directories for a name without a slash */
};

/* *path is the caller's (free). AFAR_EINVAL: there is no such program. AFAR_ENOMEM. */
enum afar_status resolve_program(const char *name, const struct resolve_place *place, char **path,
                                 struct afar_error *err);

/* The same for a path that need not be a program, as a rule names it. NULL: its directory is not
 * there, or out of memory. */
char *resolve_path(const char *path, const char *root);

#endif
