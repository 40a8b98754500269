/* Shared by the files of this folder only. */
#ifndef JOB_INTERNAL_H
#define JOB_INTERNAL_H

#include "base/buffer.h"
#include "base/digest.h"
#include "exec/process.h"
#include "exec/sweep.h"
#include "job/host.h"
#include "job/job.h"
#include "job/launch.h"
#include "job/place.h"

/* What to do to all processes of a job; bits, the strongest highest. */
enum tree_want {
    TREE_END = 1 << 0,    /* TERM, then CONT: a stopped process would not act on TERM */
    TREE_KILL = 1 << 1,   /* KILL */
    TREE_LINGER = 1 << 2, /* KILL all, or with `leave` only the holders of its output; name these */
    TREE_LEAVE = 1 << 3,  /* KILL those of the command's leftovers that may not stay */
    TREE_SWEEP = 1 << 4   /* KILL all, until none is left */
};

/* The host's sweeper looks for the job's processes, in short steps. */
struct job_tree {
    struct tree_op *op;         /* owned; used by the sweeper; NULL: none yet */
    bool busy;                  /* the op is in the sweeper, or waits for again_at_ms */
    enum tree_want does;        /* while busy */
    unsigned wanted;            /* enum tree_want bits, not begun yet */
    bool swept;                 /* no process is left, or the sweep was given up */
    unsigned stuck;             /* number of ops that hung and were given up */
    int64_t again_at_ms;        /* the op continues, or allocation is retried */
    int64_t stuck_at_ms;        /* time to check whether the op hangs */
    struct sweep_result result; /* of the last op */
};

/* The processes that the command leaves running. See left.c. */
struct job_left {
    struct family_member *members; /* owned; oldest first */
    size_t count;
    unsigned rounds; /* rounds in which some exceeded a limit */
    bool given_up;   /* kill all of them, as without `leave` */
    bool limited;
    struct job_stay_limit limit; /* valid if limited */
};

struct job_pipe {
    struct loop_source source; /* fd -1: closed */
    struct job *job;
    enum stream stream;
    bool paused;   /* no room: not read until job_resume_output */
    bool grown;    /* was enlarged, or must not be */
    bool unwanted; /* closed before it was opened */
};

struct job_streams {
    struct job_pipe output[2]; /* indexed by enum stream */
    struct digest *digest[2];  /* NULL: not requested */
    uint64_t output_bytes[2];
    bool output_lost; /* a pipe could not be read to its end */
    bool output_over; /* the rule's max_output was exceeded; the rest is dropped */

    struct loop_source notes_source; /* a file server's notes; fd -1: none */
    struct buffer notes;             /* bytes of a note that is still incomplete */

    struct loop_source stdin_source; /* fd -1: closed */
    struct buffer input;             /* stdin that the pipe has not accepted yet */
    bool input_eof;
    bool input_grown; /* the stdin pipe was enlarged, or must not be */
    uint64_t stdin_taken;
    uint64_t stdin_delivered;
};

/* See terminal.c. Unused if the job is not on a terminal. */
struct job_terminal {
    struct screen_size size; /* the last size from job_resize */
    bool resized;            /* job_resize was called, later than job_terminal_begins */
    bool in_line;            /* the last byte of input was not a newline */
    bool input_over;
    bool counted;       /* included in the figures */
    unsigned keys_left; /* end-of-input keys to send now */
    unsigned times;     /* how often the end of input was sent */
    int64_t end_at_ms;  /* when to send it (again) */
    uint64_t output_then;
};

/* See record.c. While `busy`, the companion uses `file`, `back`, `failed`, `gap` and `last`. */
struct job_record {
    struct task task;
    struct recording *file; /* launch.recording; borrowed */
    struct cast cast;
    struct buffer front; /* lines being collected */
    struct buffer back;  /* lines being written */
    uint64_t max_bytes;
    uint64_t bytes; /* in the file, if all lines are written that were collected */
    bool goes_on;   /* if recording fails, the command continues */
    int64_t start_us;
    int failed; /* an errno */
    bool open;
    bool busy;
    int lost;          /* an errno: why `front` takes no more lines; 0: it does */
    int gap;           /* the same: the lost lines come directly after those in `back` */
    bool cut;          /* output was dropped because it could not be recorded */
    bool over;         /* writing has failed: nothing more is written */
    bool ending;       /* no more lines will come */
    bool last;         /* no lines will follow those in `back` */
    bool done;         /* all lines are on the disk */
    char message[160]; /* for the receipt, if the failure has ended the job; else "" */
};

