/* A terminal for a command: a pseudo-terminal, whose master is the server's and whose slave becomes
 * the command's standard streams and controlling terminal.
 *
 * Owns:    nothing; both descriptors are the caller's, close-on-exec.
 * Threads: any.
 * Blocks:  never.
 * Limits:  those of the kernel (kernel.pty.max, and the mount's "max="). */
#ifndef EXEC_PTY_H
#define EXEC_PTY_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct pty_size {
    unsigned short rows; /* 0, or cols 0: 24 x 80 */
    unsigned short cols;
    unsigned short xpixel;
    unsigned short ypixel;
};

enum { PTY_NAME_BYTES = 32, PTY_TELLS_MAX = 2 };

struct pty_wish {
    struct pty_size size;
    bool utf8;                 /* the erase key deletes a character, not a byte */
    bool owned;                /* give the slave to … */
    uid_t owner;               /* … this user instead of the server's */
    char *tell[PTY_TELLS_MAX]; /* where to write its name to, PTY_NAME_BYTES each; NULL: nowhere */
};

struct pty {
    int master_fd;             /* non-blocking */
    int slave_fd;              /* blocking, as programs expect */
    char name[PTY_NAME_BYTES]; /* /dev/pts/N */
};

/* Opens a terminal; does not use wish->tell. Neither end becomes the server's controlling terminal.
 * On failure nothing is open. AFAR_ESYSTEM: ENOENT if no devpts is mounted, ENOSPC if all terminals
 * are in use (the message explains both), EPERM or EINVAL if it cannot be given to its owner. */
enum afar_status pty_open(struct pty *pty, const struct pty_wish *wish, struct afar_error *err);

/* Sets the size of a terminal through its master. If it changes, the kernel sends SIGWINCH to the
 * foreground group. -1: errno. */
int pty_resize(int master_fd, const struct pty_size *size);

/* Sends SIGINT, SIGQUIT or SIGTSTP to the foreground group, without knowing its number. -1: errno
 * (EINVAL: another signal). */
int pty_signal(int master_fd, int number);

#endif
