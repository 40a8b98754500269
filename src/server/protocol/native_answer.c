/* The answers of a conversation. */
#include "server/protocol/native_internal.h"

#include <string.h>

void native_check_queued(struct native *native, enum afar_status status)
{
    if (status == AFAR_ELIMIT)
        counters_count(&native->connection->worker->shared->counters, COUNTER_CONTROL_QUEUE_BYTES);
    if (status == AFAR_ELIMIT)
        connection_fail(native->connection, LOG_LEVEL_WARN,
                        "too many replies are waiting (control_queue_bytes)");
    else if (status != AFAR_OK)
        connection_fail(native->connection, LOG_LEVEL_ERROR, "out of memory for a reply");
    connection_want_flush(native->connection);
}

void native_end_request(struct native *native)
{
    buffer_rest(&native->connection->in);
    connection_end_request(native->connection);
    run_free(native->run);
}

/* Ends the request; but if part of a frame was sent, the rest of it must follow before anything
 * else, so the run stays until native_sent. */
static void cut_request(struct native *native)
{
    if (!output_log_inside_frame(native->run->host.log) && !native->connection->blocked_inside)
        native_end_request(native);
    else
        run_cut(native->run);
}

/* In a drain: closes the connection, as nothing else would now. */
static void close_if_draining(struct native *native)
{
    if (native->connection->worker->draining && native->run == NULL)
        connection_drain(native->connection);
}

void native_end_detached(struct native *native)
{
    uint64_t id = native->run->host.id;
    cut_request(native);
    native_check_queued(native, message_put_detached(&native->connection->out, id, NULL));
    close_if_draining(native);
}

bool native_is_current(const struct native *native, const struct message *message)
{
    const struct run *run = native->run;
    return run != NULL && !run->cut && message->has_id && message->id == run->host.id;
}

void native_complain(struct native *native, enum refusal_code code, const char *text)
{
    connection_complain(native->connection, refusal_word(code), text);
    connection_slow_down(native->connection);
    native_check_queued(native, message_put_error(&native->connection->out, false, 0,
                                                  refusal_word(code), text, 0, NULL));
}

/* Whether the same request may succeed a little later. Other errors have no retry_after_ms: a
 * client that is denied must not come again and again. */
static bool may_pass_later(enum refusal_code code)
{
    return code == REFUSAL_BUSY || code == REFUSAL_DRAINING || code == REFUSAL_INTERNAL;
}

void native_answer(struct native *native, const struct message *message, enum refusal_code code,
                   const char *text)
{
    connection_slow_down(native->connection);
    if (native_is_current(native, message))
        cut_request(native);
    native_check_queued(native,
                        message_put_error(&native->connection->out, message->has_id, message->id,
                                          refusal_word(code), text,
                                          may_pass_later(code) ? NATIVE_BUSY_RETRY_MS : 0, NULL));
    close_if_draining(native);
}

void native_refuse(struct native *native, const struct message *message, enum refusal_code code,
                   const char *text)
{
    connection_complain(native->connection, refusal_word(code), text);
    native_answer(native, message, code, text);
}

void native_refuse_not_offered(struct native *native, const struct message *message,
                               const char *what)
{
    char text[MESSAGE_TEXT_BYTES] = "this server does not offer ";
    (void)strncat(text, what, sizeof text - strlen(text) - 1);
    native_refuse(native, message, REFUSAL_UNSUPPORTED, text);
}
