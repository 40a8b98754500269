/* Shared by prepare.c (in the worker), judge.c and judge_environment.c (in its companion). For
 * those three only. */
#ifndef SERVER_PREPARE_INTERNAL_H
#define SERVER_PREPARE_INTERNAL_H

#include "job/launch.h"
#include "net/transport.h"
#include "policy/audit.h"
#include "server/registry.h"
#include "server/worker.h"
#include "wire/refusal.h"

/* Who asks. */
struct asker {
    unsigned long long connection;
    struct words names; /* for the rules and the audit log */
    char address[ADDRESS_TEXT_BYTES];
    char identity[IDENTITY_NAME_BYTES];
    char owner[IDENTITY_OWNER_BYTES]; /* whose the job is */
    char local[ADDRESS_TEXT_BYTES];   /* the server's address; "": not needed */
};

/* The part of a prepared job that its companion sees: what it is judged by. Used by the companion
 * alone while the job is SPAWNING, otherwise by the worker alone. */
struct terms {
    struct job_decider decider;
    struct server_shared *shared;
    struct asker asker;
    struct rules *rules;  /* a reference, taken when it begins; NULL: no rules */
    struct fence *fence;  /* likewise; NULL: none */
    unsigned audit_files; /* enum audit_files */
    bool audit_required;  /* a start that cannot be logged is refused */
    struct registry_entry *entry;
    struct kept_entry *kept;  /* claimed and not begun; NULL: not to be kept, or begun */
    struct job_limits limits; /* for its keeper */
    uint64_t stdin_credit;
    struct refusal refused; /* REFUSAL_NONE: it was not refused here */
    /* Owned, but its strings are the request's: the requested environment without those variables
     * of env_if_allowed that its rule does not allow. NULL: the request's own. */
    char **wanted_env;
};

/* The verb that a rule must allow for this request. */
enum policy_verb judge_verb(const struct exec_request *request);

/* terms->decider's function: decides everything about a start, up to the audit line; a command to
 * be kept is handed to its keeper. AFAR_EREFUSED, AFAR_ELIMIT: refused (terms->refused).
 * AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status judge_command(struct job_decider *decider, struct job_launch *launch,
                               struct afar_error *err);

/* judge_environment.c. Makes terms->wanted_env if the request has an env_if_allowed; after the
 * decision. AFAR_ENOMEM. */
enum afar_status judge_choose_environment(struct terms *terms, const struct job_launch *launch,
                                          struct afar_error *err);

/* Makes launch->environment. AFAR_ENOMEM. */
enum afar_status judge_make_environment(const struct terms *terms, struct job_launch *launch,
                                        struct afar_error *err);

/* Adds to the record what was asked for. */
void judge_record_request(struct audit_record *record, const struct exec_request *request);

/* A record with what every event of a command has. `rule`: the one it runs by; NULL: none has been
 * found, or there are no rules. */
struct audit_record judge_record(const struct terms *terms, const struct rule *rule,
                                 const char *event);

#endif
