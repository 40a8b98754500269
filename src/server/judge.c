/* What a command is judged by, in its worker's companion: the rules, the places of its rule, its
 * environment, and its line in the audit log, before anything is started. */
#include "server/prepare_internal.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "exec/environment.h"
#include "server/audit_note.h"
#include "server/separation.h"

static const char *server_path(const struct terms *terms)
{
    const char *path = environment_get(terms->shared->environment, "PATH");
    return path != NULL ? path : ENVIRONMENT_DEFAULT_PATH;
}

/* A refusal, which `err` gives words to. */
static void refuse(struct terms *terms, struct job_launch *launch, enum refusal_code code)
{
    launch->refused = true;
    terms->refused.code = code;
}

static enum afar_status decide(struct terms *terms, struct job_launch *launch,
                               struct afar_error *err)
{
    static char *nobody[] = {NULL};
    const struct asker *asker = &terms->asker;
    const struct policy_client client = {
        .names = asker->names.at != NULL ? asker->names.at : nobody, .address = asker->address};
    const struct policy_request request = {.argv = launch->request->argv,
                                           .is_shell = launch->request->shell != NULL,
                                           .is_files = launch->request->subsystem != NULL,
                                           .login = launch->request->login,
                                           .self = &terms->shared->self,
                                           .pty = launch->request->pty != NULL,
                                           .env = launch->request->env,
                                           .cwd = launch->request->cwd,
                                           .user = launch->request->user,
                                           .path = server_path(terms)};
    launch->tells_files = terms->shared->audit != NULL && terms->audit_files != AUDIT_FILES_NO;
    launch->tells_all = terms->audit_files == AUDIT_FILES_ALL;
    launch->spawned.stage = "policy";
    enum afar_status status =
        policy_decide(terms->rules, &client, &request, &launch->decision, err);
    if (status == AFAR_OK && !launch->decision.allowed) {
        refuse(terms, launch, REFUSAL_DENIED);
        status = afar_fail(err, AFAR_EREFUSED, "%s", launch->decision.reason);
    }
    if (status == AFAR_OK && separation_fences(launch->decision.rule))
        launch->fence = terms->fence;
    return status;
}

static enum afar_status take_place(struct terms *terms, struct job_launch *launch,
                                   struct afar_error *err)
{
    const struct rule *rule = launch->decision.rule;
    if (rule == NULL || !rule->max_jobs.set)
        return AFAR_OK;
    enum afar_status status = registry_claim_rule(terms->shared->registry, terms->entry, rule->name,
                                                  rule->max_jobs.value, err);
    if (status == AFAR_ELIMIT)
        refuse(terms, launch, REFUSAL_BUSY);
    return status;
}

static enum afar_status add_variable(struct words *words, const char *name, const char *value,
                                     struct afar_error *err)
{
    char *entry = NULL;
    if (value == NULL)
        return AFAR_OK;
    int size = asprintf(&entry, "%s=%s", name, value);
    if (size < 0)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for an environment");
    enum afar_status status = words_add(words, entry, (size_t)size, err);
    free(entry);
    return status;
}

/* What login(1) would give to the user, and the server's language and time zone. */
static enum afar_status make_fresh(struct words *words, const struct terms *terms,
                                   const struct user *user, struct afar_error *err)
{
    char *const *ours = terms->shared->environment;
    const struct {
        const char *name;
        const char *value;
    } variables[] = {{"PATH", ENVIRONMENT_DEFAULT_PATH},
                     {"USER", user->name},
                     {"LOGNAME", user->name},
                     {"HOME", user->home != NULL ? user->home : "/"},
                     {"SHELL", user->shell != NULL ? user->shell : "/bin/sh"},
                     {"LANG", environment_get(ours, "LANG")},
                     {"TZ", environment_get(ours, "TZ")}};
    enum afar_status status = AFAR_OK;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0] && status == AFAR_OK; i++)
        status = add_variable(words, variables[i].name, variables[i].value, err);
    return status;
}

/* What a login shell without a user of its own is told of the server's. */
static enum afar_status add_self(struct words *words, const struct terms *terms,
                                 const struct job_launch *launch, struct afar_error *err)
{
    const struct user *self = &terms->shared->self;
    char *const *ours = terms->shared->environment;
    const struct {
        const char *name;
        const char *value;
    } variables[] = {{"USER", terms->shared->user},
                     {"LOGNAME", terms->shared->user},
                     {"HOME", self->home != NULL ? self->home : "/"},
                     {"SHELL", launch->decision.shell}};
    enum afar_status status = AFAR_OK;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0] && status == AFAR_OK; i++) {
        bool given = i < 3 && environment_get(ours, variables[i].name) != NULL;
        if (!given)
            status = add_variable(words, variables[i].name, variables[i].value, err);
    }
    return status;
}

/* A locale that is not there would have each program complain. In another root nobody has looked. */
static const char *known_locale(const char *value, bool look)
{
    static const char *const otherwise = "C.UTF-8";
    const char *charset = strchr(value, '.');
    bool utf8 = charset != NULL &&
                (strncasecmp(charset, ".UTF-8", 6) == 0 || strncasecmp(charset, ".UTF8", 5) == 0);
    if (value[0] == '\0' || !look)
        return value;
    for (int i = 0; i < 2; i++) {
        const char *tried = i == 0 ? value : otherwise;
        locale_t locale = newlocale(LC_ALL_MASK, tried, (locale_t)0);
        if (locale != (locale_t)0) {
            freelocale(locale);
            return tried;
        }
        if (!utf8)
            break;
    }
    return NULL;
}

