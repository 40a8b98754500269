/* What kept.c (the table), kept_settle.c (what has become of one), kept_talk.c (speaking with
 * keepers), kept_watch.c (hearing of their ends) and kept_evict.c (for how long) share. For those only. */
#ifndef SERVER_KEPT_INTERNAL_H
#define SERVER_KEPT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "server/kept.h"

enum kept_state { KEPT_STARTING, KEPT_LIVE, KEPT_ENDED };

struct kept_entry {
    struct list link; /* guarded by kept->lock, as the rest is but for a STARTING one's request */
    enum kept_state state;
    struct jobdir_request request;
    struct registry_hold hold; /* LIVE: its place */
    bool watched;              /* LIVE: kept_watch.c has it */
    bool told;                 /* LIVE: to end, as the server stops */
    unsigned round;            /* in which it was looked at last */
    bool measured;             /* LIVE, ENDED: … */
    uint64_t output_bytes;     /* … of output on the disk */
    /* ENDED */
    enum afar_outcome outcome;
    int code;
    char signal[AFAR_SIGNAL_NAME_BYTES];
    uint64_t bytes[2];
    uint64_t ended_us;
    bool condemned; /* another has its place: it is removed soon */
};

struct kept {
    pthread_mutex_t lock;
    pthread_mutex_t audit_lock; /* held while the disk is waited for: two that see an end at once */
    struct list entries;        /* guarded by lock, as the limits */
    uint64_t keep_max;
    uint64_t keep_per_identity;
    uint64_t keep_bytes;
    uint64_t keep_ms;
    uint64_t key_ms;
    int64_t stop_at_ms; /* INT64_MAX: the server goes on */
    struct log *log;
    struct audit *audit; /* NULL: none */
    struct registry *registry;
    struct kept_watch *watch; /* NULL: not yet */
    atomic_bool makes_room;   /* there are condemned ones */
    int state_fd;             /* each its lock's, the folder's … */
    int lock_fd;
    int jobs_fd;
    char secret[DIGEST_HEX_BYTES]; /* which makes hashes of requests worthless elsewhere */
};

/* With the lock held. NULL: none. */
struct kept_entry *kept_entry_locked(struct kept *kept, const char *job);

/* It is out of the list: gives its place back. NULL is fine. */
void kept_entry_free(struct kept *kept, struct kept_entry *entry);

/* kept_talk.c. A connection that hears of its keeper's end, or of the job's. AFAR_ECLOSED: there is
 * no keeper. AFAR_ESYSTEM. */
enum afar_status kept_listen(struct kept *kept, const char *job, int *fd, struct afar_error *err);

/* Tells it to end, as the server stops. */
enum afar_status kept_end(struct kept *kept, const char *job, struct afar_error *err);

/* kept_talk.c. Blocks, for a time that does not depend on their number. */

/* What the keepers of those that run say of them; `unreachable` where one says nothing. */
void kept_ask_all(struct kept *kept, struct message_job *jobs, size_t count);

/* kept_settle.c. Blocks. */

enum kept_fate {
    KEPT_IS_LIVE,   /* its keeper lives */
    KEPT_HAS_ENDED, /* *end says how, also where that was found out just now */
    KEPT_NEVER_RAN, /* it was not begun, and is gone */
    KEPT_UNREADABLE /* it is left alone */
};
enum kept_fate kept_settle(struct kept *kept, const char *job, int folder_fd,
                           const struct jobdir_request *request, struct jobdir_end *end);

/* Its end, where the audit log has no line of it yet. */
void kept_audit_end(struct kept *kept, int folder_fd, const struct jobdir_request *request,
                    const struct jobdir_end *end);

/* The same, and the table knows of it. */
enum kept_fate kept_look(struct kept *kept, const char *job);
void kept_note_end(struct kept *kept, struct kept_entry *entry, const struct jobdir_end *end);

/* kept_evict.c */

/* With the lock held: of output, as far as it is measured; and of that, what nobody can remove. */
uint64_t kept_output_locked(const struct kept *kept, uint64_t *live);

/* With the lock held: how many there are of this owner (NULL: all). */
size_t kept_places_locked(const struct kept *kept, const char *owner);

/* With the lock held. The oldest of this owner that has ended and has no name gives up its place;
 * kept_watch_wake has it removed. False: there is none. */
bool kept_make_room_locked(struct kept *kept, const char *owner);

/* Removes what is condemned or has been there for long enough, and of output what is too much.
 * Blocks. */
void kept_evict(struct kept *kept);

/* Looks how much output there is of one; or of those that run and those that were not measured, each
 * once in a round, which has a number of its own from 1 on. Blocks. */
void kept_measure(struct kept *kept, const char *job);
void kept_measure_all(struct kept *kept, unsigned round);

/* kept_watch.c: a thread that is connected to every keeper. */

/* AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status kept_watch_start(struct kept *kept, struct afar_error *err);
void kept_watch_end(struct kept *kept);

/* There is another, or another time to stop. Any thread, with or without the lock. */
void kept_watch_wake(struct kept *kept);

#endif
