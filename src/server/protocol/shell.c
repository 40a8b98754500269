#include "server/protocol/shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/audit_note.h"
#include "server/prepare.h"
#include "server/protocol/collector.h"
#include "wire/frame.h"
#include "wire/tutorial.h"

enum shell_state { SHELL_IDLE, SHELL_ARRIVING, SHELL_RUNNING, SHELL_HASHING, SHELL_SENDING };

struct shell {
    struct job_owner owner;
    struct connection *connection;
    enum tutorial_reply kind;
    enum shell_state state;
    struct timer quiet;
    struct job *job;
    struct collector *collector;
    bool over_limit;
    const uint8_t *chunk; /* being sent; borrowed from the collector */
    size_t chunk_bytes;
};

static struct shell *session_of(const struct connection *connection)
{
    return connection->session;
}

static void close_for(struct shell *shell, enum log_level level, const char *why)
{
    connection_slow_down(shell->connection); /* delays the client's next connection */
    connection_fail(shell->connection, level, why);
}

static void give_up(struct shell *shell, const char *why)
{
    close_for(shell, LOG_LEVEL_WARN, why);
}

/* ---- the reply ------------------------------------------------------------------------------- */

static void look_for_request(struct shell *shell);

static void end_reply(struct shell *shell)
{
    collector_free(shell->collector);
    shell->collector = NULL;
    shell->chunk = NULL;
    shell->chunk_bytes = 0;
    shell->state = SHELL_IDLE;
    connection_end_request(shell->connection);
    if (shell->connection->worker->draining)
        connection_finish(shell->connection);
    else
        look_for_request(shell);
}

static void begin_sending(struct shell *shell, const char *md5)
{
    struct afar_error err;
    enum afar_status status = tutorial_put_header(&shell->connection->out, shell->kind,
                                                  collector_total(shell->collector), md5, &err);
    if (status != AFAR_OK) {
        give_up(shell, err.message);
        return;
    }
    shell->state = SHELL_SENDING;
    connection_want_flush(shell->connection);
    collector_rewind(shell->collector);
    collector_next(shell->collector);
}

static void chunk_came(void *owner, const uint8_t *data, size_t size)
{
    struct shell *shell = owner;
    struct afar_error err;
    if (shell->state == SHELL_HASHING && size > 0) {
        collector_next(shell->collector);
    } else if (shell->state == SHELL_HASHING) {
        char hex[DIGEST_HEX_BYTES];
        if (collector_end_hash(shell->collector, hex, &err) == AFAR_OK)
            begin_sending(shell, hex);
        else
            give_up(shell, err.message);
    } else if (size > 0) {
        shell->chunk = data;
        shell->chunk_bytes = size;
        connection_want_flush(shell->connection);
    } else {
        end_reply(shell);
    }
}

static void room_again(void *owner)
{
    struct shell *shell = owner;
    if (shell->job != NULL)
        job_resume_output(shell->job);
}

static void collecting_failed(void *owner, const struct afar_error *err)
{
    give_up(owner, err->message);
}

static const struct collector_ops collector_ops = {
    .room = room_again,
    .chunk = chunk_came,
    .failed = collecting_failed,
};

/* ---- the job --------------------------------------------------------------------------------- */

static struct shell *shell_of(struct job_owner *owner)
{
    return list_object(owner, struct shell, owner);
}

static void job_started(struct job_owner *owner)
{
    (void)owner;
}

static void job_took_stdin(struct job_owner *owner)
{
    (void)owner;
}

static enum afar_status job_reserve(struct job_owner *owner, enum stream stream, uint8_t **room,
                                    size_t *size, struct afar_error *err)
{
    struct shell *shell = shell_of(owner);
    if (!shell->over_limit) {
        enum afar_status status = collector_reserve(shell->collector, stream, room, size, err);
        if (status != AFAR_ELIMIT)
            return status;
        shell->over_limit = true;
        job_stop(shell->job, AFAR_OUTCOME_OUTPUT_LIMIT);
    }
    *room = shell->connection->worker->host.scratch;
    *size = JOB_SCRATCH_BYTES;
    return AFAR_OK;
}

