/* A job: a running command and what is known of it. place.h makes them; this is for their owners.
 *
 *     QUEUED ─────▶ SPAWNING ─────▶ RUNNING ─────▶ DRAINING ─────▶ SWEEPING ─────▶ gone
 *     no place yet  (companion)     the command    it has ended,   and so has that,
 *                                                  its output not  its orphans have not
 *
 * The owner (a protocol's session) is told of everything by its ops and takes the output; when it
 * goes away first, job_abandon ends the command and the job looks after itself until the process
 * has been reaped.
 *
 * Owns:    the request, the process, the pipes, the timers. It frees itself after ops->ended or
 *          ops->refused, or, abandoned, when the process is gone.
 * Threads: its host's only. While SPAWNING the companion uses its struct job_launch.
 * Blocks:  never.
 * Limits:  stdin that the command has not read: MESSAGE_STDIN_CREDIT_BYTES. Output: what the owner
 *          reserves room for. */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/receipt.h>

#include "base/error.h"
#include "wire/message.h"
#include "wire/refusal.h"

/* The one subsystem that there is. */
#define JOB_FILES "sftp"

struct job;
struct job_owner;

struct job_owner_ops {
    /* The command runs. */
    void (*started)(struct job_owner *owner);
    /* Room for output, as output_log_reserve gives it. AFAR_EAGAIN: none until job_resume_output.
     * AFAR_ENOMEM: tried again a little later. */
    enum afar_status (*reserve)(struct job_owner *owner, enum stream stream, uint8_t **room,
                                size_t *size, struct afar_error *err);
    /* So many bytes were put into the room; 0 gives it back. */
    void (*commit)(struct job_owner *owner, enum stream stream, size_t size);
    /* The command has read more of its standard input: job_stdin_taken has grown. */
    void (*stdin_taken)(struct job_owner *owner);
    /* The end; the job is gone when this returns. */
    void (*ended)(struct job_owner *owner, const struct afar_receipt *receipt);
    /* It runs under this id, but its keeper has it; the job is gone. NULL: that cannot be. */
    void (*kept)(struct job_owner *owner, const char *id);
    /* It never started and never will: its start_within_ms has passed, the server is going down, or
     * the rules do not allow it. The job is gone likewise. */
    void (*refused)(struct job_owner *owner, const struct refusal *refusal);
};

/* Lies inside the session. */
struct job_owner {
    const struct job_owner_ops *ops;
};

/* The random id. Borrowed. */
const char *job_id(const struct job *job);

/* The owner is going away: no op is called any more, output is dropped, the command is ended. */
void job_abandon(struct job *job);

/* The rule by which it runs; NULL: none, or it does not run yet. Borrowed. */
const struct rule *job_rule(const struct job *job);

/* It waits for a place. */
bool job_is_queued(const struct job *job);

/* The command has been started; it may have ended since. */
bool job_has_run(const struct job *job);

/* Ends the command: TERM to all of it, after kill_grace_ms KILL. `outcome` goes into the receipt.
 * The first call counts. One that is still in the queue is refused in a later turn. */
void job_stop(struct job *job, enum afar_outcome outcome);

/* The server takes nothing new: a job that is still in the queue is refused in a later turn. */
void job_drain(struct job *job);

/* KILL, now: the server goes down. What cannot be killed is given up: its owner is told, and it
 * leaves the host's list. */
void job_kill(struct job *job, enum afar_outcome outcome);

/* Signals the command's process group; remembered until it runs. On a terminal INT, QUIT and TSTP
 * go to the foreground, and HUP hangs up. */
void job_signal(struct job *job, int number);

/* Gives `size` bytes of standard input; the caller keeps within MESSAGE_STDIN_CREDIT_BYTES of
 * job_stdin_taken. AFAR_ENOMEM. Bytes that nobody will read count as taken. */
enum afar_status job_write_stdin(struct job *job, const void *data, size_t size,
                                 struct afar_error *err);
void job_close_stdin(struct job *job);
uint64_t job_stdin_taken(const struct job *job);

/* There is room for output again. */
void job_resume_output(struct job *job);

/* Closes our end of an output pipe: the command's next write meets SIGPIPE or EPIPE. On a terminal
 * it is hung up, whichever stream is named. */
void job_close_output(struct job *job, enum stream stream);

bool job_is_on_terminal(const struct job *job);

/* So much of its input may wait from now on, where that is more than before. */
void job_allow_stdin(struct job *job, size_t bytes);

/* On a terminal, else nothing: its size, remembered until it runs; and the end that a closed window
 * makes, which it may survive. */
void job_resize(struct job *job, const struct screen_size *size);
void job_hang_up(struct job *job);

/* A mark in its recording, where there is one: who reads it has come, gone, or is another. */
void job_record_mark(struct job *job, const char *what);

/* The size that was told last, or asked for. Of a job on a terminal. Borrowed. */
const struct screen_size *job_screen(const struct job *job);

/* The name by which the command knows its terminal; borrowed; NULL: it has none. */
const char *job_terminal_name(const struct job *job);

#endif
