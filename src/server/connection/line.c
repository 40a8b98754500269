/* Log lines about a connection; and slows down a client that has too many requests refused. */
#include "server/connection/internal.h"

#include <stdio.h>

#include "base/clock.h"
#include "server/audit_note.h"

void connection_label(const struct connection *connection, char *label, size_t size)
{
    if (connection->identity == NULL)
        (void)snprintf(label, size, "connection %llu from %s", connection->number,
                       connection->peer);
    else
        (void)snprintf(label, size, "connection %llu from %s (%s)", connection->number,
                       connection->peer, connection->identity);
}

static void write_line(const struct connection *connection, enum log_level level, const char *code,
                       const char *text)
{
    char label[ADDRESS_TEXT_BYTES + IDENTITY_NAME_BYTES + 64];
    connection_label(connection, label, sizeof label);
    log_write(connection->worker->shared->log, level, "%s: %s%s%s", label, code,
              code[0] != '\0' ? ": " : "", text);
}

bool connection_count_line(const struct connection *connection, enum summary_kind kind)
{
    char who[SUMMARY_WHO_BYTES];
    summary_who(who, connection->identity, &connection->ticket.group);
    return summary_count(connection->worker->shared->summary, kind, who);
}

void connection_say(const struct connection *connection, enum summary_kind kind,
                    enum log_level level, const char *text)
{
    if (!log_enabled(connection->worker->shared->log, level))
        return;
    if (level == LOG_LEVEL_DEBUG || connection_count_line(connection, kind))
        write_line(connection, level, "", text);
}

void connection_complain(const struct connection *connection, const char *code, const char *text)
{
    if (log_enabled(connection->worker->shared->log, LOG_LEVEL_WARN) &&
        connection_count_line(connection, SUMMARY_COMPLAINT))
        write_line(connection, LOG_LEVEL_WARN, code, text);
}

void connection_note(struct connection *connection, const char *event, const char *why)
{
    audit_note_refused(connection, event, why, NULL);
    write_line(connection, LOG_LEVEL_WARN, "", why);
}

void connection_not_let_in(struct connection *connection, enum summary_kind kind, const char *event,
                           const char *why)
{
    if (connection_count_line(connection, kind))
        connection_note(connection, event, why);
}

/* ---- its pace -------------------------------------------------------------------------------- */

static void hold(struct connection *connection, int64_t wait_ms)
{
    if (wait_ms <= 0 || connection->state != CONNECTION_OPEN)
        return;
    int64_t until_ms = clock_now_ms() + wait_ms;
    if (until_ms > connection->held_until_ms)
        connection->held_until_ms = until_ms;
    connection_watch_time(connection);
}

void connection_slow_down(struct connection *connection)
{
    char who[SUMMARY_WHO_BYTES];
    summary_who(who, connection->identity, &connection->ticket.group);
    hold(connection, summary_pace(connection->worker->shared->summary, who,
                                  connection->worker->config->refusals_per_minute));
}

void connection_begin_slowly(struct connection *connection)
{
    char who[SUMMARY_WHO_BYTES];
    summary_who(who, connection->identity, &connection->ticket.group);
    hold(connection, summary_pace_now(connection->worker->shared->summary, who,
                                      connection->worker->config->refusals_per_minute));
}

void connection_go_on(struct connection *connection)
{
    connection->held_until_ms = 0;
    if (connection->session != NULL && buffer_size(&connection->in) > 0)
        connection->protocol->input(connection);
    connection_want_flush(connection); /* which sets the events to wait for */
}
