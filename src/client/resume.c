/* Reconnects after a lost connection while a command runs. wire/run_guest.h decides what is sent
 * and expected then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "client/client.h"
#include "client/sized.h"

/* How long to retry a server that has never sent a frame: it may not be an Afar server. No longer
 * than its first answer may take. */
enum { STRANGER_MS = 3000 };

/* Random, to spread retries. Without randomness every client waits equally long. */
static uint32_t any_number(void)
{
    char hex[9] = "80000000";
    (void)random_hex(hex, 4, NULL);
    return (uint32_t)strtoul(hex, NULL, 16);
}

static void drop_connection(struct afar_client *client)
{
    transport_free(client->transport);
    client->transport = NULL;
    session_keeper_close(client->keeper);
    client->keeper = NULL;
    buffer_clear(&client->in);
    buffer_clear(&client->out);
    decoder_close(&client->decoder);
    decoder_init(&client->decoder);
    client->send_failed = false;
}

/* Tells a reader of on_frame that the connection is lost. */
static void show_away(struct afar_client *client)
{
    static const char header[] = "{\"type\":\"away\"}";
    const struct frame_view frame = {.header = (const uint8_t *)header,
                                     .header_size = sizeof header - 1};
    (void)delivery_show(&client->command.delivery, &frame, NULL);
}

/* True for errors of the connection itself, not of what is said on it. */
static bool is_loss(enum afar_status code)
{
    return code == AFAR_ECLOSED || code == AFAR_ESYSTEM || code == AFAR_ETIMEDOUT ||
           code == AFAR_ETRUST;
}

/* Every attempt has failed: says why. */
static void explain(const struct afar_client *client, const struct afar_error *end,
                    struct afar_error *why)
{
    const struct afar_error last = *why;
    (void)afar_fail(why, AFAR_ECLOSED,
                    "%s: the connection was lost, and not to be had again in time: %.200s; %s",
                    client->name, last.message, end->message);
    why->sys_errno = last.sys_errno;
}

bool resume_is_possible(const struct afar_client *client)
{
    const struct command *command = &client->command;
    const struct run_guest *guest = &command->guest;
    return command->running && !command->ended && client->endpoint != NULL &&
           guest->asked_resume_ms > 0 && (!guest->confirmed || guest->resume_ms > 0);
}

/* What is left for the first answer of a server that has never sent a frame. */
static int64_t stranger_left_ms(const struct afar_client *client)
{
    if (client->meet_by_ms == DEADLINE_NEVER)
        return STRANGER_MS;
    const int64_t left_ms = client->meet_by_ms - clock_now_ms();
    return left_ms < STRANGER_MS ? left_ms : STRANGER_MS;
}

/* A server that has never answered is not waited for beyond the time for its first answer. */
static enum run_guest_after lose(struct afar_client *client, enum run_guest_loss loss,
                                 struct afar_error *err)
{
    struct run_guest *guest = &client->command.guest;
    enum run_guest_after after =
        run_guest_lost(guest, loss, clock_awake_or_not_ms(), any_number(), err);
    if (after != RUN_GUEST_RETRY || client->met)
        return after;
    const int64_t left_ms = stranger_left_ms(client);
    if (left_ms <= 0)
        return RUN_GUEST_OVER;
    run_guest_hurry(guest, clock_awake_or_not_ms(), left_ms);
    return RUN_GUEST_RETRY;
}

bool resume_may_follow(struct afar_client *client, struct afar_error *why)
{
    struct command *command = &client->command;
    struct run_guest *guest = &command->guest;
    struct afar_error end = {0};
    const bool was_away = client->lost.code != AFAR_OK;
    if (!command->running || command->ended || guest->asked_resume_ms == 0 || !is_loss(why->code) ||
        client->endpoint == NULL)
        return false;
    const enum run_guest_loss loss =
        why->code == AFAR_ETRUST ? RUN_GUEST_TURNED_AWAY : RUN_GUEST_CUT;
    switch (lose(client, loss, &end)) {
    case RUN_GUEST_RETRY:
        drop_connection(client);
        if (!was_away)
            show_away(client);
        if (!was_away || client->met)
            client->lost = *why;
        client->lost.code = AFAR_ECLOSED;
        return true;
    case RUN_GUEST_OVER:
        if (was_away && client->met)
            explain(client, &end, why);
        else if (was_away)
            *why = client->lost; /* the first failure says more */
        return false;
    case RUN_GUEST_NOT_SENT:
        (void)snprintf(why->reason, sizeof why->reason, CLIENT_NOT_SENT);
        return false;
    case RUN_GUEST_COMPLETE:
        break;
    }
    return false;
}

bool afar_away(const struct afar_client *client)
{
    return client != NULL && !client->broken && client->transport == NULL;
}

const char *afar_why_away(const struct afar_client *client)
{
    return client != NULL && client->lost.code != AFAR_OK ? client->lost.message : "";
}

