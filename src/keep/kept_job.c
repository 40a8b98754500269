/* The keeper's command: the owner and the place of its job. */
#include <stdio.h>
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

/* Appends output to the spool. False: some of it still waits. On a terminal a frame ends where a
 * new reader can begin. */
static bool append_waiting(struct keeper *keeper)
{
    bool some = false;
    while (keeper->waiting > 0) {
        const uint8_t *at = keeper->room + keeper->waiting_from;
        if (keeper->part == 0 && kept_job_on_terminal(keeper))
            keeper->part =
                screen_feed(&keeper->screen, at, keeper->waiting, &keeper->part_is_point);
        else if (keeper->part == 0)
            keeper->part = keeper->waiting;
        if (spool_append(keeper->spool, keeper->waiting_stream, at, keeper->part) != AFAR_OK)
            break;
        if (keeper->part_is_point)
            screen_mark(&keeper->screen, spool_end(keeper->spool));
        keeper->waiting -= keeper->part;
        keeper->waiting_from += keeper->part;
        keeper->part = 0;
        keeper->part_is_point = false;
        some = true;
    }
    if (some)
        added(keeper);
    return keeper->waiting == 0;
}

static void on_commit(struct job_owner *owner, enum stream stream, size_t size)
{
    struct keeper *keeper = keeper_of(owner);
    if (size == 0)
        return;
    keeper->waiting = size;
    keeper->waiting_stream = stream;
    keeper->waiting_from = 0;
    if (!append_waiting(keeper))
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
    /* Output that still waits for the disk is lost, and recorded as a gap. */
    if (!append_waiting(keeper)) {
        uint64_t bytes[2];
        spool_bytes(keeper->spool, bytes);
        bytes[keeper->waiting_stream] += keeper->waiting;
        spool_complete(keeper->spool, spool_end(keeper->spool) + 1, bytes);
        keeper->waiting = 0;
    }
    keeper->end = (struct jobdir_end){.receipt = *receipt,
                                      .seq = spool_end(keeper->spool),
                                      .ended_us = jobdir_now_us(),
                                      .digest = keeper->request.digest,
                                      .recording = keeper->recording,
                                      .next_attempt = keeper->run.next_attempt};
    memcpy(keeper->end.holder, keeper->run.holder, sizeof keeper->end.holder);
    store(keeper);
    keeper->ended = true;
    run_host_spooled(&keeper->run, keeper->end.seq + 1);
    timer_arm(loop_timers(keeper->host.loop), &keeper->timer, 0);
    loop_defer(keeper->host.loop, &keeper->pump);
}

/* Nothing refuses a keeper's job today; if it happens, the receipt says why. */
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
    (void)append_waiting(keeper);
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

/* ---- its place: the server has admitted it --------------------------------------------------- */

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
    struct keeper *keeper = list_object(place, struct keeper, place);
    const struct recording *recording = launch->recording;
    (void)pid;
    (void)receipt;
    if (recording == NULL || (recording->sha256[0] == '\0' && recording->why[0] == '\0'))
        return;
    memcpy(keeper->recording.path, recording->path, sizeof keeper->recording.path);
    memcpy(keeper->recording.sha256, recording->sha256, sizeof keeper->recording.sha256);
    (void)snprintf(keeper->recording.why, sizeof keeper->recording.why, "%s", recording->why);
    keeper->recording.bytes = recording->bytes;
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

/* Runs in the companion. Once `begun` exists, the command counts as started. */
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
    if (order->recording != NULL) {
        launch->spawned.stage = "record";
        launch->recording = recording_reopen(order->recording, err);
        if (launch->recording == NULL)
            return AFAR_ESYSTEM;
        launch->audited = true; /* so that note_end is called */
    }
    launch->spawned.stage = "environment";
    enum afar_status status =
        environment_build(&launch->environment, nothing, order->env, nothing, err);
    launch->spawned.stage = "keeper";
    return status == AFAR_OK ? jobdir_begin(keeper->folder_fd, err) : status;
}

