/* What job.c, begin.c, spawn.c, streams.c, tree.c and end.c share. For those
 * six only. */
#ifndef JOB_INTERNAL_H
#define JOB_INTERNAL_H

#include <stdatomic.h>

#include "base/digest.h"
#include "exec/cgroup.h"
#include "exec/process.h"
#include "exec/spawn.h"
#include "exec/sweep.h"
#include "policy/decide.h"
#include "job/job.h"
#include "server/worker.h"

/* What is to be done to all of a job's processes; bits. */
enum tree_want {
    TREE_END = 1 << 0,    /* TERM, and CONT: one that is stopped would not see it */
    TREE_KILL = 1 << 1,   /* KILL */
    TREE_LINGER = 1 << 2, /* the same to those that hold its output open, who are named */
    TREE_SWEEP = 1 << 3   /* the same until none is left */
};

/* Its processes are looked for in the worker's sweeper, a part at a time. */
struct job_tree {
    struct tree_op *op;         /* owned; what the sweeper works on; NULL: none yet */
    bool busy;                  /* the op is in the sweeper, or waits for again_at_ms */
    enum tree_want does;        /* while busy */
    unsigned wanted;            /* enum tree_want, not begun yet */
    bool swept;                 /* nothing is left, or it has been given up */
    unsigned stuck;             /* so many ops hang and were given up */
    int64_t again_at_ms;        /* the op goes on, or memory is tried for again */
    int64_t stuck_at_ms;        /* is looked at whether it hangs */
    struct sweep_result result; /* of the last op */
};

struct job_pipe {
    struct loop_source source; /* fd -1: closed */
    struct job *job;
    enum stream stream;
    bool paused; /* no room: not read until job_resume_output */
    bool grown;  /* holds more than pipes do by themselves, or may not */
};

struct job {
    struct worker *worker;
    struct list link;        /* in worker->jobs */
    struct job_owner *owner; /* NULL: abandoned */
    struct exec_request *request;
    struct registry_entry entry;
    enum job_state state;
    char label[192];
    struct address_group group; /* where it comes from, for sums */

    /* Who asks; fixed. */
    struct rules *rules; /* a reference, since it has its place; NULL: there are none */
    struct fence *fence; /* likewise; NULL: none */
    struct words names;  /* for the rules and the audit log */
    char address[ADDRESS_TEXT_BYTES];
    char identity[IDENTITY_NAME_BYTES];
    char owner_name[IDENTITY_OWNER_BYTES]; /* whose it is */
    unsigned long long connection;
    const struct cgroups *cgroups;

    /* Used by the companion while SPAWNING. */
    struct task task;
    struct policy_decision decision; /* fixed from then on */
    const char *refused; /* the code of a refusal, its words in spawn_error; NULL: none */
    char **environment;
    char variable[sizeof JOB_VARIABLE + MESSAGE_JOB_ID_BYTES]; /* fixed from then on */
    struct spawn_control control;                              /* any thread */
    struct spawn_result spawned;
    enum afar_status spawn_status;
    struct afar_error spawn_error;
    bool too_late;
    /* The companion has decided and written down: `decision` and `audited` may be read. */
    atomic_bool starting;
    _Atomic int64_t spawn_begun_ms; /* 0: the companion has not begun */

    /* The worker's while SPAWNING: see spawn.c. */
    int64_t spawn_posted_ms;
    int64_t spawn_timeout_ms; /* as it was then; 0: no limit */
    bool spawn_waits;         /* for its identity's turn: entry.may_spawn */
    bool spawn_cancelled;
    bool spawn_timed_out;
    bool given_up; /* its owner has been told; its companion hangs */
    int64_t created_us;
    int64_t spawn_begin_us;
    int64_t spawn_end_us;

    struct process process;
    struct loop_source exit_source;
    struct job_pipe output[2]; /* by enum stream */
    struct digest *digest[2];  /* NULL: not asked for */
    uint64_t output_bytes[2];

    struct loop_source stdin_source; /* fd -1: closed */
    struct buffer input;             /* stdin that the pipe has not taken yet */
    bool input_eof;
    bool input_grown; /* likewise stdin's pipe */
    uint64_t stdin_taken;
    uint64_t stdin_delivered;

