/* A fence around folders that commands must not access, made with Landlock. It is for commands that
 * run as the server's own user, as permissions do not protect files from their owner.
 *
 * Landlock has no rules that deny. So everything beside the folders, and beside each folder on the
 * way to them, is allowed, and the rest is denied. For /etc/afar/tls the allowed entries are those
 * of / except etc, those of /etc except afar, and those of /etc/afar except tls.
 *
 * Entries that are created beside them later are not allowed. fence_take checks whether a folder on
 * the way has changed, and if so makes a new list; running commands keep the list that they began
 * with. Denied are opening for reading and writing, truncating, creating, removing, renaming and
 * linking. Names can still be listed, and the owner can change modes. A process behind the fence
 * cannot mount, gains no privileges by execve (no_new_privs), and cannot trace or inspect processes
 * outside.
 *
 * Owns:    the list, and a descriptor of it.
 * Threads: any; reference-counted.
 * Blocks:  fence_new, and sometimes fence_take, on the file system.
 * Limits:  FENCE_FOLDERS_MAX folders on the way; FENCE_RULES_MAX entries beside them. */
#ifndef EXEC_FENCE_H
#define EXEC_FENCE_H

#include <stdbool.h>

#include "base/error.h"

enum { FENCE_FOLDERS_MAX = 64, FENCE_RULES_MAX = 4096, FENCE_ABI_MIN = 3 };

struct fence;

/* The version of Landlock that this kernel supports; 0: none, or it is disabled or forbidden here.
 * A fence needs FENCE_ABI_MIN (Linux 6.2), the first that can deny truncate(2). */
int fence_abi(void);

/* Makes a fence with one reference. `folders`: NULL-terminated absolute paths of folders, without
 * links. `readable`: likewise, folders in which only reading is allowed; NULL: none. Both are
 * copied. AFAR_ESYSTEM, AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status fence_new(struct fence **fence, char *const *folders, char *const *readable,
                           struct afar_error *err);

/* Take and drop a reference; the last one frees. NULL is fine. */
struct fence *fence_keep(struct fence *fence);
void fence_free(struct fence *fence);

/* Makes a close-on-exec descriptor for confinement.fence_fd; the caller closes it. Errors as
 * fence_new; then *fd is -1. */
enum afar_status fence_take(struct fence *fence, int *fd, struct afar_error *err);

/* Puts this process behind the fence, forever. Only makes system calls: for a child in the server's
 * memory. -1: errno. */
long fence_enter(int fd);

#endif
