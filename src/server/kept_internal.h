/* What kept.c (the table), kept_settle.c (what has become of one) and kept_talk.c (speaking with
 * keepers) share. For those only. */
#ifndef SERVER_KEPT_INTERNAL_H
#define SERVER_KEPT_INTERNAL_H

#include <pthread.h>

#include "base/list.h"
#include "server/kept.h"

enum kept_state { KEPT_STARTING, KEPT_LIVE, KEPT_ENDED };

struct kept_entry {
    struct list link; /* guarded by kept->lock, as the rest is but for a STARTING one's request */
    enum kept_state state;
    struct jobdir_request request;
    /* ENDED */
    enum afar_outcome outcome;
    int code;
    char signal[AFAR_SIGNAL_NAME_BYTES];
    uint64_t bytes[2];
    uint64_t ended_us;
};

struct kept {
    pthread_mutex_t lock;
    struct list entries; /* guarded by lock, as the limits */
    size_t count;
    uint64_t keep_max;
    uint64_t keep_per_identity;
    uint64_t keep_ms;
    uint64_t key_ms;
    struct log *log;
    struct audit *audit; /* NULL: none */
    int state_fd;        /* each its lock's, the folder's … */
    int lock_fd;
    int jobs_fd;
    char secret[DIGEST_HEX_BYTES]; /* which makes hashes of requests worthless elsewhere */
};

/* With the lock held. NULL: none. */
struct kept_entry *kept_entry_locked(struct kept *kept, const char *job);

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
void kept_note_end(struct kept_entry *entry, const struct jobdir_end *end);

/* Removes what has been there for long enough. */
void kept_evict(struct kept *kept);

#endif
