/* Finds all processes of a job and signals them, or sweeps them: kills until none is left.
 *
 * It finds: the descendants of the job's leader, while that lives; the orphans that have the job's
 * mark, and their descendants; and the processes in the job's cgroup, if it has one. The processes
 * of a cgroup are killed by the kernel in one step.
 *
 * There may be many thousands, so it works in parts: call sweep_begin, then sweep_step until it
 * returns SWEEP_DONE.
 *
 * Owns:    a list of the processes that it has found.
 * Threads: one at a time; sweep_cancel from any.
 * Blocks:  as proc.h: not for an event loop.
 * Limits:  a part ends when its time is over. A sweep gives up when the number of processes has not
 *          become smaller for about a second, or after SWEEP_MAX_MS. */
#ifndef EXEC_SWEEP_H
#define EXEC_SWEEP_H

#include <pthread.h>

#include "exec/cgroup.h"
#include "exec/orphans.h"
#include "exec/pty.h"

enum { SWEEP_MAX_MS = 30000, SWEEP_SIGNALS = 2, SWEEP_PIPES = 2 };

struct sweep_order {
    pid_t leader; /* must not be reaped until the sweep is done */
    bool leader_ended;
    struct family_mark mark; /* kept, as the next three */
    struct orphans *orphans;
    const struct cgroups *cgroups;
    const char *cgroup;         /* its name; NULL: none */
    int signals[SWEEP_SIGNALS]; /* sent to all processes, one after the other; 0: none */
    /* Signal only the holders of the pipes or terminal below, and those given to sweep_condemn.
     * With until_none, the others are listed in the result. */
    bool spares;
    /* With SIGKILL: a sweep. Processes that are about to end get a few milliseconds to do so, and
     * do not count as found. The cgroup is removed. */
    bool until_none;
    ino_t pipes[SWEEP_PIPES]; /* find the processes that hold one of these open */
    size_t pipe_count;
    char terminal[PTY_NAME_BYTES + 16]; /* instead of pipes, as in /proc/PID/fd; "": none */
};

struct sweep_result {
    size_t left;   /* processes that have been signalled, but do not end */
    size_t denied; /* of these: we may not signal them */
    bool cgroup_left;
    struct cgroup_events events; /* of the cgroup, before it was removed */
    struct afar_processes found; /* by this sweep and by earlier ones since the leader's end */
    struct afar_processes holders;
    /* With spares and until_none: the processes that stay, the oldest first; NULL: not known. Owned
     * until the next sweep; a caller that takes the list sets it to NULL, and frees it. */
    struct family_member *spared;
    size_t spared_count;
};

struct sweep {
    pthread_mutex_t lock;
    bool cancelled;        /* guarded by lock */
    struct family *family; /* NULL: none yet, or /proc is not usable */
    struct sweep_order order;
    struct sweep_result result;
    struct sweep_state {
        int phase;
        unsigned rounds;
        unsigned looks;   /* looks whether any are left, so far … */
        unsigned stalled; /* … of which the last so many found no fewer */
        size_t before;    /* how many were left at the last look */
        size_t found;     /* new in this look */
        size_t signal;    /* index in order.signals */
        bool group_signalled;
        unsigned graces; /* waits for processes that are about to end */
        int64_t give_up_ms;
        struct orphans_search search;
    } state;
};

void sweep_init(struct sweep *sweep);
void sweep_close(struct sweep *sweep);

/* Begins; may be called again once sweep_step has returned SWEEP_DONE. */
void sweep_begin(struct sweep *sweep, const struct sweep_order *order);

/* Call it between two sweeps: the next one with `spares` does not spare this process. */
void sweep_condemn(struct sweep *sweep, const struct family_member *member);

enum sweep_progress {
    SWEEP_DONE,
    SWEEP_MORE, /* time is over: call again */
    SWEEP_WAIT  /* call again after *wait_ms */
};
enum sweep_progress sweep_step(struct sweep *sweep, int64_t until_us, int64_t *wait_ms);

/* From any thread, if a part hangs: after this call the leader may be reaped, as its process group
 * is not signalled any more. */
void sweep_cancel(struct sweep *sweep);

#endif