/* A copy, which the job frees. NULL: out of memory. */
static struct exec_request *make_request(const struct keeper *keeper)
{
    const struct keep_order *order = order_of(keeper->order);
    size_t count = 0;
    size_t bytes = 0;
    for (; order->argv[count] != NULL; count++)
        bytes += strlen(order->argv[count]) + 1;
    struct exec_request *request = calloc(1, sizeof *request);
    /* One block: the words lie after the array. */
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
    if (order->pty != NULL) {
        request->pty = malloc(sizeof *request->pty);
        if (request->pty == NULL) {
            exec_request_free(request);
            return NULL;
        }
        *request->pty = *order->pty;
    }
    request->stdin_stream = order->stdin_stream;
    request->digest = keeper->request.digest;
    request->timeout_ms = order->timeout_ms;
    return request;
}

/* ---- its screen ------------------------------------------------------------------------------ */

bool kept_job_on_terminal(const struct keeper *keeper)
{
    return keeper->request.pty;
}

/* The first frame that has at least `wanted` bytes of output before it and is in the spool. */
static uint64_t frame_at(struct keeper *keeper, uint64_t wanted)
{
    uint64_t low = 0;
    uint64_t high = spool_end(keeper->spool);
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        uint64_t bytes[2];
        if (spool_bytes_before(keeper->spool, middle, bytes) && bytes[STREAM_STDOUT] >= wanted)
            high = middle;
        else
            low = middle + 1;
    }
    return high;
}

/* A keeper that only reads: rebuilds the screen's state from the spool. */
static void look_back(struct keeper *keeper)
{
    struct spool_cursor cursor = {.fd = -1};
    struct spool_record record;
    uint64_t bytes[2];
    bool point = false;
    spool_bytes(keeper->spool, bytes);
    const uint64_t end = bytes[STREAM_STDOUT];
    cursor.seq = frame_at(keeper, end > SCREEN_TAIL_MAX_BYTES ? end - SCREEN_TAIL_MAX_BYTES : 0);
    if (!spool_bytes_before(keeper->spool, cursor.seq, cursor.bytes))
        return;
    screen_begin(&keeper->screen, cursor.seq, cursor.bytes[STREAM_STDOUT]);
    for (;;) {
        enum spool_got got =
            spool_next(keeper->spool, &cursor, keeper->room, sizeof keeper->room, &record);
        if (got != SPOOL_FRAME && got != SPOOL_GAP)
            break;
        if (got == SPOOL_GAP)
            screen_begin(&keeper->screen, cursor.seq, cursor.bytes[STREAM_STDOUT]);
        size_t used = 0;
        while (got == SPOOL_FRAME && used < record.size)
            used += screen_feed(&keeper->screen, keeper->room + used, record.size - used, &point);
        if (got == SPOOL_FRAME && point)
            screen_mark(&keeper->screen, cursor.seq);
    }
    spool_cursor_close(&cursor);
}

void kept_job_find_screen(struct keeper *keeper, struct message_attach *attach)
{
    struct screen_point point;
    if (keeper->order == NULL && keeper->screen.bytes == 0)
        look_back(keeper);
    attach->has_next = attach->has_next_bytes = true;
    if (screen_find(&keeper->screen, attach->tail, &point)) {
        attach->next_bytes[STREAM_STDOUT] = point.bytes;
        attach->next_bytes[STREAM_STDERR] = 0;
        attach->next = attach->ack = point.seq;
    } else {
        spool_bytes(keeper->spool, attach->next_bytes);
        attach->next = attach->ack = spool_end(keeper->spool);
    }
}

void kept_job_tell_screen(const struct keeper *keeper, bool is_new,
                          struct message_attached *attached)
{
    attached->has_pty = kept_job_on_terminal(keeper);
    if (!attached->has_pty || keeper->job == NULL)
        return;
    attached->screen = *job_screen(keeper->job);
    attached->has_modes = is_new;
    if (!is_new)
        return;
    uint64_t bytes[2];
    spool_bytes(keeper->spool, bytes);
    attached->replay = bytes[STREAM_STDOUT] - attached->first_bytes[STREAM_STDOUT];
    /* (Output that was fed but waits for room is sent again as a whole.) */
    screen_tell(&keeper->screen, attached->replay == 0 && keeper->part == 0, attached->modes);
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
    screen_begin(&keeper->screen, 0, 0);
    job_set_id(keeper->job, keeper->request.job);
    job_begin(keeper->job, &keeper->decider, NULL);
    return AFAR_OK;
}
