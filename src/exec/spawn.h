/* Starts a command, with pipes or on a terminal.
 *
 * Owns:    nothing; the result's descriptors are the caller's.
 * Threads: any; spawn_process blocks all signals in its thread for a while.
 * Blocks:  spawn_process, until the child's execve has succeeded or failed: if its chdir hangs, the
 *          call hangs, too. Not for an event loop.
 * Limits:  none. The child shares the server's memory until execve (vfork), so the cost does not
 *          depend on the server's size. */
#ifndef EXEC_SPAWN_H
#define EXEC_SPAWN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/error.h"
#include "exec/confine.h"
#include "exec/helper.h"
#include "exec/seats.h"
#include "exec/pty.h"

struct spawn_request {
    char *const *argv;   /* NULL-terminated; argv[0] is searched in PATH if it has no slash */
    const char *program; /* executed instead of argv[0]; NULL: argv[0] */
    char *const *env;    /* NULL-terminated, complete; its PATH is searched */
    const char *cwd;     /* NULL: the server's */
    bool cwd_optional;   /* if it cannot be entered, the command begins in "/" */
    bool stdin_pipe;     /* otherwise /dev/null */
    const struct pty_wish *terminal;   /* run on a terminal; NULL: with pipes */
    const struct confinement *confine; /* NULL: as the server */
    struct seats *seats;               /* faster if many descriptors are open; NULL: none */
    uint64_t default_signals;          /* of spawn_default_signals; 0: not known */
    int program_fd;                    /* the helper's program (own_program.h); 0: this one */
    const struct helper_files *files;  /* serve files instead; argv is for messages; or NULL */
    const char *forward;               /* connect to "host:port" instead, likewise; or NULL */
};

struct spawn_result {
    pid_t pid;    /* leads a session and a process group of its own */
    int pidfd;    /* all descriptors are close-on-exec, and non-blocking except the pidfd */
    int stdin_fd; /* -1 without stdin_pipe. On a terminal, stdin_fd and stdout_fd are its master */
    int stdout_fd;
    int stderr_fd;                 /* -1 on a terminal */
    int note_fd;                   /* with files; else -1 */
    char terminal[PTY_NAME_BYTES]; /* /dev/pts/N, in the server's namespace; "": none */
    bool cgroup_refused;           /* it could not enter its cgroup, which was optional */
    /* On failure: "pipe", "terminal", "clone", "session", "cgroup", "fence", "descriptors",
     * "stdio", "limits", "helper", "chroot", "user", "chdir", "files", "exec". */
    const char *stage;
};

/* The signals that are neither ignored nor handled now, which a child need not reset: a bit for
 * each, signal 1 in the lowest. Includes the real-time signals that libc reserves, as some parents
 * leave these ignored. Call it again when dispositions have changed. */
uint64_t spawn_default_signals(void);

/* To cancel a spawn that hangs, from another thread. */
struct spawn_control {
    pthread_mutex_t lock;
    atomic_int pidfd;      /* of the child until its execve; the kernel writes it. -1: none */
    atomic_bool begun;     /* set by the child: pidfd is valid, not from a clone that failed */
    atomic_bool cancelled; /* read by the child once it has begun */
};

void spawn_control_init(struct spawn_control *control);
void spawn_control_close(struct spawn_control *control);

/* Kills the child before its execve, so that spawn_process fails with ECANCELED: immediately, or,
 * if the child cannot be killed now (in a disk wait), when that ends. If the child is in its
 * execve, it is killed too, but spawn_process succeeds, as the order is not known. Has no effect
 * after that. */
void spawn_cancel(struct spawn_control *control);

/* Starts the command. The child begins with default signal dispositions, an empty signal mask, and
 * no descriptors except 0, 1 and 2. A file without a known executable format is not passed to a
 * shell: ENOEXEC. AFAR_ESYSTEM, with sys_errno and result->stage; AFAR_ENOMEM. On failure no
 * process and no descriptor is left. `control` NULL: it cannot be cancelled. */
enum afar_status spawn_process(const struct spawn_request *request, struct spawn_control *control,
                               struct spawn_result *result, struct afar_error *err);

#endif
