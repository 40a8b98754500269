/* The keeper's command: its owner, and its place. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/environment.h"
#include "keep/keeper_internal.h"

/* ---- the job's owner ------------------------------------------------------------------------- */

static struct keeper *keeper_of(struct job_owner *owner)
{
    return list_object(owner, struct keeper, owner);
}

static void on_started(struct job_owner *owner)
{
    struct keeper *keeper = keeper_of(owner);
    keeper->started = true;
    readers_tell_started(keeper);
}

static enum afar_status on_reserve(struct job_owner *owner, enum stream stream, uint8_t **room,
                                   size_t *size, struct afar_error *err)
{
    struct keeper *keeper = keeper_of(owner);
    (void)stream;
    if (keeper->waiting > 0 || spool_is_full(keeper->spool))
        return afar_fail(err, AFAR_EAGAIN, "no room for output");
    *room = keeper->room;
    *size = sizeof keeper->room;
    return AFAR_OK;
}

static void added(struct keeper *keeper)
{
    run_host_spooled(&keeper->run, spool_end(keeper->spool));
    loop_defer(keeper->host.loop, &keeper->pump);
}

static void on_commit(struct job_owner *owner, enum stream stream, size_t size)
{
    struct keeper *keeper = keeper_of(owner);
    if (size == 0)
        return;
    if (spool_append(keeper->spool, stream, keeper->room, size) == AFAR_OK) {
        added(keeper);
        return;
    }
    keeper->waiting = size;
    keeper->waiting_stream = stream;
    timer_arm(loop_timers(keeper->host.loop), &keeper->timer, clock_now_ms() + KEEPER_AGAIN_MS);
}

static void on_stdin_taken(struct job_owner *owner)
{
    struct keeper *keeper = keeper_of(owner);
    loop_defer(keeper->host.loop, &keeper->pump);
}

static void store(struct keeper *keeper)
{
    if (spool_sync(keeper->spool, NULL) == AFAR_OK &&
        jobdir_write_end(keeper->folder_fd, &keeper->end, NULL) == AFAR_OK)
        keeper->stored = true;
}

static void on_ended(struct job_owner *owner, const struct afar_receipt *receipt)
{
    struct keeper *keeper = keeper_of(owner);
    keeper->job = NULL;
    /* What still waits for a disk cannot wait any longer: it is told as missing. */
    if (keeper->waiting > 0) {
        uint64_t bytes[2];
        spool_bytes(keeper->spool, bytes);
        bytes[keeper->waiting_stream] += keeper->waiting;
        if (spool_append(keeper->spool, keeper->waiting_stream, keeper->room, keeper->waiting) !=
            AFAR_OK)
            spool_complete(keeper->spool, spool_end(keeper->spool) + 1, bytes);
        keeper->waiting = 0;
    }
    keeper->end = (struct jobdir_end){.receipt = *receipt,
                                      .seq = spool_end(keeper->spool),
                                      .ended_us = jobdir_now_us(),
                                      .digest = keeper->request.digest,
                                      .next_attempt = keeper->run.next_attempt};
    memcpy(keeper->end.holder, keeper->run.holder, sizeof keeper->end.holder);
    store(keeper);
    keeper->ended = true;
    run_host_spooled(&keeper->run, keeper->end.seq + 1);
    timer_arm(loop_timers(keeper->host.loop), &keeper->timer, 0);
    loop_defer(keeper->host.loop, &keeper->pump);
}

/* Its place refuses nothing, but where memory is out before it begins. */
static void on_refused(struct job_owner *owner, const struct refusal *refusal)
{
    struct afar_receipt receipt = {.size = sizeof receipt,
                                   .outcome = AFAR_OUTCOME_SPAWN_FAILED,
                                   .code = -1,
                                   .error_name = "ECANCELED",
                                   .error_stage = "queue"};
    size_t size = strnlen(refusal->text, sizeof receipt.message - 1);
    memcpy(receipt.message, refusal->text, size);
    on_ended(owner, &receipt);
}

static const struct job_owner_ops owner_ops = {.started = on_started,
                                               .reserve = on_reserve,
                                               .commit = on_commit,
                                               .stdin_taken = on_stdin_taken,
                                               .ended = on_ended,
                                               .refused = on_refused};

void kept_job_retry(struct keeper *keeper)
{
    if (keeper->waiting > 0 && spool_append(keeper->spool, keeper->waiting_stream, keeper->room,
                                            keeper->waiting) == AFAR_OK) {
        keeper->waiting = 0;
        added(keeper);
    }
    if (keeper->ended && !keeper->stored)
        store(keeper);
    if (keeper->job != NULL && keeper->waiting == 0)
        job_resume_output(keeper->job);
}

