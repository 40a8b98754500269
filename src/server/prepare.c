#include "server/prepare.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "job/place.h"
#include "server/audit_note.h"
#include "server/kept.h"
#include "server/left.h"
#include "server/prepare_internal.h"

struct prepared {
    struct job_place place;
    struct terms terms;
    struct worker *worker;
    struct job *job;
    struct registry_entry entry;
    struct partials_of partials; /* the partial files that a files job holds */
    struct address_group group;  /* the address, by which log lines are summed up */
    enum afar_status (*judge)(struct job_owner *owner, struct policy_client *who,
                              struct afar_error *err);
};

static struct prepared *prepared_of(struct job_place *place)
{
    return list_object(place, struct prepared, place);
}

static struct registry *registry_of(const struct prepared *prepared)
{
    return prepared->worker->shared->registry;
}

static void free_prepared(struct prepared *prepared)
{
    if (prepared == NULL)
        return;
    kept_drop(prepared->worker->shared->kept, prepared->terms.kept);
    words_close(&prepared->terms.asker.names);
    rules_free(prepared->terms.rules);
    fence_free(prepared->terms.fence);
    free(prepared->terms.wanted_env);
    free(prepared);
}

/* ---- the audit log --------------------------------------------------------------------------- */

/* Audits a command that was not started. */
static void note_refused(const struct prepared *prepared, const struct rule *rule,
                         const struct exec_request *request, bool denied, const char *reason)
{
    struct audit_record record =
        judge_record(&prepared->terms, rule, denied ? "denied" : "refused");
    record.reason = reason;
    record.decision = "denied";
    judge_record_request(&record, request);
    record.cwd = request->cwd;
    audit_note(prepared->worker, &record);
}

/* Another job holds the file, of a client that is away, as it was killed: ends that job for this
 * one, if both have the same owner. */
static void end_holder(struct prepared *prepared, const struct file_key *file)
{
    struct server_shared *shared = prepared->worker->shared;
    char job[MESSAGE_JOB_ID_BYTES];
    if (partials_find(&shared->partials, &prepared->partials, file, job) &&
        registry_end_away(shared->registry, job, prepared->terms.asker.owner))
        log_write(shared->log, LOG_LEVEL_INFO,
                  "%s: job %s: ended, for its client is away and this session of the same owner "
                  "wants its partial file",
                  job_label(prepared->job), job);
}

static void note_lock(struct prepared *prepared, const struct file_note *note)
{
    struct partials *partials = &prepared->worker->shared->partials;
    if (note->op == FILE_OP_HELD)
        partials_hold(partials, &prepared->partials, &note->file);
    else if (note->op == FILE_OP_LET_GO)
        partials_let_go(partials, &prepared->partials, &note->file);
    else
        end_holder(prepared, &note->file);
}

static void note_file(struct job_place *place, const struct job_launch *launch,
                      const struct file_note *note)
{
    struct prepared *prepared = prepared_of(place);
    if (note != NULL && file_op_is_lock(note->op)) {
        note_lock(prepared, note);
        return;
    }
    if (!launch->tells_files)
        return;
    struct audit_record record = judge_record(&prepared->terms, launch->decision.rule, "file");
    record.file = note;
    if (note != NULL)
        audit_note(prepared->worker, &record);
    else
        audit_note_lost(prepared->worker->shared, record.event, "the file server's pipe is gone");
}

/* File lines may use half of the audit queue; the other half is for lines that cannot wait. */
static bool file_room(struct job_place *place)
{
    return prepared_of(place)->worker->audit_notes < AUDIT_NOTES_MAX / 2;
}

static void note_end(struct job_place *place, const struct job_launch *launch, pid_t pid,
                     const struct afar_receipt *receipt)
{
    struct prepared *prepared = prepared_of(place);
    struct audit_record record = judge_record(&prepared->terms, launch->decision.rule, "end");
    record.receipt = receipt;
    record.pid = pid;
    const struct recording *recording = launch->recording;
    if (recording != NULL && (recording->sha256[0] != '\0' || recording->why[0] != '\0')) {
        record.recording = recording->path;
        record.record_bytes = recording->bytes;
        record.record_sha256 = recording->sha256[0] != '\0' ? recording->sha256 : NULL;
        record.record_error = recording->why[0] != '\0' ? recording->why : NULL;
    }
    audit_note(prepared->worker, &record);
}

static void note_left(struct job_place *place, const struct job_launch *launch,
                      const struct family_member *members, size_t count)
{
    struct prepared *prepared = prepared_of(place);
    struct audit_record record = judge_record(&prepared->terms, launch->decision.rule, "left");
    pid_t pids[AUDIT_PIDS_MAX];
    record.pid_count = count;
    record.pids = pids;
    for (size_t i = 0; i < count && i < AUDIT_PIDS_MAX; i++)
        pids[i] = members[i].pid;
    audit_note(prepared->worker, &record);
}

