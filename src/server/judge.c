/* Judges a command in its worker's companion, before anything is started: the rules, the places of
 * its rule, its environment, and its line in the audit log. */
#include "server/prepare_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "exec/environment.h"
#include "policy/words.h"
#include "server/audit_note.h"
#include "server/kept.h"
#include "server/separation.h"

static const char *server_path(const struct terms *terms)
{
    const char *path = environment_get(terms->shared->environment, "PATH");
    return path != NULL ? path : ENVIRONMENT_DEFAULT_PATH;
}

/* Marks a refusal; the caller's `err` has its text. */
static void refuse(struct terms *terms, struct job_launch *launch, enum refusal_code code)
{
    launch->refused = true;
    terms->refused.code = code;
}

enum policy_verb judge_verb(const struct exec_request *request)
{
    if (request->forward != NULL)
        return POLICY_FORWARD;
    return request->subsystem != NULL ? POLICY_FILES : POLICY_RUN;
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
                                           .forward = launch->request->forward,
                                           .login = launch->request->login,
                                           .home = launch->request->home,
                                           .shell_of_user = launch->request->shell_of_user,
                                           .pty = launch->request->pty != NULL,
                                           .env = launch->request->env,
                                           .cwd = launch->request->cwd,
                                           .user = launch->request->user,
                                           .path = server_path(terms),
                                           .self = &terms->shared->self};
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
    return status == AFAR_OK ? judge_choose_environment(terms, launch, err) : status;
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

struct audit_record judge_record(const struct terms *terms, const struct rule *rule,
                                 const char *event)
{
    /* Without rules, commands run as the server's own user. */
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
    const bool service = request->subsystem != NULL || request->forward != NULL;
    record->subsystem = request->subsystem;
    record->forward = request->forward;
    record->argv = service ? NULL : request->argv;
    record->env = request->env;
}

/* The key itself may say more than the log should. */
static enum afar_status note_kept(const struct terms *terms, struct audit_record *record,
                                  char hash[DIGEST_HEX_BYTES], struct afar_error *err)
{
    struct digest *digest = NULL;
    record->kept = terms->kept != NULL;
    if (terms->kept == NULL || kept_request(terms->kept)->key[0] == '\0')
        return AFAR_OK;
    const char *key = kept_request(terms->kept)->key;
    enum afar_status status = digest_new(&digest, "sha256", err);
    if (status == AFAR_OK)
        status = digest_update(digest, key, strlen(key), err);
    if (status == AFAR_OK)
        status = digest_finish(digest, hash, err);
    digest_free(digest);
    record->key_sha256 = hash;
    return status;
}

/* The start line is on the disk before anything is started. */
static enum afar_status note_start(struct terms *terms, struct job_launch *launch,
                                   struct afar_error *err)
{
    struct server_shared *shared = terms->shared;
    struct audit_record record = judge_record(terms, launch->decision.rule, "start");
    if (shared->audit == NULL)
        return AFAR_OK;
    record.decision = "allowed";
    judge_record_request(&record, launch->request);
    if (terms->wanted_env != NULL)
        record.env = terms->wanted_env;
    if (launch->decision.login_name != NULL)
        record.argv = launch->decision.argv;
    record.cwd = launch->decision.cwd;
    record.pty = launch->request->pty != NULL ? &launch->request->pty->size : NULL;
    record.recording = launch->recording != NULL ? launch->recording->path : NULL;
    launch->spawned.stage = "audit";
    char hash[DIGEST_HEX_BYTES];
    enum afar_status status = note_kept(terms, &record, hash, err);
    if (status == AFAR_OK)
        status = audit_write(shared->audit, &record, err);
    launch->audited = status == AFAR_OK || !terms->audit_required;
    if (status == AFAR_OK)
        return status;
    audit_note_lost(shared, record.event, err->message);
    if (!terms->audit_required)
        return AFAR_OK;
    refuse(terms, launch, REFUSAL_INTERNAL);
    return afar_fail(err, AFAR_EREFUSED, "the server cannot write its audit log");
}

/* If its rule does not let it leave processes, they are ended with it, and the receipt says so;
 * unless the client insists (must_leave): then it is refused. */
static enum afar_status choose_leave(struct terms *terms, struct job_launch *launch,
                                     struct afar_error *err)
{
    const struct exec_request *request = launch->request;
    const struct rule *rule = launch->decision.rule;
    const struct cgroups *cgroups = atomic_load(&terms->shared->cgroups);
    const bool limited = rule != NULL && rule_wants_cgroup(rule) && cgroups != NULL;
    const bool may = (rule == NULL || (rule->may & POLICY_LEAVE) != 0) &&
                     (!limited || cgroups_may_stay(cgroups));
    if (!request->leave || request->subsystem != NULL || terms->kept != NULL)
        return AFAR_OK;
    launch->leaves = may;
    launch->leave_denied = !may;
    if (may || !request->must_leave)
        return AFAR_OK;
    refuse(terms, launch, REFUSAL_DENIED);
    return afar_fail(err, AFAR_EREFUSED, "its rule '%s' does not let it leave anything running",
                     rule->name != NULL ? rule->name : "");
}

/* What runs, as a shell would be given it; the caller frees it. */
static enum afar_status quote_command(const struct job_launch *launch, char **line,
                                      struct afar_error *err)
{
    const struct policy_decision *decision = &launch->decision;
    return words_quote(decision->argv != NULL ? decision->argv : launch->request->argv, line, err);
}