void kept_job_resume(struct keeper *keeper)
{
    if (keeper->request.when_full != WHEN_FULL_BLOCK || keeper->job == NULL)
        return;
    spool_release(keeper->spool, output_log_first(keeper->run.log));
    kept_job_retry(keeper);
}

/* ---- its place: the server has let it in ------------------------------------------------------- */

static bool leave(struct job_place *place)
{
    (void)place;
    return true;
}

static bool may_spawn(struct job_place *place)
{
    (void)place;
    return true;
}

static void runs(struct job_place *place, pid_t leader)
{
    (void)place;
    (void)leader;
}

static bool ends(struct job_place *place)
{
    return list_object(place, struct keeper, place)->killed;
}

static void note_end(struct job_place *place, const struct job_launch *launch, pid_t pid,
                     const struct afar_receipt *receipt)
{
    (void)place;
    (void)launch;
    (void)pid;
    (void)receipt;
}

static void explain(struct job_place *place, const struct job_launch *launch,
                    const enum afar_outcome *stopped, struct refusal *refusal)
{
    (void)place;
    (void)stopped;
    refusal->code = REFUSAL_INTERNAL;
    memcpy(refusal->text, launch->error.message, sizeof refusal->text);
}

static void gone(struct job_place *place)
{
    (void)place;
}

static const struct job_place_ops place_ops = {.leave = leave,
                                               .may_spawn = may_spawn,
                                               .withdraw_spawn = may_spawn,
                                               .runs = runs,
                                               .ends = ends,
                                               .note_end = note_end,
                                               .explain = explain,
                                               .gone = gone};

/* In the companion. From here on nobody can know that it has not begun. */
static enum afar_status decide(struct job_decider *decider, struct job_launch *launch,
                               struct afar_error *err)
{
    struct keeper *keeper = list_object(decider, struct keeper, decider);
    const struct keep_order *order = order_of(keeper->order);
    static char *const nothing[] = {NULL};
    launch->decision.allowed = true;
    launch->decision.rule = order->rule;
    launch->decision.program = order->program;
    launch->decision.cwd = order->cwd;
    launch->decision.cwd_is_home = order->cwd_is_home;
    launch->fence_fd = keeper->fence_fd;
    launch->spawned.stage = "environment";
    enum afar_status status =
        environment_build(&launch->environment, nothing, order->env, nothing, err);
    launch->spawned.stage = "keeper";
    return status == AFAR_OK ? jobdir_begin(keeper->folder_fd, err) : status;
}

/* A copy, for the job to free. NULL: out of memory. */
static struct exec_request *make_request(const struct keeper *keeper)
{
    const struct keep_order *order = order_of(keeper->order);
    size_t count = 0;
    size_t bytes = 0;
    for (; order->argv[count] != NULL; count++)
        bytes += strlen(order->argv[count]) + 1;
    struct exec_request *request = calloc(1, sizeof *request);
    /* One block: the words lie behind the array. */
    char **argv = malloc((count + 1) * sizeof *argv + bytes);
    if (request == NULL || argv == NULL) {
        free(request);
        free(argv);
        return NULL;
    }
    char *at = (char *)(argv + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(order->argv[i]) + 1;
        argv[i] = memcpy(at, order->argv[i], size);
        at += size;
    }
    argv[count] = NULL;
    request->argv = argv;
    request->stdin_stream = order->stdin_stream;
    request->digest = keeper->request.digest;
    request->timeout_ms = order->timeout_ms;
    return request;
}

enum message_job_state kept_job_state(const struct keeper *keeper)
{
    if (keeper->job == NULL)
        return MESSAGE_JOB_ENDED;
    return keeper->started ? MESSAGE_JOB_RUNNING : MESSAGE_JOB_STARTING;
}

enum afar_status kept_job_begin(struct keeper *keeper, struct afar_error *err)
{
    const char *label = order_of(keeper->order)->label;
    struct exec_request *request = make_request(keeper);
    if (request == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a request");
    keeper->owner.ops = &owner_ops;
    keeper->place.ops = &place_ops;
    keeper->decider.decide = decide;
    enum afar_status status = job_new(&keeper->job, &keeper->host, &keeper->place, &keeper->owner,
                                      request, label != NULL ? label : "kept", err);
    if (status != AFAR_OK) {
        exec_request_free(request);
        return status;
    }
    job_set_id(keeper->job, keeper->request.job);
    job_begin(keeper->job, &keeper->decider, NULL);
    return AFAR_OK;
}