/* ---- its turn -------------------------------------------------------------------------------- */

static void begin(struct prepared *prepared)
{
    struct terms *terms = &prepared->terms;
    /* It may have waited, and the rules may have changed. */
    rules_free(terms->rules);
    terms->rules = rules_keep(prepared->worker->config->rules);
    fence_free(terms->fence);
    terms->fence = fence_keep(prepared->worker->fence);
    job_begin(prepared->job, &terms->decider, prepared->entry.identity);
}

/* Copies the client's names for the companion, as the client may be gone by then. */
static enum afar_status keep_names(struct terms *terms, char *const *names, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    words_close(&terms->asker.names);
    for (; *names != NULL && status == AFAR_OK; names++)
        status = words_add(&terms->asker.names, *names, strlen(*names), err);
    return status;
}

/* Checks after a wait whether the client, by the names it has now, may still start anything. */
static bool judge_again(struct prepared *prepared)
{
    struct policy_client who;
    struct afar_error err;
    struct refusal *refused = &prepared->terms.refused;
    if (prepared->judge == NULL)
        return true;
    enum afar_status status = prepared->judge(job_owner(prepared->job), &who, &err);
    if (status == AFAR_OK && who.names != NULL)
        status = keep_names(&prepared->terms, who.names, &err);
    if (status == AFAR_OK)
        return true;
    refused->code = status == AFAR_ETRUST ? REFUSAL_DENIED : REFUSAL_INTERNAL;
    memcpy(refused->text, err.message, sizeof refused->text);
    return false;
}

/* entry.granted: the job's turn has come, or it was displaced or given up meanwhile. */
static void place_granted(struct mail *mail)
{
    struct prepared *prepared = list_object(mail, struct prepared, entry.granted);
    bool in_vain = prepared->entry.displaced || !job_is_wanted(prepared->job);
    if (in_vain || !judge_again(prepared))
        job_refuse(prepared->job);
    else
        begin(prepared);
}

static void spawn_turn(struct mail *mail)
{
    job_spawn_turn(list_object(mail, struct prepared, entry.may_spawn)->job);
}

/* ---- the job speaks -------------------------------------------------------------------------- */

static bool leave(struct job_place *place)
{
    struct prepared *prepared = prepared_of(place);
    return registry_withdraw(registry_of(prepared), &prepared->entry);
}

static bool may_spawn(struct job_place *place)
{
    struct prepared *prepared = prepared_of(place);
    bool may = registry_begin_spawn(registry_of(prepared), &prepared->entry);
    if (!may)
        counters_count(&prepared->worker->shared->counters, COUNTER_SPAWNS_PER_IDENTITY);
    return may;
}

static bool withdraw_spawn(struct job_place *place)
{
    struct prepared *prepared = prepared_of(place);
    return registry_withdraw_spawn(registry_of(prepared), &prepared->entry);
}

static void runs(struct job_place *place, pid_t leader)
{
    struct prepared *prepared = prepared_of(place);
    registry_set_leader(registry_of(prepared), &prepared->entry, leader);
}

static bool ends(struct job_place *place)
{
    struct prepared *prepared = prepared_of(place);
    return registry_clear_leader(registry_of(prepared), &prepared->entry);
}

static size_t may_stay(struct job_place *place, const struct job_launch *launch,
                       const struct family_member *members, size_t count,
                       struct job_stay_limit *limit)
{
    struct prepared *prepared = prepared_of(place);
    struct server_shared *shared = prepared->worker->shared;
    const struct left_job whose = {.owner = prepared->terms.asker.owner,
                                   .job = prepared->entry.id,
                                   .cgroups = launch->has_cgroup ? launch->cgroups : NULL};
    size_t stay = left_settle(shared->left, &whose, members, count, &limit->which, &limit->most);
    if (stay < count)
        counters_count(&shared->counters, limit->which);
    return stay;
}

static void gone(struct job_place *place)
{
    struct prepared *prepared = prepared_of(place);
    partials_leave(&prepared->worker->shared->partials, &prepared->partials);
    registry_remove(registry_of(prepared), &prepared->entry);
    free_prepared(prepared);
}

static void moved(struct job_place *place, struct job_host *to)
{
    prepared_of(place)->worker = list_object(to, struct worker, host);
}

/* The text for the client when judge.c refused it; counts the refusal. */
static const char *explain_judgement(const struct prepared *prepared)
{
    struct server_shared *shared = prepared->worker->shared;
    const struct refusal *refused = &prepared->terms.refused;
    if (refused->code == REFUSAL_BUSY)
        counters_count(&shared->counters, COUNTER_RULE_MAX_JOBS);
    if (refused->code != REFUSAL_DENIED) /* (a lost audit line has been counted) */
        return refused->text;
    counters_count(&shared->counters, COUNTER_DENIED);
    return prepared->worker->config->deny_reason == DENY_REASON_BRIEF ? DENIED_BRIEFLY
                                                                      : refused->text;
}

