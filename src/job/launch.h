/* The start of a job's command: all that the companion touches, and nothing else of the job.
 *
 * Owns:    the request, the decision and the environment.
 * Threads: the companion's while the job is SPAWNING, else the host's. What is atomic, and
 *          `control`, any. Once `starting` is set, what stands before it may be read by the host,
 *          too.
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

/* In the environment of a command on a terminal, where it can open that: room for its name, which
 * is known when it is made. */
#define JOB_TTY "AFAR_TTY="
#define JOB_TTY_ROOM JOB_TTY "-------------------------------"

/* The party that says what is to be run, and how. Runs first in the companion. */
struct job_decider {
    /* Fills in launch->decision, environment (with launch->variable in it), fence and audited, and,
     * as it goes, spawned.stage. With launch->refused its error is a refusal, else the command
     * counts as not spawned. */
    enum afar_status (*decide)(struct job_decider *decider, struct job_launch *launch,
                               struct afar_error *err);
};

struct job_launch {
    /* Fixed before. */
    struct task task;
    struct job_decider *decider;
    const struct job_base *base;
    struct exec_request *request; /* owned */
    const struct cgroups *cgroups;
    bool wants_cgroup;  /* also where its rule does not need one, if it can be had */
    int64_t created_us; /* when the job was asked for */
    char id[MESSAGE_JOB_ID_BYTES];
    char variable[sizeof JOB_VARIABLE + MESSAGE_JOB_ID_BYTES];

    /* The decider's. */
    struct policy_decision decision;
    char **environment;
    struct fence *fence; /* borrowed of the decider; NULL: the command runs behind none … */
    int fence_fd;        /* … unless this is one; borrowed likewise; 0: it is not */
    bool tells_files;    /* what is done to files is noted by the place's ops, … */
    bool tells_all;      /* … also what is only read */
    bool audited;        /* the start is in the audit log, and the end belongs there too */
    bool refused;
    bool kept;                   /* a keeper has the command, and this job is over */
    bool leaves;                 /* what it leaves running may stay … */
    bool leave_denied;           /* … or might not, though that was asked for */
    struct recording *recording; /* owned; of what its terminal shows; NULL: none */

    atomic_bool starting;     /* it has been decided: see above */
    _Atomic int64_t begun_ms; /* 0: the companion has not begun */
    struct spawn_control control;

    struct spawn_result spawned;
    enum afar_status status;
    struct afar_error error;
    bool too_late;      /* for its start_within_ms */
    bool has_cgroup;    /* to be removed */
    bool limits_cgroup; /* as its rule says */
    char cgroup[CGROUP_NAME_BYTES];
    int64_t begin_us;
    int64_t end_us;
};

/* The task's work: has it decided, and starts it where it may be. */
void job_launch_work(struct task *task);

#endif
