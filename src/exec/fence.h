/* A fence around folders that commands must not get at, by Landlock: for commands that run as the
 * server's own user, from whom permissions protect nothing.
 *
 * Landlock has no rules that deny. So all that lies beside the folders, and beside each folder on
 * the way to them, is allowed, and what is not listed is denied. For /etc/afar/tls these are the
 * entries of / but etc, those of /etc but afar, and those of /etc/afar but tls.
 *
 * What appears beside them later is not in the list. fence_take looks whether one of the folders on
 * the way has changed, and makes a new list then; a command that runs keeps the one it began with.
 * Closed are opening for reading and writing, truncating, making, removing, renaming and linking.
 * Names can still be listed, and modes be changed by the owner. A process behind the fence cannot
 * mount, gets no privileges by execve (no_new_privs), and cannot trace or look into a process
 * outside.
 *
 * Owns:    the list, and a descriptor for it.
 * Threads: shared by references; any may take.
 * Blocks:  fence_new, and fence_take now and then, on the file system.
 * Limits:  FENCE_FOLDERS_MAX folders on the way; FENCE_RULES_MAX files beside them. */
#ifndef EXEC_FENCE_H
#define EXEC_FENCE_H

#include <stdbool.h>

#include "base/error.h"

enum { FENCE_FOLDERS_MAX = 64, FENCE_RULES_MAX = 4096, FENCE_ABI_MIN = 3 };

struct fence;

/* What this kernel knows of Landlock: 0, nothing (or it is off, or forbidden here). A fence needs
 * FENCE_ABI_MIN (Linux 6.2), the first that can forbid truncate(2). */
int fence_abi(void);

/* `folders`: NULL-terminated absolute paths of folders, without links. `readable`: likewise, of
 * those that are closed but for reading; NULL: none. AFAR_ESYSTEM, AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status fence_new(struct fence **fence, char *const *folders, char *const *readable,
                           struct afar_error *err);

/* NULL gives NULL. */
struct fence *fence_keep(struct fence *fence);
void fence_free(struct fence *fence);

/* A descriptor for confinement.fence_fd, which is the caller's and close-on-exec. As fence_new. */
enum afar_status fence_take(struct fence *fence, int *fd, struct afar_error *err);

/* System calls, for the child, which may call nothing else: puts the process behind it, for good.
 * -1: errno. */
long fence_enter(int fd);

#endif
