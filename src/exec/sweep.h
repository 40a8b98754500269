/* All processes of a job: found and signalled, or swept, which is to kill them until none is left.
 *
 * What is found: the descendants of the job's leader, as long as that lives; the orphans that carry
 * the job's mark, and their descendants; and what is in the job's cgroup, where it has one. In a
 * cgroup the kernel kills all at once.
 *
 * A sweep is done in parts, since there may be many thousands: sweep_begin, then sweep_step until
 * it says SWEEP_DONE.
 *
 * Owns:    a list of what it has found.
 * Threads: one at a time; sweep_cancel from any.
 * Blocks:  as proc.h says: not for an event loop.
 * Limits:  a part ends when its time is over; the whole, when nothing gets less any more for about
 *          a second, or after SWEEP_MAX_MS. */
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
    int signals[SWEEP_SIGNALS]; /* one after the other to all of them; 0: none */
    /* Only those who hold what is looked for below, and whom sweep_condemn has named, are signalled.
     * With until_none the others are looked for as well, and listed in the result. */
    bool spares;
    /* With SIGKILL: a sweep. Who is about to end by itself gets a few milliseconds for that, and
     * does not count as found. The cgroup is removed. */
    bool until_none;
    ino_t pipes[SWEEP_PIPES]; /* whose holders are to be named */
    size_t pipe_count;
    char terminal[PTY_NAME_BYTES + 16]; /* likewise, instead, as /proc/PID/fd has it; "": none */
};

struct sweep_result {
    size_t left;   /* that have been killed, but do not end */
    size_t denied; /* of these: we may not signal them */
    bool cgroup_left;
    struct cgroup_events events; /* of the cgroup, before it was removed */
    struct afar_processes found; /* by this sweep and, where the leader had ended, those before */
    struct afar_processes holders;
    /* With spares and until_none: those that stay, the oldest first; NULL: nobody can tell. Until
     * the next sweep; who takes them away, and frees them, leaves NULL. */
    struct family_member *spared;
    size_t spared_count;
};

struct sweep {
    pthread_mutex_t lock;
    bool cancelled;        /* guarded by lock */
    struct family *family; /* NULL: none yet, or /proc cannot be relied upon */
    struct sweep_order order;
    struct sweep_result result;
    struct sweep_state {
        int phase;
        unsigned rounds;
        unsigned looks;   /* how often it was looked whether any is left … */
        unsigned stalled; /* … and so many times there were no fewer */
        size_t before;    /* how many there were */
        size_t found;     /* in this look */
        size_t signal;    /* index in order.signals */
        bool group_signalled;
        unsigned graces; /* how often it was waited for those that end by themselves */
        int64_t give_up_ms;
        struct orphans_search search;
    } state;
};

void sweep_init(struct sweep *sweep);
void sweep_close(struct sweep *sweep);

/* May be begun again once it is done. */
void sweep_begin(struct sweep *sweep, const struct sweep_order *order);

/* Between two sweeps: the next one that spares does not spare this one. */
void sweep_condemn(struct sweep *sweep, const struct family_member *member);

enum sweep_progress {
    SWEEP_DONE,
    SWEEP_MORE, /* time is over: call again */
    SWEEP_WAIT  /* call again after *wait_ms */
};
enum sweep_progress sweep_step(struct sweep *sweep, int64_t until_us, int64_t *wait_ms);

/* From any thread, where a part hangs: from now on the leader may be reaped, and no group of its
 * name is signalled any more. */
void sweep_cancel(struct sweep *sweep);

#endif