static void job_commit(struct job_owner *owner, enum stream stream, size_t size)
{
    struct shell *shell = shell_of(owner);
    if (!shell->over_limit)
        collector_commit(shell->collector, stream, size);
}

static void job_ended(struct job_owner *owner, const struct afar_receipt *receipt)
{
    struct shell *shell = shell_of(owner);
    const struct config *config = shell->connection->worker->config;
    struct afar_error err;
    shell->job = NULL;
    if (receipt->outcome == AFAR_OUTCOME_SPAWN_FAILED) {
        give_up(shell, receipt->message);
    } else if (receipt->outcome == AFAR_OUTCOME_SERVER_LOST) {
        give_up(shell, "closed without a reply: what became of the command is unknown");
    } else if (shell->over_limit || collector_total(shell->collector) > config->collect_max_bytes) {
        counters_count(&shell->connection->worker->shared->counters, COUNTER_COLLECT_MAX_BYTES);
        give_up(shell, "closed without a reply: more output than collect_max_bytes");
    } else if (shell->kind == TUTORIAL_SIZED) {
        begin_sending(shell, NULL);
    } else if (collector_begin_hash(shell->collector, "md5", &err) != AFAR_OK) {
        give_up(shell, err.message);
    } else {
        shell->state = SHELL_HASHING;
        collector_next(shell->collector);
    }
}

static void job_refused(struct job_owner *owner, const struct refusal *refusal)
{
    struct shell *shell = shell_of(owner);
    shell->job = NULL;
    close_for(shell, LOG_LEVEL_DEBUG, refusal->text); /* prepare.c has logged it */
}

static const struct job_owner_ops owner_ops = {
    .started = job_started,
    .reserve = job_reserve,
    .commit = job_commit,
    .stdin_taken = job_took_stdin,
    .ended = job_ended,
    .refused = job_refused,
};

/* ---- the request ----------------------------------------------------------------------------- */

/* Takes all that has arrived as one command. NULL: out of memory. */
static struct exec_request *take_request(struct connection *connection)
{
    size_t size = buffer_size(&connection->in);
    struct exec_request *request = calloc(1, sizeof *request);
    if (request != NULL)
        request->shell = malloc(size + 1);
    if (request == NULL || request->shell == NULL) {
        exec_request_free(request);
        return NULL;
    }
    memcpy(request->shell, buffer_head(&connection->in), size);
    request->shell[size] = '\0';
    buffer_clear(&connection->in);
    connection_pause_input(connection, false);
    return request;
}

static void run(struct shell *shell)
{
    struct connection *connection = shell->connection;
    struct afar_error err;
    enum counter limit = COUNTER_MAX_JOBS;
    size_t position = 0;
    char label[512];
    connection->asked = true;
    if (!connection_begin_request(connection)) {
        give_up(shell, "refused: the server is full and closes this connection; connect again");
        return;
    }
    struct policy_client client;
    if (connection_judge(connection, &client, &err) != AFAR_OK) {
        audit_note_refused(connection, "denied", err.message, NULL);
        give_up(shell, err.message);
        return;
    }
    shell->over_limit = false;
    shell->collector = collector_new(connection->worker, &collector_ops, shell);
    struct exec_request *request = take_request(connection);
    if (shell->collector == NULL || request == NULL) {
        exec_request_free(request);
        give_up(shell, "out of memory for a request");
        return;
    }
    connection_label(connection, label, sizeof label);
    const struct job_origin origin = {.label = label,
                                      .group = connection->ticket.group,
                                      .connection = connection->number,
                                      .identity = connection->identity,
                                      .owner = connection->owner,
                                      .client = client};
    enum afar_status status = prepare_job(&shell->job, connection->worker, &shell->owner, request,
                                          &origin, &position, &limit, &err);
    if (status == AFAR_EREFUSED)
        limit = COUNTER_DENIED;
    if (status == AFAR_ELIMIT || status == AFAR_EREFUSED)
        counters_count(&connection->worker->shared->counters, limit);
    if (status != AFAR_OK) {
        give_up(shell, err.message);
        return;
    }
    shell->state = SHELL_RUNNING;
}