int resume_timeout(const struct afar_client *client)
{
    int64_t at_ms = run_guest_deadline_ms(&client->command.guest);
    if (at_ms == INT64_MAX)
        return -1;
    int64_t left_ms = at_ms - clock_awake_or_not_ms();
    if (left_ms <= 0)
        return 0;
    return left_ms < INT32_MAX ? (int)left_ms : INT32_MAX;
}

enum afar_status resume_on_transport(struct afar_client *client, struct transport *transport,
                                     int64_t patience_ms, struct afar_error *err)
{
    struct command *command = &client->command;
    client->transport = transport;
    client->heard = client->by_another = false;
    client->closing[0] = '\0';
    client->complaint.code = AFAR_OK;
    run_guest_taken(&command->guest, delivery_next(&command->delivery));
    delivery_acked(&command->delivery);
    command->ack_by_ms = DEADLINE_NEVER;
    client->last_id++;
    enum afar_status status =
        run_guest_connected(&command->guest, client->last_id, &client->out, err);
    if (status != AFAR_OK)
        return status;
    heartbeat_heard(&client->heartbeat);
    if (patience_ms > 0)
        heartbeat_want_message(&client->heartbeat, patience_ms);
    pump_send(client);
    return AFAR_OK;
}

/* One attempt has failed. */
static enum afar_status fail_attempt(struct afar_client *client, struct afar_error *why)
{
    if (why->code == AFAR_EAGAIN || why->code == AFAR_ELIMIT || why->code == AFAR_EPEER ||
        why->code == AFAR_EINVAL || why->code == AFAR_ENOMEM)
        why->code = AFAR_ECLOSED; /* it ends this attempt only */
    if (resume_may_follow(client, why))
        return afar_fail(why, AFAR_EAGAIN, "%s", client->lost.message);
    client->command.running = false;
    return client_break(client, why, NULL);
}

/* How long an attempt, or the wait for its answer, may take; 0: no limit. */
static int64_t attempt_ms(const struct afar_client *client, int64_t wanted_ms)
{
    if (client->met || client->meet_by_ms == DEADLINE_NEVER)
        return wanted_ms;
    int64_t left_ms = client->meet_by_ms - clock_now_ms();
    if (left_ms <= 0)
        left_ms = 1;
    return wanted_ms > 0 && wanted_ms < left_ms ? wanted_ms : left_ms;
}

/* Checks that the client is away, can connect, and that the next attempt is due. AFAR_EAGAIN: not
 * yet. */
static enum afar_status may_resume(struct afar_client *client,
                                   const struct afar_resume_options *wanted, struct afar_error *err)
{
    const struct afar_context *context = wanted->context;
    if (client == NULL || client->broken)
        return client_check(client, PROTOCOL_AFAR, err);
    if (!afar_away(client))
        return afar_fail(err, AFAR_EINVAL, "the connection is there");
    if (client->endpoint->scheme == ENDPOINT_TLS && (context == NULL || context->tls == NULL))
        return afar_fail(err, AFAR_EINVAL, "%s needs a context to come back", client->name);
    if (!run_guest_connect_now(&client->command.guest, clock_awake_or_not_ms()))
        return afar_fail(err, AFAR_EAGAIN, "it is not time yet");
    return AFAR_OK;
}

static enum afar_status resume(struct afar_client *client, const struct afar_resume_options *how,
                               struct afar_error *err)
{
    struct afar_resume_options wanted;
    struct transport *transport = NULL;
    enum afar_status status = sized_take(&wanted, sizeof wanted, how, "afar_resume_options", err);
    if (status != AFAR_OK)
        return status;
    status = may_resume(client, &wanted, err);
    if (status != AFAR_OK) {
        if (wanted.stream > 0)
            (void)close((int)wanted.stream);
        return status;
    }
    const struct afar_context *context = wanted.context;
    if (wanted.stream < 0) {
        (void)afar_fail(err, AFAR_ECLOSED, "%s: no stream leads there", client->name);
        return fail_attempt(client, err);
    }
    if (wanted.stream > 0 && client_prepare_stream((int)wanted.stream, err) != AFAR_OK) {
        (void)close((int)wanted.stream);
        return fail_attempt(client, err);
    }
    status = client_open_transport(&transport, context, client->endpoint, (int)wanted.stream, true,
                                   clock_deadline_ms(attempt_ms(client, wanted.timeout_ms)),
                                   wanted.stop_fd > 0 ? wanted.stop_fd : -1, err);
    if (status != AFAR_OK)
        return fail_attempt(client, err);
    if (client->endpoint->scheme == ENDPOINT_TLS)
        client->keeper = session_keeper_new(&context->sessions, context->tls, client->endpoint);
    status = resume_on_transport(client, transport, attempt_ms(client, wanted.timeout_ms), err);
    return status == AFAR_OK ? AFAR_OK : fail_attempt(client, err);
}

int64_t afar_resume_granted(const struct afar_client *client)
{
    if (client == NULL || !client->command.guest.confirmed)
        return 0;
    return (int64_t)client->command.guest.resume_ms;
}

enum afar_status afar_resume(struct afar_client *client, const struct afar_resume_options *how,
                             struct afar_error *err)
{
    struct afar_error why = {0};
    return client_tell(resume(client, how, &why), &why, err);
}
