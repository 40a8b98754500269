/* The kept commands of this server: who has which, by what name, and what has become of each.
 *
 *     kept_claim ── judged ──▶ kept_begin ─▶ LIVE ─ its keeper has ended ─▶ ENDED ─ forget, time ─▶ gone
 *         └── refused, failed: kept_drop
 *
 * The folders under state_directory are the truth; this is what can be known of them without a look
 * at a disk. A name (key) is claimed before anything is started, and given back where nothing was.
 *
 * Owns:    the entries, and the folders that they stand for.
 * Threads: any; one mutex, never held while a disk or a keeper is waited for.
 * Blocks:  what says so: for a companion, or before the server listens.
 * Limits:  keep_max, keep_per_identity, keep_bytes. A place in the registry as long as it runs. */
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

/* What it needs, all *kept*. */
struct kept_setup {
    struct log *log;
    struct audit *audit; /* NULL: none */
    struct registry *registry;
};

/* Blocks. Opens the state folder, and picks up every job in it; those that run take their places.
 * NULL where the configuration names none. AFAR_ESYSTEM (also: another server has it), AFAR_ENOMEM.
 */
enum afar_status kept_open(struct kept **kept, const struct config *config,
                           const struct kept_setup *setup, struct afar_error *err);
void kept_free(struct kept *kept);

/* From now on; any thread. */
void kept_set_limits(struct kept *kept, const struct config *config);

/* How many there are whose keeper has not ended, as far as that is known; *ended: the others. NULL:
 * none. *bytes: of output on the disk, as it was seen last. */
size_t kept_count(struct kept *kept, size_t *ended, uint64_t *bytes);

/* The server stops. From `at_ms` on (CLOCK_MONOTONIC) the jobs that run are ended in order; called
 * again, at the earlier time. They end by themselves: kept_count tells. */
void kept_stop(struct kept *kept, int64_t at_ms);

/* Whether such a job may run; any thread. */
bool kept_is_live(struct kept *kept, const char *job);

/* ---- in a worker ----------------------------------------------------------------------------- */

/* What is asked for as a hash, by which it is compared under its name. AFAR_ENOMEM. */
enum afar_status kept_describe(const struct kept *kept, const struct exec_request *request,
                               char asked[DIGEST_HEX_BYTES], struct afar_error *err);

enum kept_claim {
    KEPT_FRESH, /* *entry is the caller's: kept_begin or kept_drop must follow */
    KEPT_KNOWN, /* this owner has it under that name already */
    KEPT_OTHER, /* … but another command */
    KEPT_FULL   /* no more of them, and none of this owner's that have ended without a name, whose
                 * place it would get: *limit names the key */
};
enum kept_claim kept_claim(struct kept *kept, const struct jobdir_request *request,
                           struct kept_entry **entry, const char **limit);

/* It was not begun. NULL is fine. */
void kept_drop(struct kept *kept, struct kept_entry *entry);

/* As it was claimed. */
const struct jobdir_request *kept_request(const struct kept_entry *entry);

/* Whose job (NULL: anybody's) is known by this id, or, where that is "", by the holder of its exec.
 */
bool kept_find(struct kept *kept, const char *owner, const char *id, const char *holder,
               char job[MESSAGE_JOB_ID_BYTES]);

/* ---- in a companion: all of these block ------------------------------------------------------ */

/* Starts its keeper, which has the place from then on. On failure it is as if dropped, and nothing
 * runs. AFAR_ELIMIT: no room on the disk. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status kept_begin(struct kept *kept, struct kept_entry *entry,
                            struct jobdir_request *request, const struct keep_order *order,
                            int fence_fd, struct registry_entry *place, struct afar_error *err);

/* Waits for what somebody else is starting under this name. AFAR_EAGAIN: it still is, or nothing
 * came of it. */
enum afar_status kept_wait(struct kept *kept, const char *owner, const char *key,
                           char job[MESSAGE_JOB_ID_BYTES], struct afar_error *err);

/* A connection to its keeper, or to one that reads its folder; the token has been shown. AFAR_EINVAL:
 * there is no such job (any more). AFAR_EAGAIN: not now. AFAR_ESYSTEM. */
enum afar_status kept_connect(struct kept *kept, const char *job, int *fd, struct afar_error *err);

/* AFAR_EINVAL: no such job runs. AFAR_ESYSTEM. */
enum afar_status kept_kill(struct kept *kept, const char *job, const char *name,
                           struct afar_error *err);

/* AFAR_EINVAL: no such job. AFAR_EAGAIN: it runs. AFAR_ESYSTEM. */
enum afar_status kept_forget(struct kept *kept, const char *job, struct afar_error *err);

/* The jobs of `owner` (NULL: all) whose id comes after `after`, in their order; `all`: also those
 * that have ended. At most `room`; *more: there are others. */
size_t kept_list(struct kept *kept, const char *owner, const char *after, bool all,
                 struct message_job *jobs, size_t room, bool *more);

#endif
