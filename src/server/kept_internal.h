/* Shared by kept.c (the table), kept_settle.c (how one has ended), kept_talk.c (talks to keepers),
 * kept_watch.c (notices their ends) and kept_evict.c (what is removed when). For those only. */
#ifndef SERVER_KEPT_INTERNAL_H
#define SERVER_KEPT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "server/kept.h"

enum kept_state { KEPT_STARTING, KEPT_LIVE, KEPT_ENDED };

struct kept_entry {
    struct list link; /* guarded by kept->lock, like the rest except a STARTING one's request */
    struct jobdir_request request;
    struct registry_hold hold; /* LIVE: its place in the registry */
    uint64_t output_bytes;     /* its output on the disk */
    enum kept_state state;
    unsigned round;  /* the round in which it was last measured */
    bool measured;   /* LIVE, ENDED: output_bytes is known */
    bool watched;    /* LIVE: kept_watch.c watches its keeper */
    bool told;       /* LIVE: it was told to end, as the server stops */
    bool unreadable; /* LIVE, ENDED: at the last look its folder could not be read. It has no place
                        then if it never could, and its request may be incomplete */
    bool condemned;  /* ENDED: its place was given away: it is removed soon */
    bool by_word;    /* ENDED: only its keeper has said so: nobody has looked at its folder since */
    char driver[MESSAGE_HOLDER_BYTES]; /* who drives it, as far as is known; "": nobody */
    /* ENDED */
    char signal[AFAR_SIGNAL_NAME_BYTES];
    enum afar_outcome outcome;
    int code;
    uint64_t bytes[2];
    uint64_t ended_us;
};

struct kept {
    pthread_mutex_t lock;
    pthread_mutex_t audit_lock; /* held across disk writes: one end line, even if two threads see
                                   the end */
    struct list entries;        /* guarded by lock, like the limits */
    uint64_t keep_max;
    uint64_t keep_per_identity;
    uint64_t keep_bytes;
    uint64_t keep_ms;
    uint64_t key_ms;
    int64_t stop_at_ms; /* INT64_MAX: the server goes on */
    struct log *log;
    struct audit *audit; /* NULL: none */
    struct registry *registry;
    int program_fd;           /* as in struct kept_setup */
    struct kept_watch *watch; /* NULL: not yet */
    atomic_bool makes_room;   /* there are condemned entries */
    atomic_bool looks_again;  /* somebody waits for what is unreadable: look at it now */
    int state_fd;             /* the folder; then its lock file and its jobs */
    int lock_fd;
    int jobs_fd;
    char secret[DIGEST_HEX_BYTES]; /* keys the hashes of requests, so that they tell others
                                      nothing */
};

/* With the lock held. The entry of a job that is not STARTING; NULL: none. */
struct kept_entry *kept_entry_locked(struct kept *kept, const char *job);

/* Frees an entry that is in no list, and gives its place back. NULL is fine. */
void kept_entry_free(struct kept *kept, struct kept_entry *entry);

/* kept_talk.c. Blocks. Opens a connection to the job's keeper that shows when the keeper or the job
 * ends; the caller closes *fd. AFAR_ECLOSED: there is no keeper. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status kept_listen(struct kept *kept, const char *job, int *fd, struct afar_error *err);

/* kept_talk.c. Blocks. Tells the job to end, as the server stops. Errors as kept_kill. */
enum afar_status kept_end(struct kept *kept, const char *job, struct afar_error *err);

/* kept_talk.c. Blocks. Asks the keepers of the running ones among `jobs` for what they know and
 * fills it in. A keeper that was reached and does not answer within LIST_MS (for all together)
 * makes its job `unreachable`. */
void kept_ask_all(struct kept *kept, struct message_job *jobs, size_t count);

/* kept_settle.c. Blocks. */

enum kept_fate {
    KEPT_IS_LIVE,   /* its keeper runs */
    KEPT_HAS_ENDED, /* *end says how; it was written now if the keeper was killed */
    KEPT_NEVER_RAN, /* its command was never started; the folder is removed */
    KEPT_IS_GONE,   /* its folder does not exist any more */
    KEPT_UNREADABLE /* its folder cannot be read and is left alone */
};
enum kept_fate kept_settle(struct kept *kept, const char *job, int folder_fd,
                           const struct jobdir_request *request, struct jobdir_end *end);

/* Writes the job's end to the audit log unless it has been written. */
void kept_audit_end(struct kept *kept, int folder_fd, const struct jobdir_request *request,
                    const struct jobdir_end *end);

/* Before the server listens: enters the jobs of all folders, also those that cannot be read: their
 * names stay taken. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status kept_pick_up(struct kept *kept, struct afar_error *err);

/* Whether the job's folder is certain not to exist (any more). */
bool kept_is_gone(const struct kept *kept, const char *job);

/* kept_look: kept_settle and kept_audit_end for a job, and enters the result in the table.
 * kept_note_end: enters an end; with the lock held. */
enum kept_fate kept_look(struct kept *kept, const char *job);
void kept_note_end(struct kept *kept, struct kept_entry *entry, const struct jobdir_end *end);

/* kept_evict.c */

/* With the lock held: returns the bytes of all output that has been measured; *live: those of jobs
 * that have not ended, which cannot be removed. */
uint64_t kept_output_locked(const struct kept *kept, uint64_t *live);

/* With the lock held: how many places `owner` (NULL: all) has in use. */
size_t kept_places_locked(const struct kept *kept, const char *owner);

/* With the lock held: takes the place of the owner's oldest ended job without a name.
 * kept_watch_wake then has it removed. False: there is none. */
bool kept_make_room_locked(struct kept *kept, const char *owner);

/* Blocks. Removes what is condemned or too old, and the oldest output if there is too much. */
void kept_evict(struct kept *kept);

/* Blocks. Measures the output of one job; or of all that run or were never measured, each once per
 * `round` (1, 2, …). */
void kept_measure(struct kept *kept, const char *job);
void kept_measure_all(struct kept *kept, unsigned round);

/* kept_watch.c: a thread that is connected to every keeper */

/* AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status kept_watch_start(struct kept *kept, struct afar_error *err);
void kept_watch_end(struct kept *kept);

/* There is another job, or another time to stop. Any thread, with or without the lock. */
void kept_watch_wake(struct kept *kept);

#endif
