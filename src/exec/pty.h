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

struct pty_wish {
    struct pty_size size;
    bool utf8;   /* a key that erases takes a whole character, and not a byte */
    bool owned;  /* the slave belongs to … */
    uid_t owner; /* … this user, and not to the server's */
    char *tell;  /* PTY_NAME_BYTES of room for its name, in the environment; NULL: none */
};

enum { PTY_NAME_BYTES = 32 };

struct pty {
    int master_fd;             /* non-blocking */
    int slave_fd;              /* blocking, as programs expect */
    char name[PTY_NAME_BYTES]; /* /dev/pts/N */
};

/* Opens one. Neither end becomes the server's controlling terminal. On failure nothing is open.
 * AFAR_ESYSTEM: ENOENT where no devpts is mounted, ENOSPC where all terminals are in use (both are
 * said in words); EPERM or EINVAL where it cannot be given to its owner. */
enum afar_status pty_open(struct pty *pty, const struct pty_wish *wish, struct afar_error *err);

/* Sets the size of a terminal by its master. The kernel tells the foreground group (SIGWINCH) where
 * it has changed. -1: errno. */
int pty_resize(int master_fd, const struct pty_size *size);

/* Sends a signal to the foreground group: SIGINT, SIGQUIT or SIGTSTP, which the kernel allows
 * without any pid being named. -1: errno (EINVAL: another one). */
int pty_signal(int master_fd, int number);

#endif
