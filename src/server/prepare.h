/* A command's way to its job: its words are made, its place is claimed, or it waits for one in the
 * queue; and what the server has to do with a job besides: the registry, the rules, the audit log.
 *
 * Owns:    a copy of all that it needs of the client, which may be gone when it is needed.
 * Threads: the worker's; what judge.c does, its companion's.
 * Blocks:  never.
 * Limits:  argv_bytes, env_bytes, and those of registry.h. */
#ifndef SERVER_PREPARE_H
#define SERVER_PREPARE_H

#include "job/job.h"
#include "net/address.h"
#include "policy/decide.h"
#include "server/worker.h"

/* What a client hears where deny_reason is brief. */
#define DENIED_BRIEFLY "the server does not allow this"

struct kept_entry;

/* Who asks. All are copied. */
struct job_origin {
    const char *label;          /* connection and identity, for log lines … */
    struct address_group group; /* … and by what these are summed up, with the identity */
    unsigned long long connection;
    const char *identity;        /* a name of the client, for people */
    const char *owner;           /* whose jobs are counted together */
    struct policy_client client; /* for the rules and the audit log */
    const char *local; /* the server's address, as address_format writes it; NULL: not needed */
    struct kept_entry *kept; /* *moved*, also on failure; NULL: it is not to be kept */
    /* It has waited, and its turn has come: whether the job's owner's client is still trusted, and
     * who that is now (borrowed until the next call). Its error is the refusal's. NULL: its jobs
     * never wait. Where nobody can be asked who->names is NULL: he is known as before. */
    enum afar_status (*judge)(struct job_owner *owner, struct policy_client *who,
                              struct afar_error *err);
};

/* Starts `request` (*moved*, also on failure), or, where there is no place for it and it has a
 * start_within_ms, lets it wait: then *position is its place in the queue (1: the next), else 0.
 * The owner's ops are called from later turns of the loop only. AFAR_ELIMIT: no place, or the
 * request is too large; *limit says by which limit. AFAR_EREFUSED: no rule is for this client.
 * AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status prepare_job(struct job **job, struct worker *worker, struct job_owner *owner,
                             struct exec_request *request, const struct job_origin *origin,
                             size_t *position, enum counter *limit, struct afar_error *err);

#endif
