/* What the files of this folder share; for them only. */
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

/* What is to be done to all of a job's processes; bits. */
enum tree_want {
    TREE_END = 1 << 0,    /* TERM, and CONT: one that is stopped would not see it */
    TREE_KILL = 1 << 1,   /* KILL */
    TREE_LINGER = 1 << 2, /* the same to those that hold its output open, who are named */
    TREE_LEAVE = 1 << 3,  /* the same to those that may not stay, of what the command has left */
    TREE_SWEEP = 1 << 4   /* to all, until none is left */
};

/* Its processes are looked for in the host's sweeper, a part at a time. */
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

/* What the command has left running, and leaves. See left.c. */
struct job_left {
    struct family_member *members; /* owned; the oldest first */
    size_t count;
    unsigned rounds; /* in which some were beyond a limit */
    bool given_up;   /* all of it is ended, as without `leave` */
    bool limited;
    struct job_stay_limit limit; /* where limited */
};

struct job_pipe {
    struct loop_source source; /* fd -1: closed */
    struct job *job;
    enum stream stream;
    bool paused;   /* no room: not read until job_resume_output */
    bool grown;    /* holds more than pipes do by themselves, or may not */
    bool unwanted; /* closed before it was opened */
};

struct job_streams {
    struct job_pipe output[2]; /* by enum stream */
    struct digest *digest[2];  /* NULL: not asked for */
    uint64_t output_bytes[2];
    bool output_lost; /* a pipe could not be read to its end */
    bool output_over; /* more than its rule's max_output has come; the rest is dropped */

    struct loop_source notes_source; /* of a file server; fd -1: none */
    struct buffer notes;             /* of these, what has not come whole */

    struct loop_source stdin_source; /* fd -1: closed */
    struct buffer input;             /* stdin that the pipe has not taken yet */
    bool input_eof;
    bool input_grown; /* likewise stdin's pipe */
    uint64_t stdin_taken;
    uint64_t stdin_delivered;
};

/* See terminal.c. Of no meaning where the job is on none. */
struct job_terminal {
    struct screen_size size; /* the last that was told … */
    bool resized;            /* … since the request */
    bool in_line;            /* the last byte of input was no newline */
    bool input_over;
    bool counted;       /* in the figures */
    unsigned keys_left; /* of those that end input, to be sent now */
    unsigned times;     /* that they were sent */
    int64_t end_at_ms;  /* they are sent (again) */
    uint64_t output_then;
};

/* See record.c. `file`, `back`, `failed`, `gap` and `last` are the companion's while it is busy. */
struct job_record {
    struct task task;
    struct recording *file; /* launch.recording; borrowed */
    struct cast cast;
    struct buffer front; /* lines that gather … */
    struct buffer back;  /* … and that are being written */
    uint64_t max_bytes;
    bool goes_on; /* so does the command, where it cannot be written */
    int64_t start_us;
    int failed; /* an errno */
    bool open;
    bool busy;
    bool lost;         /* a line could not be made; nothing more is put into `front` … */
    bool gap;          /* … and that is missing behind what is being written */
    bool over;         /* it has failed: nothing more is written */
    bool ending;       /* nothing more will come … */
    bool last;         /* … nor behind what is being written … */
    bool done;         /* … and that is on the disk */
    char message[160]; /* for the receipt, where that has ended the job; "": it has not */
};

/* When something is due; DEADLINE_NEVER: nothing. Those of the tree are in there. */
struct job_deadlines {
    struct timer timer;  /* the earliest of all */
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
};

/* The host's view of a start that is under way: see spawn.c. */
struct job_spawning {
    int64_t posted_ms;
    int64_t timeout_ms; /* as it was then; 0: no limit */
    bool waits;         /* for job_spawn_turn */
    bool cancelled;
    bool timed_out;
};

struct job {
    struct job_host *host;
    struct job_place *place;
    struct list link;        /* in host->jobs, or host->stuck */
    struct job_owner *owner; /* NULL: abandoned */
    enum job_state state;
    char label[192];

    struct job_launch launch; /* while SPAWNING the companion's, but for what is fixed */
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
    bool stop_reached; /* a signal to end it has reached it … */
    bool stop_failed;  /* … or none could, and it has ended by itself */
    enum afar_outcome stop_outcome;
    int early_signal; /* came while SPAWNING */
    bool lingered;    /* linger has run out: the holders of its output are being killed … */
    bool held_open;   /* … and has been: read what is there, then close */
    struct afar_processes held_by; /* where lingered */
    bool unwatched; /* its end could not be watched: it is killed, and counts as not started */
    bool given_up;  /* its owner has been told; its companion hangs */
    bool end_noted; /* in the audit log, where its start is */
    int64_t exited_us;
};