/* The text when a job that waited was not started; counts the limits that caused it. */
static const char *explain_wait(const struct prepared *prepared, const enum afar_outcome *stopped,
                                enum refusal_code *code)
{
    struct server_shared *shared = prepared->worker->shared;
    const bool displaced = prepared->entry.displaced;
    *code = displaced || stopped == NULL ? REFUSAL_BUSY : REFUSAL_DRAINING;
    if (stopped == NULL)
        counters_count(&shared->counters, displaced ? COUNTER_MAX_QUEUED : COUNTER_START_WITHIN);
    if (displaced)
        return "another client was given its place in the queue (max_queued)";
    if (stopped == NULL)
        return "the command could not be started in time (start_within_ms)";
    return *stopped == AFAR_OUTCOME_DISCONNECTED ? "the client withdrew the request or disconnected"
                                                 : "the server is shutting down";
}

static void explain(struct job_place *place, const struct job_launch *launch,
                    const enum afar_outcome *stopped, struct refusal *refusal)
{
    const struct prepared *prepared = prepared_of(place);
    const struct terms *terms = &prepared->terms;
    struct server_shared *shared = prepared->worker->shared;
    const bool judged = terms->refused.code != REFUSAL_NONE;
    char who[SUMMARY_WHO_BYTES];
    refusal->code = terms->refused.code;
    const char *text =
        judged ? explain_judgement(prepared) : explain_wait(prepared, stopped, &refusal->code);
    const char *reason = judged ? terms->refused.text : text;
    /* Logged here, and not by the owner. A client that left the queue was not refused. */
    bool left = !judged && stopped != NULL && *stopped == AFAR_OUTCOME_DISCONNECTED;
    summary_who(who, terms->asker.identity, &prepared->group);
    if (!left && summary_count(shared->summary, SUMMARY_COMPLAINT, who))
        log_write(shared->log, LOG_LEVEL_WARN, "%s: job %s: %s: %s", job_label(prepared->job),
                  launch->id, refusal_word(refusal->code), reason);
    note_refused(prepared, launch->decision.rule, launch->request, refusal->code == REFUSAL_DENIED,
                 reason);
    utf8_copy(refusal->text, sizeof refusal->text, text);
}

static const struct job_place_ops place_ops = {
    .leave = leave,
    .may_spawn = may_spawn,
    .withdraw_spawn = withdraw_spawn,
    .runs = runs,
    .ends = ends,
    .may_stay = may_stay,
    .note_left = note_left,
    .note_end = note_end,
    .note_file = note_file,
    .file_room = file_room,
    .moved = moved,
    .explain = explain,
    .gone = gone,
};

/* ---- preparing ------------------------------------------------------------------------------- */

static bool within(char *const *words, uint64_t limit_bytes)
{
    uint64_t total = 0;
    for (; words != NULL && *words != NULL; words++)
        total += strlen(*words) + 1;
    return total <= limit_bytes;
}

static enum afar_status check_size(const struct exec_request *request, const struct config *config,
                                   enum counter *limit, struct afar_error *err)
{
    if (!within(request->argv, config->argv_bytes)) {
        *limit = COUNTER_ARGV_BYTES;
        return afar_fail(err, AFAR_ELIMIT, "a command of more than %llu bytes (argv_bytes)",
                         (unsigned long long)config->argv_bytes);
    }
    if (!within(request->env, config->env_bytes) ||
        !within(request->env_if_allowed, config->env_bytes)) {
        *limit = COUNTER_ENV_BYTES;
        return afar_fail(err, AFAR_ELIMIT, "an environment of more than %llu bytes (env_bytes)",
                         (unsigned long long)config->env_bytes);
    }
    return AFAR_OK;
}

/* Makes an argv for a shell line too; for a service it is what the log shows. The array belongs to
 * the request; its words are not copied. */
