/* The start of a job's command. The companion touches this struct, and nothing else of the job.
 *
 * Owns:    the request, the decision and the environment.
 * Threads: the companion's while the job is SPAWNING, else the host's. Atomic members and
 *          `control`: any. Once `starting` is set, the host may read the members before it.
 * Blocks:  job_launch_work, on file systems: see exec/spawn.h.
 * Limits:  none of its own. */
#ifndef JOB_LAUNCH_H
#define JOB_LAUNCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "exec/cgroup.h"
#include "exec/fence.h"
#include "exec/spawn.h"
#include "job/host.h"
#include "job/recording.h"
#include "policy/decide.h"
#include "wire/exec_request.h"

struct job_launch;

/* In the environment of a command on a terminal that it can open by name: room for the name, which
 * is known only when the terminal has been created. The second one is as sshd(8) sets it. */
#define JOB_TTY_NAME_ROOM "-------------------------------"
#define JOB_TTY_ROOM "AFAR_TTY=" JOB_TTY_NAME_ROOM
#define JOB_SSH_TTY_ROOM "SSH_TTY=" JOB_TTY_NAME_ROOM

/* Decides what is run, and how. Runs in the companion, before anything else. */
struct job_decider {
    /* Fills in launch->decision, environment (including launch->variable), fence and audited; sets
     * spawned.stage before each step. An error with launch->refused set is a refusal; any other
     * error makes the command count as not spawned. */
    enum afar_status (*decide)(struct job_decider *decider, struct job_launch *launch,
                               struct afar_error *err);
};

struct job_launch {
    /* Fixed before the companion begins. */
    struct task task;
    struct job_decider *decider;
    const struct job_base *base;
    struct exec_request *request; /* owned */
    const struct cgroups *cgroups;
    bool wants_cgroup;  /* if possible, also if its rule does not need one */
    int64_t created_us; /* when the job was requested */
    char id[MESSAGE_JOB_ID_BYTES];
    char variable[sizeof JOB_VARIABLE + MESSAGE_JOB_ID_BYTES];

    /* Set by the decider. */
    struct policy_decision decision;
    char **environment;
    struct fence *fence; /* borrowed from the decider; NULL: see fence_fd */
    int fence_fd;        /* > 0: used instead of `fence`; borrowed */
    bool tells_files;    /* the place's ops note what is done to files */
    bool tells_all;      /* and also what is only read */
    bool audited;        /* the start is in the audit log, so the end must be, too */
    bool refused;
    bool kept;                   /* a keeper has taken over the command; this job is over */
    bool leaves;                 /* processes that it leaves running may stay */
    bool leave_denied;           /* that was requested, but its rule does not allow it */
    struct recording *recording; /* owned; of what its terminal shows; NULL: none */

    atomic_bool starting;     /* the decider has finished: see Threads */
    _Atomic int64_t begun_ms; /* 0: the companion has not begun */
    struct spawn_control control;

    struct spawn_result spawned;
    enum afar_status status;
    struct afar_error error;
    bool too_late;      /* start_within_ms had passed */
    bool has_cgroup;    /* must be removed */
    bool limits_cgroup; /* the cgroup has the rule's limits */
    char cgroup[CGROUP_NAME_BYTES];
    int64_t begin_us;
    int64_t end_us;
};

/* The task's work: runs the decider, and starts the command if it is allowed. */
void job_launch_work(struct task *task);

#endif