/* When each step is due; DEADLINE_NEVER: not scheduled. The tree's deadlines are in struct
 * job_tree. */
struct job_deadlines {
    struct timer timer;  /* armed for the earliest of all */
    int64_t start_by_ms; /* while QUEUED */
    int64_t spawn_by_ms; /* while SPAWNING */
    int64_t timeout_at_ms;
    uint64_t timeout_ms;              /* the shortest that applies */
    enum afar_limit_owner timeout_by; /* who set it */
    int64_t kill_at_ms;
    int64_t linger_at_ms;
    int64_t linger_max_at_ms;
    int64_t retry_at_ms;
    int64_t poll_at_ms; /* if its exit cannot be watched */
    int64_t poll_pause_ms;
};

/* The host's view of a start that is under way: see spawn.c. */
struct job_spawning {
    int64_t posted_ms;
    int64_t timeout_ms; /* copied at the start of spawning; 0: no limit */
    bool waits;         /* for job_spawn_turn */
    bool cancelled;
    bool timed_out;
};

struct job {
    struct job_host *host;
    struct job_place *place;
    struct list link;        /* in host->jobs or host->stuck */
    struct job_owner *owner; /* NULL: abandoned */
    enum job_state state;
    char label[192];

    struct job_launch launch; /* while SPAWNING the companion's, except the fixed part */
    struct job_spawning spawning;
    struct job_streams streams;
    struct job_terminal terminal;
    struct job_record record;
    struct job_deadlines deadlines;
    struct job_tree tree;
    struct job_left left;

    struct process process;
    struct loop_source exit_source;

    bool stopping;
    bool stop_reached; /* a signal that ends it was delivered */
    bool stop_failed;  /* none could be delivered, and it ended without one */
    enum afar_outcome stop_outcome;
    int early_signal;              /* arrived while SPAWNING; 0: none */
    bool killed;                   /* by its client, with KILL */
    bool lingered;                 /* linger is over: the holders of its output are being killed */
    bool held_open;                /* they were killed: read what is there, then close */
    struct afar_processes held_by; /* valid if lingered */
    bool unwatched; /* its exit cannot be watched: it is killed, and counts as not started */
    bool given_up;  /* its owner was told; its companion hangs */
    bool end_noted; /* in the audit log, if the start is there */
    int64_t exited_us;
};

/* spawn.c: the host's part of starting, while SPAWNING. Each of these except job_spawn_begin may
 * end the job. */

void job_spawn_begin(struct job *job);
/* deadlines.spawn_by_ms has passed. */
void job_spawn_timer(struct job *job);
/* Cancels the start; the job ends in a later turn of the loop. */
void job_spawn_stop(struct job *job);

/* streams.c */

/* Takes over the pipes in job->launch.spawned. AFAR_ESYSTEM, AFAR_ENOMEM: they cannot be
 * watched. */
enum afar_status job_streams_open(struct job *job, struct afar_error *err);
void job_streams_close(struct job *job);

/* Reads both streams as long as there is data and room. */
void job_streams_read(struct job *job);

/* Retries what failed for lack of memory. */
void job_streams_retry(struct job *job);

/* True once both streams have ended. */
bool job_streams_ended(const struct job *job);

/* True if a stream is open but is not read because there is no room. */
bool job_streams_paused(const struct job *job);

/* terminal.c */

/* The command is about to begin, with the last size that was asked for. */
void job_terminal_begins(struct job *job);

/* The terminal's descriptors are open. Does nothing if the job is not on a terminal. */
void job_terminal_opened(struct job *job);

/* All input was written: sends the end-of-input key. stdin_source must be open. */
void job_terminal_end_input(struct job *job);

/* The terminal's descriptors are closed. */
void job_terminal_closed(struct job *job);

/* True if at least one of them is still open. */
bool job_terminal_is_open(const struct job *job);

/* Sends the end of input again if terminal.end_at_ms has passed. */
void job_terminal_run_timers(struct job *job, int64_t now_ms);

