/* A job: a command that runs here. place.h creates jobs; this header is for their owners.
 *
 *     QUEUED ─────▶ SPAWNING ─────▶ RUNNING ─────▶ DRAINING ─────▶ SWEEPING ─────▶ gone
 *     waits for     the companion   the command    the command     its output has
 *     a place       starts it       runs           has ended, its  ended, its
 *                                                  output has not  orphans have not
 *
 * The owner (a protocol's run) gets the output and is told of every change by its ops. If the
 * owner goes away first, job_abandon ends the command; the job then stays until its process has
 * been reaped.
 *
 * Owns:    the request, the process, the pipes, the timers. It frees itself after ops->ended,
 *          ops->kept or ops->refused; if abandoned, when the process is gone.
 * Threads: its host's only. While SPAWNING the companion uses its struct job_launch.
 * Blocks:  never.
 * Limits:  stdin that the command has not read: MESSAGE_STDIN_CREDIT_BYTES. Output: the room that
 *          the owner reserves. */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/receipt.h>

#include "base/error.h"
#include "wire/message.h"
#include "wire/refusal.h"

/* The only subsystem. */
#define JOB_FILES "sftp"

struct job;
struct job_owner;

struct job_owner_ops {
    /* The command has been started. */
    void (*started)(struct job_owner *owner);
    /* Room for output, as from output_log_reserve. AFAR_EAGAIN: no room; the job does not read
     * until job_resume_output. AFAR_ENOMEM: the job tries again after a short pause. */
    enum afar_status (*reserve)(struct job_owner *owner, enum stream stream, uint8_t **room,
                                size_t *size, struct afar_error *err);
    /* `size` bytes were put into the room; 0 gives it back. */
    void (*commit)(struct job_owner *owner, enum stream stream, size_t size);
    /* The command has read more of its standard input: job_stdin_taken has grown. */
    void (*stdin_taken)(struct job_owner *owner);
    /* The job has ended. It is freed before this is called. */
    void (*ended)(struct job_owner *owner, const struct afar_receipt *receipt);
    /* A keeper has taken over the command, which runs under this id. The job is freed before this
     * is called. May be NULL if no request asks for a keeper. */
    void (*kept)(struct job_owner *owner, const char *id);
    /* The command was not and will not be started: start_within_ms has passed, the server is going
     * down, or the rules do not allow it. The job is freed before this is called. */
    void (*refused)(struct job_owner *owner, const struct refusal *refusal);
};

/* Embedded in the owner's object. */
struct job_owner {
    const struct job_owner_ops *ops;
};

/* The random id. Borrowed. */
const char *job_id(const struct job *job);

/* The owner goes away: its ops are not called any more, output is dropped, and the command is
 * ended. */
void job_abandon(struct job *job);

/* The rule that it runs by. NULL: there is no rule, or it does not run yet. Borrowed. */
const struct rule *job_rule(const struct job *job);

/* It waits for a place. */
bool job_is_queued(const struct job *job);

/* True once the command has been started, also after it has ended. */
bool job_has_run(const struct job *job);

/* Ends the command: sends TERM to all of its processes, and KILL after kill_grace_ms. `outcome`
 * goes into the receipt. Only the first call has an effect. A queued job is refused in a later turn
 * of the loop. */
void job_stop(struct job *job, enum afar_outcome outcome);

/* The server accepts no more work: refuses the job if it is queued, in a later turn of the loop. */
void job_drain(struct job *job);

/* Sends KILL immediately: the server goes down. A job whose processes cannot be signalled is given
 * up: its owner is told, and it leaves the host's list. */
void job_kill(struct job *job, enum afar_outcome outcome);

/* Signals the command's process group. Before the command runs the signal is kept (only the last
 * one) and sent later. On a terminal INT, QUIT and TSTP go to the foreground process group, and HUP
 * hangs up the terminal. */
void job_signal(struct job *job, int number);

/* Writes `size` bytes to standard input. The caller must not write more than
 * MESSAGE_STDIN_CREDIT_BYTES beyond job_stdin_taken. Bytes that can no longer be read count as
 * taken. AFAR_ENOMEM; AFAR_ELIMIT: the caller wrote more than it may. */
enum afar_status job_write_stdin(struct job *job, const void *data, size_t size,
                                 struct afar_error *err);
void job_close_stdin(struct job *job);
uint64_t job_stdin_taken(const struct job *job);

/* The owner has room for output again. */
void job_resume_output(struct job *job);

/* Closes our end of an output pipe: the command's next write fails with SIGPIPE or EPIPE. On a
 * terminal this hangs up, for either stream. */
void job_close_output(struct job *job, enum stream stream);

bool job_is_on_terminal(const struct job *job);

/* Raises the limit of stdin that may wait to be read to `bytes`; never lowers it. */
void job_allow_stdin(struct job *job, size_t bytes);

/* job_resize does nothing if the job is not on a terminal; before the command runs the size is kept
 * and applied later. job_hang_up is for jobs on a terminal only: it closes the terminal as a closed
 * window does, which the command may survive. */
void job_resize(struct job *job, const struct screen_size *size);
void job_hang_up(struct job *job);

/* Puts a mark into its recording, if it has one: a reader has come, gone or changed. */
void job_record_mark(struct job *job, const char *what);

/* The size from the last job_resize, else from the request. Only for a job on a terminal.
 * Borrowed. */
const struct screen_size *job_screen(const struct job *job);

/* The name of the command's terminal, as the command sees it. NULL: it has none. Borrowed. */
const char *job_terminal_name(const struct job *job);

#endif
