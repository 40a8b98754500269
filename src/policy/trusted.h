/* Whether a file or folder that decides what others may do can be changed by others.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  as fstat(2) does.
 * Limits:  permissions only; access control lists are not looked at. */
#ifndef POLICY_TRUSTED_H
#define POLICY_TRUSTED_H

#include "base/error.h"

/* AFAR_EINVAL: the open file `fd` belongs to another user than root and the server's own, or its
 * group or others may write to it. What is mounted read-only is taken as it is: a volume of
 * Kubernetes has mode 0777. AFAR_ESYSTEM. */
enum afar_status trusted_check(int fd, const char *path, struct afar_error *err);

#endif