static enum afar_status make_argv(struct exec_request *request, struct afar_error *err)
{
    static char shell[] = "/bin/sh";
    static char option[] = "-c";
    static char login[] = "-sh"; /* for any shell: its rule names it */
    static char forward[] = "forward";
    if (request->argv != NULL)
        return AFAR_OK;
    request->argv = calloc(4, sizeof *request->argv);
    if (request->argv == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a command");
    request->argv[0] = request->subsystem != NULL ? request->subsystem
                       : request->forward != NULL ? forward
                       : request->login           ? login
                                                  : shell;
    if (request->forward != NULL)
        request->argv[1] = request->forward;
    else if (request->subsystem == NULL && !request->login) {
        request->argv[1] = option;
        request->argv[2] = request->shell;
    }
    return AFAR_OK;
}

/* Copies who asks, makes the argv, and refuses what can be refused immediately. */
static enum afar_status prepare(struct prepared *prepared, struct exec_request *request,
                                const struct job_origin *origin, enum counter *limit,
                                struct afar_error *err)
{
    const struct config *config = prepared->worker->config;
    struct asker *asker = &prepared->terms.asker;
    utf8_copy(asker->address, sizeof asker->address, origin->client.address);
    utf8_copy(asker->identity, sizeof asker->identity, origin->identity);
    utf8_copy(asker->owner, sizeof asker->owner, origin->owner);
    asker->connection = origin->connection;
    utf8_copy(asker->local, sizeof asker->local, origin->local != NULL ? origin->local : "");
    prepared->group = origin->group;
    prepared->judge = origin->judge;
    prepared->terms.audit_files = config->audit_files;
    prepared->terms.audit_required = config->audit == AUDIT_REQUIRED;
    enum afar_status status = make_argv(request, err);
    if (status == AFAR_OK)
        status = keep_names(&prepared->terms, origin->client.names, err);
    if (status == AFAR_OK)
        status = check_size(request, config, limit, err);
    const enum policy_verb verb = judge_verb(request);
    /* Reject clients that no rule allows before they take a place from others. */
    if (status == AFAR_OK && rules_count(config->rules) > 0 &&
        !policy_may(config->rules, &origin->client, verb))
        status =
            afar_fail(err, AFAR_EREFUSED, "no rule lets this client (%.100s) %s", origin->identity,
                      verb == POLICY_FILES     ? "use files"
                      : verb == POLICY_FORWARD ? "forward connections"
                                               : "run anything");
    return status;
}

static struct prepared *new_prepared(struct worker *worker)
{
    struct prepared *prepared = calloc(1, sizeof *prepared);
    if (prepared == NULL)
        return NULL;
    prepared->place.ops = &place_ops;
    prepared->worker = worker;
    prepared->terms.decider.decide = judge_command;
    prepared->terms.shared = worker->shared;
    prepared->terms.entry = &prepared->entry;
    prepared->entry.granted.deliver = place_granted;
    prepared->entry.may_spawn.deliver = spawn_turn;
    return prepared;
}

/* AFAR_OK: it has a place. AFAR_EAGAIN: it waits. */
static enum afar_status claim(struct prepared *prepared, const struct exec_request *request,
                              size_t *position, enum counter *limit, struct afar_error *err)
{
    const struct registry_claim claim = {.identity = prepared->terms.asker.owner,
                                         .may_wait = request->start_within_ms > 0,
                                         .mailbox = &prepared->worker->mailbox};
    enum afar_status status =
        registry_claim(registry_of(prepared), &prepared->entry, &claim, position, limit, err);
    if (status == AFAR_OK || status == AFAR_EAGAIN)
        job_set_id(prepared->job, prepared->entry.id);
    partials_begin(&prepared->partials, prepared->entry.id);
    return status;
}

enum afar_status prepare_job(struct job **job, struct worker *worker, struct job_owner *owner,
                             struct exec_request *request, const struct job_origin *origin,
                             size_t *position, enum counter *limit, struct afar_error *err)
{
    *job = NULL;
    *position = 0;
    struct prepared *made = new_prepared(worker);
    if (made == NULL) {
        exec_request_free(request);
        kept_drop(worker->shared->kept, origin->kept);
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a job");
    }
    made->terms.kept = origin->kept;
    made->terms.limits = worker->host.limits;
    made->terms.stdin_credit = worker->config->payload_bytes >= MESSAGE_STDIN_FRAME_BYTES
                                   ? worker->config->stdin_bytes
                                   : MESSAGE_STDIN_CREDIT_BYTES;
    enum afar_status status = prepare(made, request, origin, limit, err);
    if (status == AFAR_OK)
        status =
            job_new(&made->job, &worker->host, &made->place, owner, request, origin->label, err);
    if (status == AFAR_OK)
        status = claim(made, request, position, limit, err);
    if (status != AFAR_OK && status != AFAR_EAGAIN) {
        if (request->argv != NULL)
            note_refused(made, NULL, request, status == AFAR_EREFUSED, err->message);
        if (made->job != NULL)
            job_discard(made->job);
        else
            exec_request_free(request);
        free_prepared(made);
        return status;
    }
    *job = made->job;
    if (status == AFAR_EAGAIN) {
        counters_count(&worker->shared->counters, COUNTER_JOBS_QUEUED);
        job_wait(made->job);
    } else {
        *position = 0;
        begin(made);
    }
    return AFAR_OK;
}
