/* Which file a name means, as a path that cannot be spelled in two ways: absolute, its directory
 * without symbolic links, "." and "..". The last name stays as it is, also where it is a link: of
 * /bin/ls and /bin/sh that both lead to /bin/busybox, a rule means one.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file system: not for an event loop, and not with a path that a client chose.
 * Limits:  PATH_MAX. */
#ifndef POLICY_RESOLVE_H
#define POLICY_RESOLVE_H

#include "base/error.h"

/* A name without a slash, in `path`: a list of directories. `root`: where "/" is (chroot); NULL:
 * here. *found is the caller's (free). AFAR_EINVAL: there is no such program. AFAR_ENOMEM. */
enum afar_status resolve_name(const char *name, const char *path, const char *root, char **found,
                              struct afar_error *err);

/* The same for a path that need not be a program, as a rule names it. NULL: its directory is not
 * there, or out of memory. */
char *resolve_path(const char *path, const char *root);

enum resolve_kind { RESOLVE_DIRECTORY, RESOLVE_PROGRAM };

/* Whether there is such a thing, seen from `root` (NULL: here). AFAR_ESYSTEM: no, and why not. */
enum afar_status resolve_look(const char *path, const char *root, enum resolve_kind kind,
                              struct afar_error *err);

#endif
