/* What prepare.c (in the worker), judge.c and judge_environment.c (in its companion) share. For
 * those three only. */
#ifndef SERVER_PREPARE_INTERNAL_H
#define SERVER_PREPARE_INTERNAL_H

#include "job/launch.h"
#include "net/transport.h"
#include "policy/audit.h"
#include "server/registry.h"
#include "server/worker.h"
#include "wire/refusal.h"

/* Who has asked. */
struct asker {
    unsigned long long connection;
    struct words names; /* for the rules and the audit log */
    char address[ADDRESS_TEXT_BYTES];
    char identity[IDENTITY_NAME_BYTES];
    char owner[IDENTITY_OWNER_BYTES]; /* whose the job is */
    char local[ADDRESS_TEXT_BYTES];   /* where it has connected to; "": nobody needs it */
};

/* All of a prepared job that its companion sees: what it is judged by. The companion's while the
 * job is SPAWNING, else the worker's. */
struct terms {
    struct job_decider decider;
    struct server_shared *shared;
    struct asker asker;
    struct rules *rules;  /* a reference, since it has its place; NULL: there are none */
    struct fence *fence;  /* likewise; NULL: none */
    unsigned audit_files; /* enum audit_files */
    bool audit_required;  /* no start without a line */
    struct registry_entry *entry;
    struct kept_entry *kept;  /* not begun yet; NULL: it is not to be kept, or has been begun */
    struct job_limits limits; /* for its keeper */
    uint64_t stdin_credit;
    struct refusal refused; /* REFUSAL_NONE: not by what it was judged by */
    /* Owned, its strings the request's: the environment that was asked for, without what was wanted
     * only if it is allowed, and is not. NULL: the request's own. */
    char **wanted_env;
};

/* Which verb of its rule a request needs. */
enum policy_verb judge_verb(const struct exec_request *request);

/* terms->decider's. */
enum afar_status judge_command(struct job_decider *decider, struct job_launch *launch,
                               struct afar_error *err);

/* judge_environment.c. Makes terms->wanted_env, where that differs; once it has been decided.
 * AFAR_ENOMEM. */
enum afar_status judge_choose_environment(struct terms *terms, const struct job_launch *launch,
                                          struct afar_error *err);

/* Makes launch->environment. AFAR_ENOMEM. */
enum afar_status judge_make_environment(const struct terms *terms, struct job_launch *launch,
                                        struct afar_error *err);

/* Adds what was asked for. */
void judge_record_request(struct audit_record *record, const struct exec_request *request);

/* What the audit log is told of every event of a command. `rule`: by which it runs; NULL: none has
 * been found, or there are none. */
struct audit_record judge_record(const struct terms *terms, const struct rule *rule,
                                 const char *event);

#endif