    struct timer timer;  /* the earliest of these */
    int64_t start_by_ms; /* while QUEUED */
    int64_t spawn_by_ms; /* while SPAWNING */
    int64_t timeout_at_ms;
    uint64_t timeout_ms;              /* the shortest that there is for it … */
    enum afar_limit_owner timeout_by; /* … and whose it is */
    int64_t kill_at_ms;
    int64_t linger_at_ms;
    int64_t linger_max_at_ms;
    int64_t retry_at_ms;
    int64_t poll_at_ms; /* where its end cannot be watched */
    int64_t poll_pause_ms;

    struct job_tree tree;

    bool stopping;
    bool stop_reached; /* a signal to end it has reached it … */
    bool stop_failed;  /* … or none could, and it has ended by itself */
    enum afar_outcome stop_outcome;
    int early_signal; /* came while SPAWNING */
    bool lingered;    /* linger has run out: whoever holds its output open is being killed … */
    bool held_open;   /* … and has been: read what is there, then close */
    struct afar_processes held_by; /* where lingered */
    bool unwatched;      /* its end could not be watched: it is killed, and counts as not started */
    bool audit_required; /* no start without a line */
    bool has_cgroup;     /* of its id's name; to be removed */
    bool audited;        /* its start is in the audit log, and its end belongs there too … */
    bool end_noted;      /* … where it is now */
    bool output_lost;    /* a pipe could not be read to its end */
    bool output_over;    /* more than its rule's max_output has come; the rest is dropped */
    int64_t exited_us;
};

/* begin.c */

/* Makes what it starts from: its words and the rules that it will be judged by. As job_start. */
enum afar_status job_prepare(struct job *job, const struct job_origin *origin, enum counter *limit,
                             struct afar_error *err);

/* After it has waited: whether its client may still begin anything, by whom else he is known now.
 * False: job->refused and job->spawn_error say why not. */
bool job_judge_again(struct job *job);

/* Notes in the audit log what has become of it, or why it was not begun. In the worker. */
void job_note(const struct job *job, const char *event, const char *reason,
              const struct afar_receipt *receipt);

/* The companion's part: decides, and starts it where it may be. */
void job_begin(struct task *task);

/* spawn.c: the worker's part of starting, while SPAWNING. Each but the first may end the job.
 */

void job_spawn_begin(struct job *job);
/* entry.may_spawn: its identity may start one more. */
void job_spawn_turn(struct mail *mail);
/* spawn_by_ms has come. */
void job_spawn_timer(struct job *job);
/* It is to end, in a later turn. */
void job_spawn_stop(struct job *job);

/* streams.c */

/* Takes over the pipes of job->spawned. AFAR_ESYSTEM: they cannot be watched. */
enum afar_status job_streams_open(struct job *job, struct afar_error *err);
void job_streams_close(struct job *job);

/* Reads both streams as far as there is data and room. */
void job_streams_read(struct job *job);

/* What could not be done for want of memory, once more. */
void job_streams_retry(struct job *job);

/* True once both streams have ended. */
bool job_streams_ended(const struct job *job);

/* True where a stream that has not ended is not being read, for want of room. */
bool job_streams_paused(const struct job *job);

/* tree.c. All of the job: its group, all that descends from it, and the orphans among that.
 * Until the leader has been reaped. */

void job_tree_init(struct job *job);
void job_tree_close(struct job *job);

/* Does this to all of them, soon. */
void job_tree_want(struct job *job, enum tree_want want);

/* tree.again_at_ms or tree.stuck_at_ms may have come. */
void job_tree_run_timers(struct job *job, int64_t now_ms);

/* True: nothing is left of it, or it has been given up. False: job_advance is called again. */
bool job_tree_swept(struct job *job);

/* end.c. After each of the first three the job is gone, and its owner has been told. */

/* The command and its output have ended, and nothing is left of it but the leader's status. */
void job_end_finished(struct job *job);
/* It was never started: as job->spawn_error and job->spawned.stage say. */
void job_end_not_spawned(struct job *job);
/* Its start, or (as the server goes down) its process, hangs and cannot be ended: its owner is
 * told, the job stays until that is over. */
void job_end_given_up(struct job *job);
/* Now it is, and nothing was started. */
void job_end_quietly(struct job *job);
/* It was never started: too late, not allowed, or the server is going down. */
void job_end_refused(struct job *job);
void job_free(struct job *job);

/* job.c */

/* Whoever held its output open has been killed. */
void job_end_linger(struct job *job, const struct afar_processes *holders);

/* One of its deadlines has changed. */
void job_set_timer(struct job *job);

/* Looks at what has changed: sets the timer, and where everything has ended, ends the job, which is
 * then gone. To be called last. */
void job_advance(struct job *job);

#endif
