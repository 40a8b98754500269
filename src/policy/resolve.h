/* Turns a name into a canonical path: absolute, and without symbolic links, "." and ".." in its
 * directory. The last name is not resolved if it is a link: /bin/ls and /bin/sh may both be links
 * to /bin/busybox, and a rule for one is not for the other.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file system: not for an event loop, and not with a path that a client chose.
 * Limits:  PATH_MAX. */
#ifndef POLICY_RESOLVE_H
#define POLICY_RESOLVE_H

#include "base/error.h"

/* Searches `path`, a list of directories as in PATH, for the program `name`, which must have no
 * slash. Skips directories that are not absolute. `root`: the root directory to look in, as by
 * chroot(2); NULL: this process's. The caller frees *found. AFAR_EINVAL: there is no such program.
 * AFAR_ENOMEM. */
enum afar_status resolve_name(const char *name, const char *path, const char *root, char **found,
                              struct afar_error *err);

/* The canonical form of a path; the file itself need not exist. The caller frees the result. NULL:
 * its directory does not exist, it ends in "/", "." or "..", or out of memory. */
char *resolve_path(const char *path, const char *root);

enum resolve_kind { RESOLVE_DIRECTORY, RESOLVE_PROGRAM };

/* Whether `path` is a directory or an executable file in `root` (NULL: this process's root).
 * AFAR_ESYSTEM: it is not; the message says why. */
enum afar_status resolve_look(const char *path, const char *root, enum resolve_kind kind,
                              struct afar_error *err);

#endif