/* spawn.c: the host's part of starting, while SPAWNING. Each but the first may end the job. */

void job_spawn_begin(struct job *job);
/* spawn_by_ms has come. */
void job_spawn_timer(struct job *job);
/* It is to end, in a later turn. */
void job_spawn_stop(struct job *job);

/* streams.c */

/* Takes over the pipes of job->launch.spawned. AFAR_ESYSTEM: they cannot be watched. */
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

/* terminal.c */

/* Its descriptors are there. */
void job_terminal_opened(struct job *job);

/* All input has been given; stdin_source is open. */
void job_terminal_end_input(struct job *job);

/* They are closed. */
void job_terminal_closed(struct job *job);

/* Of those one is still open. */
bool job_terminal_is_open(const struct job *job);

/* terminal.end_at_ms may have come. */
void job_terminal_run_timers(struct job *job, int64_t now_ms);

/* True: the signal is one that a terminal sends, and it has. */
bool job_terminal_signal(struct job *job, int number);

/* record.c: what is shown on its terminal, into launch.recording where there is one. */

/* The command runs, on its terminal. */
void job_record_open(struct job *job);

/* True: the terminal is not to be read before job_resume_output is called. */
bool job_record_is_full(const struct job *job);
void job_record_output(struct job *job, const void *data, size_t size);
void job_record_size(struct job *job, const struct screen_size *size);

/* Nothing more comes. True: all of it is on the disk, or given up. False: job_advance is called
 * again. */
bool job_record_ended(struct job *job);
void job_record_close(struct job *job);

/* tree.c. All of the job: its group, all that descends from it, and the orphans among that.
 * Until the leader has been reaped. */

void job_tree_init(struct job *job);
void job_tree_close(struct job *job);

/* Does this to all of them, soon. */
void job_tree_want(struct job *job, enum tree_want want);

/* tree.again_at_ms or tree.stuck_at_ms may have come. */
void job_tree_run_timers(struct job *job, int64_t now_ms);

/* Nothing of it is in the sweeper, or is to be; and its job has another host now. */
bool job_tree_rests(const struct job *job);
void job_tree_moved(struct job *job);

/* True: nothing is left of it, or it has been given up. False: job_advance is called again. */
bool job_tree_swept(struct job *job);

/* left.c */

/* True: what the command, which has ended, has left may stay, as far as there is room for it. */
bool job_may_leave(const struct job *job);

/* A look at it is done. The job takes what *result lists. */
enum job_settlement {
    JOB_LEFT_SETTLED,
    JOB_LEFT_AGAIN, /* some may not stay: `sweep` has been told, and is to look again */
    JOB_LEFT_NONE   /* nothing may: it is to be ended as ever */
};
enum job_settlement job_left_settle(struct job *job, struct sweep *sweep);

/* It cannot be looked at: the same. */
void job_left_give_up(struct job *job);

/* Into the receipt; and to its place, once that is done. */
void job_left_describe(const struct job *job, struct afar_receipt *receipt);
void job_left_note(struct job *job);

/* end.c. After each of the first three the job is gone, and its owner has been told. */

/* The command and its output have ended, and nothing is left of it but the leader's status. */
void job_end_finished(struct job *job);
/* It was never started: as launch.error and launch.spawned.stage say. */
void job_end_not_spawned(struct job *job);
/* Its start, or (as the server goes down) its process, hangs and cannot be ended: its owner is
 * told, the job stays until that is over. */
void job_end_given_up(struct job *job);
/* Now it is, and nothing was started. */
void job_end_quietly(struct job *job);
/* It was never started: too late, not allowed, or the server is going down. */
void job_end_refused(struct job *job);
/* A keeper has its command. */
void job_end_kept(struct job *job);
void job_free(struct job *job);

/* files.c */

/* Watches launch.spawned.note_fd. */
void job_files_open(struct job *job);
/* Goes on where there was no room. */
void job_files_retry(struct job *job);
/* Takes what is left: the process has ended. */
void job_files_close(struct job *job);

/* job.c */

/* The holders of its output have been killed. */
void job_end_linger(struct job *job, const struct afar_processes *holders);

/* One of its deadlines has changed. */
void job_set_timer(struct job *job);

/* Looks at what has changed: sets the timer, and where everything has ended, ends the job, which is
 * then gone. To be called last. */
void job_advance(struct job *job);

#endif
