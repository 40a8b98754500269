/* What the keeper's files share: start.c, main.c, kept_job.c, reader.c. For those only. */
#ifndef KEEP_KEEPER_INTERNAL_H
#define KEEP_KEEPER_INTERNAL_H

#include "job/place.h"
#include "keep/keeper.h"
#include "keep/screen.h"
#include "keep/spool.h"
#include "wire/frame.h"
#include "wire/run_host.h"

#define KEEPER_READ "--read"

enum { KEEPER_AGAIN_MS = 1000 }; /* then what a full disk has refused is tried again */

/* The descriptors that it is started with. */
enum {
    KEEPER_FIRST_FD = 3,
    KEEPER_ORDER_FD = 3,
    KEEPER_STATUS_FD = 4,
    KEEPER_LOCK_FD = 5,
    KEEPER_LISTENER_FD = 6,
    KEEPER_FOLDER_FD = 7,
    KEEPER_FENCE_FD = 8,
    KEEPER_FDS = 6
};

struct keeper {
    struct job_host host; /* its loop is there also where there is no job */
    struct mailbox mailbox;
    struct counters counters;
    struct figures figures;
    struct order_taken *order; /* NULL: it only reads */
    struct jobdir_request request;
    char token[JOBDIR_TOKEN_BYTES];
    int folder_fd;
    int lock_fd;
    int fence_fd; /* 0: none */
    struct spool *spool;

    struct job_owner owner;
    struct job_place place;
    struct job_decider decider;
    struct job *job; /* NULL: it has ended */
    bool started;
    bool killed; /* by request */
    bool ended;  /* `end` is complete … */
    bool stored; /* … and on the disk */
    struct jobdir_end end;
    uint8_t room[SPOOL_RECORD_BYTES];  /* what the job has written … */
    enum stream waiting_stream;        /* … and no disk has taken yet (WHEN_FULL_BLOCK) … */
    size_t waiting;                    /* … so much … */
    size_t waiting_from;               /* … from there on */
    size_t part;                       /* the next frame's part of it; 0: not known yet */
    bool part_is_point;                /* of the screen's */
    struct screen screen;              /* of a job on a terminal */
    struct jobdir_recording recording; /* which is complete; path "": it is not, or there is none */

    struct run_host run; /* of who drives the job */
    struct run_spool run_spool;
    struct spool_cursor cursor;
    struct loop_source listener;
    struct list readers;
    size_t reader_count;
    struct loop_deferred pump; /* gives all readers what is new */
    struct timer timer;        /* once a second while something is to be tried again, or to end */
    int64_t leave_at_ms;       /* DEADLINE_NEVER: not yet */
    bool done;
};

/* kept_job.c */

/* Starts the command. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status kept_job_begin(struct keeper *keeper, struct afar_error *err);

/* What could not be written is tried again. */
void kept_job_retry(struct keeper *keeper);

/* Whether it is on a terminal. */
bool kept_job_on_terminal(const struct keeper *keeper);

/* Where a terminal that has seen nothing begins, and what it must be told then. */
void kept_job_find_screen(struct keeper *keeper, struct message_attach *attach);
void kept_job_tell_screen(const struct keeper *keeper, bool is_new,
                          struct message_attached *attached);

/* The driver has taken something. */
void kept_job_resume(struct keeper *keeper);

enum message_job_state kept_job_state(const struct keeper *keeper);

/* reader.c */

/* Takes connections from the listener. AFAR_ESYSTEM. */
enum afar_status readers_open(struct keeper *keeper, int listener_fd, struct afar_error *err);

/* There is something for them. */
void readers_pump(struct keeper *keeper);

/* The command runs: who was told that it was starting hears of it. */
void readers_tell_started(struct keeper *keeper);

#endif
