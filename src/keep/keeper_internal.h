/* Shared by start.c, main.c, kept_job.c, reader.c, reader_ask.c and reader_room.c only. */
#ifndef KEEP_KEEPER_INTERNAL_H
#define KEEP_KEEPER_INTERNAL_H

#include "job/place.h"
#include "keep/keeper.h"
#include "keep/screen.h"
#include "keep/spool.h"
#include "wire/frame.h"
#include "wire/run_host.h"

#define KEEPER_READ "--read"

enum {
    KEEPER_AGAIN_MS = 1000, /* pause before a failed write is retried */
    /* The server's window_max_bytes is at most this; it passes the smaller of that and the client's
     * window_max on in `attach`. */
    KEEPER_WINDOW_MOST_BYTES = 64 << 20
};

/* The descriptors that a keeper is started with. */
enum {
    KEEPER_FIRST_FD = 3,
    KEEPER_ORDER_FD = 3,
    KEEPER_STATUS_FD = 4,
    KEEPER_LOCK_FD = 5,
    KEEPER_LISTENER_FD = 6,
    KEEPER_FOLDER_FD = 7,
    KEEPER_FENCE_FD = 8,
    KEEPER_PROGRAM_FD = 9, /* what it was executed from; it closes this */
    KEEPER_FDS = 7
};

struct keeper {
    struct job_host host; /* its loop exists even if there is no job */
    struct mailbox mailbox;
    struct counters counters;
    struct figures figures;
    struct order_taken *order; /* NULL: it serves an ended job */
    struct jobdir_request request;
    char token[JOBDIR_TOKEN_BYTES];
    int folder_fd;
    int lock_fd;
    int fence_fd; /* 0: none */
    struct spool *spool;

    struct job_owner owner;
    struct job_place place;
    struct job_decider decider;
    struct job *job; /* NULL: the job has ended */
    bool started;
    bool killed;        /* by a `kill` request */
    bool ended;         /* `end` is filled in */
    bool stored;        /* `end` is on the disk */
    bool resting;       /* does not accept until the timer fires: descriptors or memory ran out */
    bool part_is_point; /* a reader can begin after the frame of `part` */
    bool done;
    struct jobdir_end end;
    uint8_t room[SPOOL_RECORD_BYTES];  /* output of the job */
    enum stream waiting_stream;        /* the stream of the output in `room` */
    size_t waiting;                    /* bytes in `room` that the spool has not taken yet */
    size_t waiting_from;               /* where they begin */
    size_t part;                       /* size of the next frame; 0: not known yet */
    struct screen screen;              /* if the job is on a terminal */
    struct jobdir_recording recording; /* path "": there is none, or it is not finished */

    struct run_host run; /* for the reader that drives the job */
    struct run_spool run_spool;
    struct spool_cursor cursor;
    struct loop_source listener;
    struct list readers;
    size_t reader_count;
    struct loop_deferred pump; /* sends new output to all readers */
    struct timer timer;        /* runs while a write is to be retried, or the keeper is to end */
    int64_t leave_at_ms;       /* DEADLINE_NEVER: not yet */
};

/* kept_job.c */

/* Starts the command. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status kept_job_begin(struct keeper *keeper, struct afar_error *err);

/* Retries writes that have failed. */
void kept_job_retry(struct keeper *keeper);

/* Whether it is on a terminal. */
bool kept_job_on_terminal(const struct keeper *keeper);

/* find_screen: sets the frame where a new terminal's output begins. tell_screen: fills in what that
 * terminal must be told first. */
void kept_job_find_screen(struct keeper *keeper, struct message_attach *attach);
void kept_job_tell_screen(const struct keeper *keeper, bool is_new,
                          struct message_attached *attached);

/* The driving reader has acknowledged output: may make room. */
void kept_job_resume(struct keeper *keeper);

enum message_job_state kept_job_state(const struct keeper *keeper);

/* reader.c */

/* Accepts connections from the listener. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status readers_open(struct keeper *keeper, int listener_fd, struct afar_error *err);

/* The pause after a failed accept is over. */
void readers_accept_again(struct keeper *keeper);

/* Sends what is new to the readers. May free readers. */
void readers_pump(struct keeper *keeper);

/* The command runs: tells the readers that were told that it was starting. */
void readers_tell_started(struct keeper *keeper);

#endif
