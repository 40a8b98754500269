/* The table of this server's kept commands: their owners, their names, and how each has ended.
 *
 *   kept_claim ── judged ──▶ kept_begin ─▶ LIVE ─ keeper has ended ─▶ ENDED ─ forget, age ─▶ gone
 *       └── refused, failed: kept_drop
 *
 * The folders under state_directory are authoritative; the table holds what can be answered without
 * reading a disk. A name (key) is claimed before anything is started, and released if nothing was.
 *
 * Owns:    the entries, and the folders that they stand for.
 * Threads: any; one mutex, never held while a disk or a keeper is waited for.
 * Blocks:  the functions that say so; call them from a companion, or before the server listens.
 * Limits:  keep_max, keep_per_identity, keep_bytes. A running command also has a place in the
 *          registry. */
#ifndef SERVER_KEPT_H
#define SERVER_KEPT_H

#include <stdbool.h>

#include "base/log.h"
#include "keep/keeper.h"
#include "policy/audit.h"
#include "policy/config.h"
#include "server/registry.h"

struct kept;
struct kept_entry;

/* What the table uses, all *kept*. */
struct kept_setup {
    struct log *log;
    struct audit *audit; /* NULL: none */
    struct registry *registry;
    int program_fd; /* the keepers' program (exec/own_program.h); 0: this one */
};

/* Blocks. Opens the state folder and enters every job in it; those that run take their places in
 * the registry. *kept is NULL if state_directory is not set. Free with kept_free. AFAR_ESYSTEM
 * (also: another server uses the folder), AFAR_ENOMEM. */
enum afar_status kept_open(struct kept **kept, const struct config *config,
                           const struct kept_setup *setup, struct afar_error *err);
void kept_free(struct kept *kept);

/* Uses these limits from now on. NULL is fine. */
void kept_set_limits(struct kept *kept, const struct config *config);

/* Returns the number of jobs whose keeper has not ended, as far as is known; *ended: that of the
 * others, without those that cannot be read; *bytes: their output on the disk when it was last
 * measured. All are 0 if `kept` is NULL. */
size_t kept_count(struct kept *kept, size_t *ended, uint64_t *bytes);

/* The server stops. From `at_ms` (CLOCK_MONOTONIC) on, the running jobs are told to end; of several
 * calls the earliest time counts. Does not wait for them: ask kept_count. NULL is fine. */
void kept_stop(struct kept *kept, int64_t at_ms);

/* True if the end of this server is the end of its kept jobs: by keep_on_stop, or because this
 * process is PID 1, with which all other processes end. */
bool kept_end_with_server(const struct config *config);

/* Whether the job is in the table and has not ended. */
bool kept_is_live(struct kept *kept, const char *job);

/* ---- in a worker ----------------------------------------------------------------------------- */

/* A hash of the request, to tell whether a second one under the same name asks for the same.
 * AFAR_ENOMEM, AFAR_EINVAL as digest_new. */
enum afar_status kept_describe(const struct kept *kept, const struct exec_request *request,
                               char asked[DIGEST_HEX_BYTES], struct afar_error *err);

enum kept_claim {
    KEPT_FRESH, /* *entry is the caller's: kept_begin or kept_drop must follow */
    KEPT_KNOWN, /* this owner has the same command under that name already */
    KEPT_OTHER, /* this owner has another command under that name */
    KEPT_DOUBT, /* the name of a job that cannot be read may be this one: *doubt is that job. (Once
                   its folder is gone, a later claim succeeds.) */
    KEPT_FULL   /* no place, and this owner has no ended job without a name that could give up
                   its own; or out of memory. *limit is the setting's name */
};
enum kept_claim kept_claim(struct kept *kept, const struct jobdir_request *request,
                           struct kept_entry **entry, const char **limit,
                           char doubt[MESSAGE_JOB_ID_BYTES]);

/* Releases a claim whose command was not begun. NULL is fine. */
void kept_drop(struct kept *kept, struct kept_entry *entry);

/* The request that was given to kept_claim. Borrowed from the entry. */
const struct jobdir_request *kept_request(const struct kept_entry *entry);

/* Finds a job of `owner` (NULL: of anyone) by `id`, or, if `id` is "", by the holder of its exec.
 * False: there is none. */
bool kept_find(struct kept *kept, const char *owner, const char *id, const char *holder,
               char job[MESSAGE_JOB_ID_BYTES]);

/* A client of `owner` is about to attach, to `job` or, if that is "", to its own job of that key.
 * True: it takes the command over, from another that has it or from another owner. (That is for the
 * audit log, whose line is written before the keeper is asked: the keeper may still refuse. After a
 * restart, whoever comes back first is known, and nobody before.) */
bool kept_take(struct kept *kept, const char *owner, const char *job, const char *key,
               const struct message_attach *attach);

/* The job's keeper has sent this receipt: its place is free when the client has it. */
void kept_hear_end(struct kept *kept, const char *job, const struct afar_receipt *receipt);

/* The client has left the command running: nobody has it. */
void kept_leave(struct kept *kept, const char *job, const char *holder);

/* in a companion: all of these block */

/* Starts the command's keeper, which takes over `place`. On failure the claim is released as by
 * kept_drop, and nothing runs. AFAR_ELIMIT: no room on the disk. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status kept_begin(struct kept *kept, struct kept_entry *entry,
                            struct jobdir_request *request, const struct keep_order *order,
                            int fence_fd, struct registry_entry *place, struct afar_error *err);

/* Waits until the job that another request is starting under this name has begun. AFAR_EAGAIN: it
 * is still starting, or could not be started. */
enum afar_status kept_wait(struct kept *kept, const char *owner, const char *key,
                           char job[MESSAGE_JOB_ID_BYTES], struct afar_error *err);

/* Connects to the job's keeper, or to a new one that reads its folder, and authenticates with the
 * folder's token. The caller closes *fd. AFAR_EINVAL: no such job (any more). AFAR_EAGAIN: the
 * keeper does not answer now. AFAR_ESYSTEM: also, its folder cannot be read. AFAR_ENOMEM. */
enum afar_status kept_connect(struct kept *kept, const char *job, int *fd, struct afar_error *err);

/* Sends the signal `name` to the job. AFAR_EINVAL: no such job runs. AFAR_EAGAIN: its keeper does
 * not answer now. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status kept_kill(struct kept *kept, const char *job, const char *name,
                           struct afar_error *err);

/* Removes an ended job, or one that cannot be read, and its folder. AFAR_EAGAIN: it runs.
 * AFAR_EINVAL: no such job (any more). AFAR_ESYSTEM: its folder cannot be removed, or whether it
 * runs cannot be found out. */
enum afar_status kept_forget(struct kept *kept, const char *job, struct afar_error *err);

/* Fills in up to `room` jobs of `owner` (NULL: of all) whose id is greater than `after`, in the
 * order of their ids, and returns how many. `all`: also those that have ended. *more: there are
 * others. */
size_t kept_list(struct kept *kept, const char *owner, const char *after, bool all,
                 struct message_job *jobs, size_t room, bool *more);

#endif
