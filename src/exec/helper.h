/* The helper: what stands between the server and a command that runs as another user, or in another
 * root directory.
 *
 *     companion ── vfork, execve /proc/self/exe as "afard-exec" ──▶ helper ── execve ──▶ command
 *                  with the server's privileges, in its memory      in memory of its own: chroot,
 *                                                                   groups, gid, uid, capabilities
 *
 * It is the server's own program under another name, so that there is nothing more to install. It
 * reads from descriptor 3 what it is to do, drops what it has, verifies that it is gone, and says
 * by descriptor 4 how far it got: nothing but the end of the file means that it is dead.
 *
 * Owns:    nothing.
 * Threads: helper_main is a program; the others: any.
 * Blocks:  helper_wait, until the helper has said something.
 * Limits:  none. */
#ifndef EXEC_HELPER_H
#define EXEC_HELPER_H

#include <stdbool.h>

#include "base/error.h"
#include "exec/confine.h"
#include "exec/interpreter.h"

#define HELPER_NAME "afard-exec"

enum { HELPER_ORDER_FD = 3, HELPER_STATUS_FD = 4 };

/* What it is to do. */
struct helper_order {
    char *const *candidates; /* paths to try, as execvp(3) does */
    char *const *argv;
    char *const *env;
    const char *cwd;   /* NULL: where it is; with a root: there */
    bool cwd_optional; /* where it cannot be entered, "/" will do */
    const struct confinement *confine;
};

/* Writes the order into a file without a name. *fd is the caller's, and not below 10. AFAR_ESYSTEM,
 * AFAR_ENOMEM. */
enum afar_status helper_put_order(const struct helper_order *order, int *fd,
                                  struct afar_error *err);

/* Waits for what it says. True: the command was started. Otherwise *stage is a constant, *failed an
 * errno (ECANCELED: it was killed), and *head the beginning of a program that could not be executed
 * (as it was, where nothing is known). */
bool helper_wait(int status_fd, const char **stage, int *failed, struct interpreter_head *head);

/* The program. Returns only where it has failed. */
int helper_main(void);

#endif