static enum afar_status make_recording(struct terms *terms, struct job_launch *launch,
                                       struct afar_error *err)
{
    const struct policy_decision *decision = &launch->decision;
    const struct rule *rule = decision->rule;
    const struct pty_request *pty = launch->request->pty;
    struct timespec now = {0};
    char *command = NULL;
    if (rule == NULL || rule->record == NULL || pty == NULL)
        return AFAR_OK;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    enum afar_status status = quote_command(launch, &command, err);
    const bool switches = rule->user.name != NULL;
    const struct cast_header header = {.rows = pty->size.rows,
                                       .cols = pty->size.cols,
                                       .time_s = now.tv_sec,
                                       .term = pty->term,
                                       .command = command,
                                       .shell = environment_get(launch->environment, "SHELL"),
                                       .job = launch->id,
                                       .identity = terms->asker.identity,
                                       .address = terms->asker.address,
                                       .rule = rule->name,
                                       .user = switches ? rule->user.name : terms->shared->user};
    launch->spawned.stage = "record";
    if (status == AFAR_OK)
        launch->recording = recording_make(rule->record, &header, err);
    free(command);
    if (launch->recording != NULL)
        return AFAR_OK;
    counters_count(&terms->shared->counters, COUNTER_RECORD_ERRORS);
    log_write(terms->shared->log, LOG_LEVEL_ERROR, "job %s: %s: %s", launch->id, rule->record,
              err->message);
    refuse(terms, launch, REFUSAL_INTERNAL);
    return afar_fail(err, AFAR_EREFUSED, "the server cannot make its recording");
}

/* Hands the command to a keeper; this server only enters it in its table. */
static enum afar_status keep_command(struct terms *terms, struct job_launch *launch,
                                     struct afar_error *err)
{
    const struct policy_decision *decision = &launch->decision;
    const struct rule *rule = decision->rule;
    struct jobdir_request request = *kept_request(terms->kept);
    struct kept_entry *entry = terms->kept;
    int fence_fd = 0;
    if (rule != NULL && (rule->may & POLICY_KEEP) == 0) {
        refuse(terms, launch, REFUSAL_DENIED);
        return afar_fail(err, AFAR_EREFUSED, "its rule '%s' does not allow to keep it",
                         rule->name != NULL ? rule->name : "");
    }
    if (rule != NULL && rule_wants_cgroup(rule)) {
        refuse(terms, launch, REFUSAL_UNSUPPORTED);
        return afar_fail(err, AFAR_EREFUSED,
                         "its rule '%s' wants a cgroup, which a kept command cannot have",
                         rule->name);
    }
    memcpy(request.job, launch->id, sizeof request.job);
    if (rule != NULL && rule->name != NULL)
        (void)snprintf(request.rule, sizeof request.rule, "%s",
                       rule->max_jobs.set ? rule->name : "");
    if (rule != NULL && rule->spool_bytes.set)
        request.spool_bytes = rule->spool_bytes.value;
    const struct keep_order order = {
        .label = "kept",
        .argv = decision->argv != NULL ? decision->argv : launch->request->argv,
        .program = decision->program,
        .env = launch->environment,
        .cwd = decision->cwd,
        .cwd_is_home = decision->cwd_is_home,
        .rule = rule,
        .base = *launch->base,
        .limits = terms->limits,
        .pty = launch->request->pty,
        .recording = launch->recording != NULL ? launch->recording->path : NULL,
        .stdin_stream = launch->request->stdin_stream,
        .timeout_ms = launch->request->timeout_ms,
        .stdin_credit = terms->stdin_credit,
        .window_max = launch->request->window_max};
    launch->spawned.stage = "fence";
    enum afar_status status =
        launch->fence != NULL ? fence_take(launch->fence, &fence_fd, err) : AFAR_OK;
    if (status == AFAR_OK) {
        launch->spawned.stage = "keeper";
        terms->kept = NULL; /* kept_begin has consumed it, also on failure */
        status =
            kept_begin(terms->shared->kept, entry, &request, &order, fence_fd, terms->entry, err);
    }
    if (fence_fd > 0)
        (void)close(fence_fd);
    if (status == AFAR_ELIMIT) {
        refuse(terms, launch, REFUSAL_BUSY);
        return status;
    }
    launch->kept = status == AFAR_OK;
    return status;
}

enum afar_status judge_command(struct job_decider *decider, struct job_launch *launch,
                               struct afar_error *err)
{
    struct terms *terms = list_object(decider, struct terms, decider);
    enum afar_status status = decide(terms, launch, err);
    if (status == AFAR_OK)
        status = take_place(terms, launch, err);
    if (status == AFAR_OK)
        status = choose_leave(terms, launch, err);
    if (status == AFAR_OK)
        status = judge_make_environment(terms, launch, err);
    if (status == AFAR_OK)
        status = make_recording(terms, launch, err);
    if (status == AFAR_OK)
        status = note_start(terms, launch, err);
    if (status == AFAR_OK && terms->kept != NULL)
        status = keep_command(terms, launch, err);
    if (status != AFAR_OK && launch->recording != NULL && !launch->audited) {
        recording_discard(launch->recording); /* the audit log does not name it */
        launch->recording = NULL;
    }
    if (launch->refused)
        memcpy(terms->refused.text, err->message, sizeof terms->refused.text);
    return status;
}
