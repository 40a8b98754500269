/* Turns a request into a job: makes its argv, checks its size, claims a place or queues it; and is
 * the job's link to the rest of the server: the registry, the rules, the audit log.
 *
 * Owns:    a copy of everything it needs about the client, which may have gone when it is needed.
 * Threads: the worker's; what judge.c does, its companion's.
 * Blocks:  never.
 * Limits:  argv_bytes, env_bytes, and those of registry.h. */
#ifndef SERVER_PREPARE_H
#define SERVER_PREPARE_H

#include "job/job.h"
#include "net/address.h"
#include "policy/decide.h"
#include "server/worker.h"

/* What a denied client is told if deny_reason is brief. */
#define DENIED_BRIEFLY "the server does not allow this"

struct kept_entry;

/* Who asks. All of it is copied. */
struct job_origin {
    const char *label;          /* connection and identity, for log lines */
    struct address_group group; /* with identity: by whom log lines are summed up */
    unsigned long long connection;
    const char *identity;        /* a name of the client, for people */
    const char *owner;           /* all jobs of one owner are counted together */
    struct policy_client client; /* for the rules and the audit log */
    const char *local; /* the server's address, as address_format writes it; NULL: not needed */
    struct kept_entry *kept; /* *moved*, also on failure; NULL: do not keep the command */
    /* Called when the job has waited and its turn has come: checks that the client is still
     * trusted, and fills in *who (borrowed until the next call); who->names NULL: the client is
     * away, so use the names it had. On failure, *err is the refusal's text. NULL: jobs of this
     * origin never wait. */
    enum afar_status (*judge)(struct job_owner *owner, struct policy_client *who,
                              struct afar_error *err);
};

/* Starts `request` (*moved*, also on failure), or, if there is no place and it has a
 * start_within_ms, queues it. *position: its place in the queue (1: the next); 0: it starts. The
 * owner's ops are called in later turns of the loop only. AFAR_ELIMIT: no place, or the request is
 * too large; *limit is the limit. AFAR_EREFUSED: no rule is for this client. AFAR_ENOMEM,
 * AFAR_ESYSTEM. */
enum afar_status prepare_job(struct job **job, struct worker *worker, struct job_owner *owner,
                             struct exec_request *request, const struct job_origin *origin,
                             size_t *position, enum counter *limit, struct afar_error *err);

#endif