/* Sends the signal through the terminal. False: the caller must send it, because the job is not on
 * a terminal, a terminal does not send this signal, or sending failed. */
bool job_terminal_signal(struct job *job, int number);

/* record.c: writes what the terminal shows to launch.recording. Does nothing if that is NULL. */

/* The command runs on its terminal: starts recording. */
void job_record_open(struct job *job);

/* True: do not read the terminal before job_resume_output is called. */
bool job_record_is_full(const struct job *job);

/* Records output, and returns how much of it may be shown: less than all where the command ends
 * because the recording is full; from then on 0. */
size_t job_record_output(struct job *job, const void *data, size_t size);

/* True: that has happened, or writing has failed. What the command still writes is dropped. */
bool job_record_is_cut(const struct job *job);
void job_record_size(struct job *job, const struct screen_size *size);

/* No more output will come. True: the recording is on the disk, or was given up. False: job_advance
 * is called when it is. */
bool job_record_ended(struct job *job);
void job_record_close(struct job *job);

/* tree.c: all processes of the job: its group, its descendants, and their orphans. Only valid until
 * the leader has been reaped. */

void job_tree_init(struct job *job);
void job_tree_close(struct job *job);

/* Schedules this for all of the job's processes. */
void job_tree_want(struct job *job, enum tree_want want);

/* Continues if tree.again_at_ms has passed; gives up an op that hangs if tree.stuck_at_ms has. */
void job_tree_run_timers(struct job *job, int64_t now_ms);

/* True: nothing is in the sweeper or scheduled. job_tree_moved: the job has a new host. */
bool job_tree_rests(const struct job *job);
void job_tree_moved(struct job *job);

/* True: no process is left, or the sweep was given up. False: job_advance is called when it is
 * done. */
bool job_tree_swept(struct job *job);

/* left.c */

/* True: the processes that the command has left running may stay, within the limits. */
bool job_may_leave(const struct job *job);

/* A sweep is done. The job takes over sweep->result.spared. */
enum job_settlement {
    JOB_LEFT_SETTLED,
    JOB_LEFT_AGAIN, /* some must end: they are condemned in `sweep`, which must run again */
    JOB_LEFT_NONE   /* none may stay: end all, as without `leave` */
};
enum job_settlement job_left_settle(struct job *job, struct sweep *sweep);

/* The processes cannot be examined: none may stay. */
void job_left_give_up(struct job *job);

/* Fills in the receipt's part; job_left_note tells the place which processes stay. */
void job_left_describe(const struct job *job, struct afar_receipt *receipt);
void job_left_note(struct job *job);

/* end.c. After job_end_finished, _not_spawned, _quietly, _refused and _kept the job is freed, and
 * its owner has been told. */

/* The command and its output have ended; of its processes only the leader is left, to be reaped. */
void job_end_finished(struct job *job);
/* It was never started; launch.error and launch.spawned.stage say why. */
void job_end_not_spawned(struct job *job);
/* Its start hangs, or its process cannot be killed as the server goes down. Its owner is told; the
 * job stays in host->stuck until its companion returns. */
void job_end_given_up(struct job *job);
/* A job that was given up before can be freed: its owner is not told again. */
void job_end_quietly(struct job *job);
/* It was never started: too late, not allowed, or the server is going down. */
void job_end_refused(struct job *job);
/* A keeper has taken over its command. */
void job_end_kept(struct job *job);
void job_free(struct job *job);

/* files.c */

/* Watches launch.spawned.note_fd. */
void job_files_open(struct job *job);
/* Resumes reading notes after place->ops->file_room was false. */
void job_files_retry(struct job *job);
/* Reads the remaining notes: the process has ended. */
void job_files_close(struct job *job);

/* job.c */

/* When the processes that hold its output open are ended if they stay silent; DEADLINE_NEVER. */
int64_t job_linger_at_ms(const struct job *job);

/* The holders of its output have been killed. */
void job_end_linger(struct job *job, const struct afar_processes *holders);

/* Arms the timer after a deadline has changed. */
void job_set_timer(struct job *job);

/* Changes the state if streams or processes have ended, and sets the timer. May end and free the
 * job: call it last. */
void job_advance(struct job *job);

#endif
