/* Whether other users can change a file or folder that decides what clients may do: the
 * configuration, files of rules, the clients' CA. A user who can change one of them can run
 * commands.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file system.
 * Limits:  PATH_MAX. Permissions only; access control lists are ignored. */
#ifndef POLICY_TRUSTED_H
#define POLICY_TRUSTED_H

#include "base/error.h"

/* AFAR_EINVAL: the open file `fd` belongs neither to root nor to the server's user, or its group or
 * others may write to it. Files on a read-only mount are always accepted: a volume of Kubernetes
 * has mode 0777. AFAR_ESYSTEM: it cannot be examined. `path` is for the message. */
enum afar_status trusted_check(int fd, const char *path, struct afar_error *err);

/* Checks the open file `fd`, which was opened as `path`. If the server is root: as trusted_check,
 * and the same for all folders above `path`, and for those of each link that leads to the file;
 * folders that others can write to are accepted if they have the sticky bit, and a link in one of
 * them is root's or the server's. If it is not root: fails as
 * trusted_check does, but only if every user may write to the file; it often belongs to another
 * user, whose folder was mounted into a container. Anything but a regular file (a pipe, a terminal)
 * is accepted. AFAR_EINVAL, AFAR_ESYSTEM. */
enum afar_status trusted_check_file(int fd, const char *path, struct afar_error *err);

/* The same by path only. AFAR_OK if it cannot be opened: its reader will report that. */
enum afar_status trusted_check_path(const char *path, struct afar_error *err);

#endif
