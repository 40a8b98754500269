/* How a job begins: what it asks for is made ready, judged by the rules, and started. */
#include "job/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "exec/environment.h"
#include "server/audit_note.h"
#include "server/separation.h"

/* ---- in the worker --------------------------------------------------------------------------- */

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
    if (!within(request->env, config->env_bytes)) {
        *limit = COUNTER_ENV_BYTES;
        return afar_fail(err, AFAR_ELIMIT, "an environment of more than %llu bytes (env_bytes)",
                         (unsigned long long)config->env_bytes);
    }
    return AFAR_OK;
}

/* A shell line is an argv too. The array is the request's, freed with it; its words stay where they
 * are. */
static enum afar_status make_argv(struct exec_request *request, struct afar_error *err)
{
    static char shell[] = "/bin/sh";
    static char option[] = "-c";
    if (request->argv != NULL)
        return AFAR_OK;
    request->argv = calloc(4, sizeof *request->argv);
    if (request->argv == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a command");
    request->argv[0] = shell;
    request->argv[1] = option;
    request->argv[2] = request->shell;
    return AFAR_OK;
}

/* All that the companion will need of the client, which may be gone by then. */
static enum afar_status keep_names(struct job *job, char *const *names, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    words_close(&job->names);
    for (; *names != NULL && status == AFAR_OK; names++)
        status = words_add(&job->names, *names, strlen(*names), err);
    return status;
}

enum afar_status job_prepare(struct job *job, const struct job_origin *origin, enum counter *limit,
                             struct afar_error *err)
{
    const struct config *config = job->worker->config;
    utf8_copy(job->address, sizeof job->address, origin->client.address);
    utf8_copy(job->identity, sizeof job->identity, origin->identity);
    utf8_copy(job->owner_name, sizeof job->owner_name, origin->owner);
    job->connection = origin->connection;
    job->audit_required = config->audit == AUDIT_REQUIRED;
    enum afar_status status = make_argv(job->request, err);
    if (status == AFAR_OK)
        status = keep_names(job, origin->client.names, err);
    if (status == AFAR_OK)
        status = check_size(job->request, config, limit, err);
    if (status != AFAR_OK || rules_count(config->rules) == 0)
        return status;
    /* Whoever may run nothing at all is told so before he takes a place from others. */
    if (!policy_may(config->rules, &origin->client, POLICY_RUN))
        return afar_fail(err, AFAR_EREFUSED, "no rule lets this client (%.100s) run anything",
                         origin->identity);
    job->rules = rules_keep(config->rules);
    job->cgroups = atomic_load(&job->worker->shared->cgroups);
    return AFAR_OK;
}

bool job_judge_again(struct job *job)
{
    struct policy_client who;
    if (job->owner->ops->judge == NULL)
        return true;
    enum afar_status status = job->owner->ops->judge(job->owner, &who, &job->spawn_error);
    if (status == AFAR_OK)
        status = keep_names(job, who.names, &job->spawn_error);
    if (status != AFAR_OK)
        job->refused = status == AFAR_ETRUST ? "denied" : "internal";
    return status == AFAR_OK;
}

/* Where there are no rules, the server does what it is asked, as itself. */
static struct audit_record make_record(const struct job *job, const char *event)
{
    const struct rule *rule = job->decision.rule;
    bool switches = rule != NULL && rule->user.name != NULL;
    return (struct audit_record){.event = event,
                                 .connection = job->connection,
                                 .job = job->entry.id[0] != '\0' ? job->entry.id : NULL,
                                 .identity = job->identity,
                                 .owner = job->owner_name,
                                 .names = job->names.at,
                                 .address = job->address,
                                 .rule = rule != NULL ? rule->name : NULL,
                                 .user = switches ? rule->user.name : job->worker->shared->user};
}

void job_note(const struct job *job, const char *event, const char *reason,
              const struct afar_receipt *receipt)
{
    struct audit_record record = make_record(job, event);
    record.reason = reason;
    record.receipt = receipt;
    record.pid = job->state == JOB_SPAWNING && job->spawn_cancelled ? 0 : job->spawned.pid;
    if (receipt == NULL) {
        record.decision = "denied";
        record.argv = job->request->argv;
        record.env = job->request->env;
        record.cwd = job->request->cwd;
    }
    audit_note(job->worker, &record);
}

/* ---- in the companion ------------------------------------------------------------------------ */

static const char *server_path(const struct job *job)
{
    const char *path = environment_get(job->worker->shared->environment, "PATH");
    return path != NULL ? path : ENVIRONMENT_DEFAULT_PATH;
}

static enum afar_status decide(struct job *job, struct afar_error *err)
{
    static char *nobody[] = {NULL};
    const struct policy_client client = {.names = job->names.at != NULL ? job->names.at : nobody,
                                         .address = job->address};
    const struct policy_request request = {.argv = job->request->argv,
                                           .is_shell = job->request->shell != NULL,
                                           .env = job->request->env,
                                           .cwd = job->request->cwd,
                                           .user = job->request->user,
                                           .path = server_path(job)};
    job->spawned.stage = "policy";
    enum afar_status status = policy_decide(job->rules, &client, &request, &job->decision, err);
    if (status == AFAR_OK && !job->decision.allowed) {
        job->refused = "denied";
        status = afar_fail(err, AFAR_EREFUSED, "%s", job->decision.reason);
    }
    return status;
}

static enum afar_status take_place(struct job *job, struct afar_error *err)
{
    const struct rule *rule = job->decision.rule;
    if (rule == NULL || !rule->max_jobs.set)
        return AFAR_OK;
    enum afar_status status = registry_claim_rule(job->worker->shared->registry, &job->entry,
                                                  rule->name, rule->max_jobs.value, err);
    if (status == AFAR_ELIMIT)
        job->refused = "busy";
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
static enum afar_status make_fresh(struct words *words, const struct job *job,
                                   const struct user *user, struct afar_error *err)
{
    char *const *ours = job->worker->shared->environment;
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

/* With the job's id in it, which is known only since it has a place. */
static enum afar_status make_environment(struct job *job, struct afar_error *err)
{
    const struct rule *rule = job->decision.rule;
    struct words fresh = {0};
    char *last[] = {job->variable, job->decision.original, NULL};
    char *const *base = job->worker->shared->environment;
    enum afar_status status = AFAR_OK;
    (void)snprintf(job->variable, sizeof job->variable, JOB_VARIABLE "%s", job->entry.id);
    job->spawned.stage = "environment";
    if (rule != NULL && rule->user.name != NULL) {
        status = make_fresh(&fresh, job, &rule->user, err);
        base = fresh.at;
    }
    if (status == AFAR_OK)
        status = environment_build(&job->environment, base, job->request->env, last, err);
    words_close(&fresh);
    return status;
}

static void limit_to(struct confine_value *limit, const struct rule_number *number)
{
    if (number->set)
        *limit = (struct confine_value){.set = true, .soft = number->value, .hard = number->value};
}

static void restore(struct confine_value *limit, const struct rlimit *was)
{
    *limit = (struct confine_value){.set = true, .soft = was->rlim_cur, .hard = was->rlim_max};
}

/* As the server was started, and then as the rule says. */
static void confine(const struct job *job, struct confinement *confine)
{
    const struct rule *rule = job->decision.rule;
    *confine =
        (struct confinement){.cgroup_fd = -1, .reset_oom = job->worker->shared->oom_protected};
    restore(&confine->limits[CONFINE_NOFILE], &job->worker->shared->descriptors);
    restore(&confine->limits[CONFINE_CORE], &job->worker->shared->core);
    confine->set_umask = job->worker->shared->umask_changed;
    confine->umask = job->worker->shared->umask;
    if (rule == NULL)
        return;
    limit_to(&confine->limits[CONFINE_NOFILE], &rule->nofile);
    limit_to(&confine->limits[CONFINE_CORE], &rule->core_bytes);
    limit_to(&confine->limits[CONFINE_NPROC], &rule->nproc);
    limit_to(&confine->limits[CONFINE_AS], &rule->as_bytes);
    limit_to(&confine->limits[CONFINE_CPU], &rule->cpu_s);
    confine->limits[CONFINE_CPU].hard++; /* so that XCPU comes first, and says what it was */
    if (rule->umask.set) {
        confine->set_umask = true;
        confine->umask = (mode_t)rule->umask.value;
    }
    confine->set_nice = rule->nice_set;
    confine->nice = rule->nice;
    confine->root = rule->chroot;
    confine->set_user = rule->user.name != NULL;
    confine->user = rule->user.uid;
    confine->set_group = confine->set_user || rule->group_set;
    confine->group = rule->group_set ? rule->group : rule->user.gid;
    confine->groups = rule->user.groups;
    confine->group_count = rule->user.group_count;
}

/* *fd: -1 where its rule wants none. */
static enum afar_status make_cgroup(struct job *job, int *fd, struct afar_error *err)
{
    const struct rule *rule = job->decision.rule;
    *fd = -1;
    if (rule == NULL || !rule_wants_cgroup(rule))
        return AFAR_OK;
    job->spawned.stage = "cgroup";
    if (job->cgroups == NULL)
        return afar_fail_errno(err, ENOSYS, "its rule '%s' wants a cgroup, and the server has none",
                               rule->name);
    const struct cgroup_limits limits = {.memory_bytes = rule->memory_bytes.value,
                                         .cpu_millis = rule->cpu_millis.value,
                                         .pids = rule->pids.value};
    enum afar_status status = cgroup_make(job->cgroups, job->entry.id, &limits, fd, err);
    job->has_cgroup = status == AFAR_OK;
    return status;
}

/* *fd: 0 where there is none for its commands. */
static enum afar_status take_fence(struct job *job, int *fd, struct afar_error *err)
{
    *fd = 0;
    if (job->fence == NULL || !separation_fences(job->decision.rule))
        return AFAR_OK;
    job->spawned.stage = "fence";
    enum afar_status status = fence_take(job->fence, fd, err);
    if (status != AFAR_OK)
        *fd = 0;
    return status;
}

static enum afar_status start(struct job *job, struct afar_error *err)
{
    const struct policy_decision *decision = &job->decision;
    struct confinement confinement;
    confine(job, &confinement);
    enum afar_status status = make_cgroup(job, &confinement.cgroup_fd, err);
    if (status == AFAR_OK)
        status = take_fence(job, &confinement.fence_fd, err);
    if (status != AFAR_OK)
        goto out;
    const struct spawn_request request = {.argv = decision->argv != NULL ? decision->argv
                                                                         : job->request->argv,
                                          .program = decision->program,
                                          .env = job->environment,
                                          .cwd = decision->cwd,
                                          .cwd_optional = decision->cwd_is_home,
                                          .stdin_pipe = job->request->stdin_stream,
                                          .confine = &confinement,
                                          .seats = job->worker->shared->seats,
                                          .default_signals = job->worker->shared->default_signals};
    status = spawn_process(&request, &job->control, &job->spawned, err);
out:
    if (confinement.cgroup_fd >= 0)
        (void)close(confinement.cgroup_fd);
    if (confinement.fence_fd > 0)
        (void)close(confinement.fence_fd);
    if (status != AFAR_OK && job->has_cgroup)
        job->has_cgroup = !cgroup_remove(job->cgroups, job->entry.id);
    return status;
}

/* On the disk before anything is started. */
static enum afar_status note_start(struct job *job, struct afar_error *err)
{
    struct server_shared *shared = job->worker->shared;
    struct audit_record record = make_record(job, "start");
    if (shared->audit == NULL)
        return AFAR_OK;
    record.decision = "allowed";
    record.argv = job->request->argv;
    record.env = job->request->env;
    record.cwd = job->decision.cwd;
    job->spawned.stage = "audit";
    enum afar_status status = audit_write(shared->audit, &record, err);
    job->audited = status == AFAR_OK || !job->audit_required;
    if (status == AFAR_OK)
        return status;
    audit_note_lost(shared, record.event, err->message);
    if (!job->audit_required)
        return AFAR_OK;
    job->refused = "internal";
    return afar_fail(err, AFAR_EREFUSED, "the server cannot write its audit log");
}

void job_begin(struct task *task)
{
    struct job *job = list_object(task, struct job, task);
    struct afar_error *err = &job->spawn_error;
    job->spawn_begin_us = clock_now_us();
    atomic_store(&job->spawn_begun_ms, job->spawn_begin_us / 1000);
    uint64_t within_ms = job->request->start_within_ms;
    job->too_late =
        within_ms > 0 && (uint64_t)(job->spawn_begin_us - job->created_us) / 1000 > within_ms;
    if (job->too_late)
        return;
    job->spawn_status = decide(job, err);
    if (job->spawn_status == AFAR_OK)
        job->spawn_status = take_place(job, err);
    if (job->spawn_status == AFAR_OK)
        job->spawn_status = make_environment(job, err);
    if (job->spawn_status == AFAR_OK)
        job->spawn_status = note_start(job, err);
    atomic_store(&job->starting, true);
    if (job->spawn_status == AFAR_OK)
        job->spawn_status = start(job, err);
    job->spawn_end_us = clock_now_us();
}