static void quiet_fired(struct timer *timer)
{
    run(list_object(timer, struct shell, quiet));
}

/* A request is everything that arrives until nothing came for quiet_ms: nothing delimits it. */
static void look_for_request(struct shell *shell)
{
    struct connection *connection = shell->connection;
    const struct config *config = connection->worker->config;
    const uint8_t *data = buffer_head(&connection->in);
    size_t size = buffer_size(&connection->in);
    if (size == 0)
        return;
    const char *stray =
        tutorial_looks_like_http(data, size) ? "HTTP" : frame_stray_protocol(data, size);
    if (stray != NULL) {
        char why[80];
        (void)snprintf(why, sizeof why, "refused: the client speaks %s", stray);
        give_up(shell, why);
    } else if (size > config->request_bytes || size >= connection->in.limit_bytes) {
        counters_count(&connection->worker->shared->counters, COUNTER_REQUEST_BYTES);
        give_up(shell, "refused: a command longer than request_bytes");
    } else if (memchr(data, 0, size) != NULL) {
        give_up(shell, "refused: a command with a NUL byte");
    } else {
        shell->state = SHELL_ARRIVING;
        timer_arm(loop_timers(connection->worker->host.loop), &shell->quiet,
                  clock_now_ms() + (int64_t)config->quiet_ms);
    }
}

/* ---- the connection -------------------------------------------------------------------------- */

static enum afar_status shell_open(struct connection *connection, struct afar_error *err)
{
    const struct config *config = connection->worker->config;
    struct shell *shell = calloc(1, sizeof *shell);
    if (shell == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a session");
    enum afar_status status =
        timer_attach(loop_timers(connection->worker->host.loop), &shell->quiet, quiet_fired, err);
    if (status != AFAR_OK) {
        free(shell);
        return status;
    }
    shell->owner.ops = &owner_ops;
    shell->connection = connection;
    shell->kind = connection->kind == PROTOCOL_SIZED ? TUTORIAL_SIZED : TUTORIAL_HEADED;
    connection->session = shell;
    /* One byte more shows that a command is too long, also if it comes while another one runs. */
    connection->in.limit_bytes = (size_t)config->request_bytes + 1;
    return AFAR_OK;
}

static void shell_input(struct connection *connection)
{
    struct shell *shell = session_of(connection);
    if (shell->state == SHELL_IDLE || shell->state == SHELL_ARRIVING)
        look_for_request(shell);
}

static bool shell_peek(struct connection *connection, const uint8_t **data, size_t *size)
{
    const struct shell *shell = session_of(connection);
    *data = shell->chunk;
    *size = shell->chunk_bytes;
    return shell->chunk_bytes > 0;
}

static void shell_sent(struct connection *connection, size_t size)
{
    struct shell *shell = session_of(connection);
    shell->chunk += size;
    shell->chunk_bytes -= size;
    if (shell->chunk_bytes == 0)
        collector_next(shell->collector);
}

static bool shell_busy(struct connection *connection)
{
    return session_of(connection)->state != SHELL_IDLE;
}

static void shell_drain(struct connection *connection)
{
    if (!shell_busy(connection))
        connection_finish(connection);
}

static void shell_close(struct connection *connection)
{
    struct shell *shell = session_of(connection);
    if (shell->job != NULL)
        job_abandon(shell->job);
    collector_free(shell->collector);
    timer_detach(loop_timers(connection->worker->host.loop), &shell->quiet);
    free(shell);
    connection->session = NULL;
}

const struct protocol_ops shell_protocol = {
    .input_limit_bytes = 1, /* shell_open sets it */
    .open = shell_open,
    .input = shell_input,
    .peek = shell_peek,
    .sent = shell_sent,
    .busy = shell_busy,
    .drain = shell_drain,
    .close = shell_close,
};
