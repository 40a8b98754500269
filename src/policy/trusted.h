/* Whether a file or folder that decides what others may do can be changed by others: the
 * configuration, files of rules, the clients' CA. Anyone who can change one of them can run
 * commands.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file system.
 * Limits:  permissions only; access control lists are not looked at. PATH_MAX. */
#ifndef POLICY_TRUSTED_H
#define POLICY_TRUSTED_H

#include "base/error.h"

/* AFAR_EINVAL: the open file `fd` belongs to another user than root and the server's own, or its
 * group or others may write to it. What is mounted read-only is taken as it is: a volume of
 * Kubernetes has mode 0777. AFAR_ESYSTEM. */
enum afar_status trusted_check(int fd, const char *path, struct afar_error *err);

/* The open file `fd`, which was found by `path`, as far as this server must care. For root: the
 * same of the file and of all folders above it, also of those that links lead through, where the
 * sticky bit will do. For another user: not everybody may write to it; it often belongs to somebody
 * else, from whose folder it was mounted into a container. What is not a regular file (a pipe, a
 * terminal) is trusted. */
enum afar_status trusted_check_file(int fd, const char *path, struct afar_error *err);

/* The same by its path alone. One that cannot be opened is for its reader to complain about. */
enum afar_status trusted_check_path(const char *path, struct afar_error *err);

#endif