static enum afar_status add_pty(struct words *words, const struct job_launch *launch,
                                struct afar_error *err)
{
    const struct pty_request *pty = launch->request->pty;
    const struct rule *rule = launch->decision.rule;
    const bool look = rule == NULL || rule->chroot == NULL;
    enum afar_status status = add_variable(words, "TERM", pty->term, err);
    if (status == AFAR_OK && pty->color[0] != '\0')
        status = add_variable(words, "COLORTERM", pty->color, err);
    for (size_t i = 0; i < pty->locale_count && status == AFAR_OK; i++)
        status =
            add_variable(words, pty->locale[i].name, known_locale(pty->locale[i].value, look), err);
    return status;
}

/* What the kind of request brings, and then what the request asks for. */
static enum afar_status add_requested(struct words *words, const struct terms *terms,
                                      const struct job_launch *launch, struct afar_error *err)
{
    const struct exec_request *request = launch->request;
    const struct rule *rule = launch->decision.rule;
    enum afar_status status = AFAR_OK;
    if (request->login && (rule == NULL || rule->user.name == NULL))
        status = add_self(words, terms, launch, err);
    if (status == AFAR_OK && request->pty != NULL)
        status = add_pty(words, launch, err);
    for (char *const *at = request->env; status == AFAR_OK && at != NULL && *at != NULL; at++)
        status = words_add(words, *at, strlen(*at), err);
    return status;
}

/* With the job's id in it, which is known only since it has a place. */
static enum afar_status make_environment(const struct terms *terms, struct job_launch *launch,
                                         struct afar_error *err)
{
    const struct rule *rule = launch->decision.rule;
    struct words fresh = {0};
    struct words requested = {0};
    char *const *extra = launch->request->env;
    char *last[] = {launch->variable, launch->decision.original, NULL};
    char *const *base = terms->shared->environment;
    enum afar_status status = AFAR_OK;
    launch->spawned.stage = "environment";
    if (rule != NULL && rule->user.name != NULL) {
        status = make_fresh(&fresh, terms, &rule->user, err);
        base = fresh.at;
    }
    if (status == AFAR_OK && (launch->request->pty != NULL || launch->request->login)) {
        status = add_requested(&requested, terms, launch, err);
        extra = requested.at;
    }
    if (status == AFAR_OK)
        status = environment_build(&launch->environment, base, extra, last, err);
    words_close(&fresh);
    words_close(&requested);
    return status;
}

struct audit_record judge_record(const struct terms *terms, const struct rule *rule,
                                 const char *event)
{
    /* Where there are no rules, the server does what it is asked, as itself. */
    bool switches = rule != NULL && rule->user.name != NULL;
    const char *id = terms->entry->id;
    return (struct audit_record){.event = event,
                                 .connection = terms->asker.connection,
                                 .job = id[0] != '\0' ? id : NULL,
                                 .identity = terms->asker.identity,
                                 .owner = terms->asker.owner,
                                 .names = terms->asker.names.at,
                                 .address = terms->asker.address,
                                 .rule = rule != NULL ? rule->name : NULL,
                                 .user = switches ? rule->user.name : terms->shared->user};
}

void judge_record_request(struct audit_record *record, const struct exec_request *request)
{
    record->subsystem = request->subsystem;
    record->argv = request->subsystem != NULL ? NULL : request->argv;
    record->env = request->env;
}

/* On the disk before anything is started. */
static enum afar_status note_start(struct terms *terms, struct job_launch *launch,
                                   struct afar_error *err)
{
    struct server_shared *shared = terms->shared;
    struct audit_record record = judge_record(terms, launch->decision.rule, "start");
    if (shared->audit == NULL)
        return AFAR_OK;
    record.decision = "allowed";
    judge_record_request(&record, launch->request);
    if (launch->decision.login_name != NULL)
        record.argv = launch->decision.argv;
    record.cwd = launch->decision.cwd;
    record.pty = launch->request->pty != NULL ? &launch->request->pty->size : NULL;
    launch->spawned.stage = "audit";
    enum afar_status status = audit_write(shared->audit, &record, err);
    launch->audited = status == AFAR_OK || !terms->audit_required;
    if (status == AFAR_OK)
        return status;
    audit_note_lost(shared, record.event, err->message);
    if (!terms->audit_required)
        return AFAR_OK;
    refuse(terms, launch, REFUSAL_INTERNAL);
    return afar_fail(err, AFAR_EREFUSED, "the server cannot write its audit log");
}

enum afar_status judge_command(struct job_decider *decider, struct job_launch *launch,
                               struct afar_error *err)
{
    struct terms *terms = list_object(decider, struct terms, decider);
    enum afar_status status = decide(terms, launch, err);
    if (status == AFAR_OK)
        status = take_place(terms, launch, err);
    if (status == AFAR_OK)
        status = make_environment(terms, launch, err);
    if (status == AFAR_OK)
        status = note_start(terms, launch, err);
    if (launch->refused)
        memcpy(terms->refused.text, err->message, sizeof terms->refused.text);
    return status;
}
