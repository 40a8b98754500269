/* Starting a command, with pipes to it, or on a terminal.
 *
 * Owns:    nothing; the result's descriptors are the caller's.
 * Threads: any; each call blocks signals in its own thread while it runs. spawn_cancel: any.
 * Blocks:  until the child's execve has succeeded or failed: a hung chdir hangs here. Call it where
 *          that does no harm.
 * Limits:  none. The child shares the server's memory until execve (vfork), so the server's size
 *          does not matter to its cost. */
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
    char *const *argv;   /* NULL-terminated; argv[0] without a slash is looked for in PATH */
    const char *program; /* what is executed whatever argv[0] says; NULL: that */
    char *const *env;    /* NULL-terminated, complete; its PATH is the one that is searched */
    const char *cwd;     /* NULL: the server's */
    bool cwd_optional;   /* where it cannot be entered, the command begins in "/" */
    bool stdin_pipe;     /* otherwise /dev/null */
    const struct pty_wish *terminal;   /* its three streams are one; NULL: pipes */
    const struct confinement *confine; /* NULL: as the server is */
    struct seats *seats;               /* faster where many descriptors are open; NULL: none */
    uint64_t default_signals;          /* of spawn_default_signals; 0: none is known to be */
    const struct helper_files *files;  /* instead of a command; argv only says what to call it */
    const char *forward;               /* likewise: "host:port" to connect to; NULL: not */
};

struct spawn_result {
    pid_t pid;    /* leads a session and a process group of its own */
    int pidfd;    /* all descriptors: close-on-exec, ours non-blocking */
    int stdin_fd; /* -1 without stdin_pipe. On a terminal two descriptors of its master: */
    int stdout_fd;
    int stderr_fd;                 /* -1 on a terminal */
    int note_fd;                   /* with files; else -1 */
    char terminal[PTY_NAME_BYTES]; /* /dev/pts/N, as the server sees it; "": none */
    bool cgroup_refused;           /* it is not in the one that was optional */
    /* On failure: "pipe", "terminal", "clone", "session", "cgroup", "fence", "descriptors", "stdio",
     * "limits", "helper", "chroot", "user", "chdir", "files", "exec". */
    const char *stage;
};

/* The signals that are neither ignored nor handled now, a bit for each, 1 in the lowest: a child
 * need not reset them. All 64: those too that libc keeps to itself, and some parents leave ignored.
 * Ask again when that has changed. */
uint64_t spawn_default_signals(void);

/* The way to end a spawn that hangs, from another thread. */
struct spawn_control {
    pthread_mutex_t lock;
    atomic_int pidfd; /* of the child until its execve; the kernel writes it. -1: none */
    atomic_bool
        begun; /* set by the child: the pidfd is its own, and not one of a clone that failed */
    atomic_bool cancelled; /* looked at by the child once it has begun */
};

void spawn_control_init(struct spawn_control *control);
void spawn_control_close(struct spawn_control *control);

/* Kills the child before its execve, so that the spawn fails with ECANCELED, at once or, where it
 * is beyond the reach of SIGKILL (in a disk wait), when it returns. In its execve it is killed too,
 * but counts as spawned: nobody can tell what came first. Does nothing after that. */
void spawn_cancel(struct spawn_control *control);

/* The child begins with default signal dispositions, an empty mask, and no descriptor but 0, 1
 * and 2. A file that is no executable format is not given to a shell: ENOEXEC. AFAR_ESYSTEM with
 * sys_errno and result->stage; AFAR_ENOMEM. On failure no process and no descriptor is left.
 * `control` NULL: cannot be cancelled. */
enum afar_status spawn_process(const struct spawn_request *request, struct spawn_control *control,
                               struct spawn_result *result, struct afar_error *err);

#endif
