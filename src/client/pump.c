#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "client/client.h"

/* How much to receive in one turn, so that the caller can do its other work: signals, a deadline.
 * The second is for servers that send many small frames. */
enum { TURN_BYTES = 1 << 20, TURN_RECEIVES = 16 };

/* How long an acknowledgement may wait. One for each frame would cost both sides as much as the
 * frame, and the next frame or the command's end often makes it needless. */
enum { ACK_WITHIN_MS = 20 };

void pump_send(struct afar_client *client)
{
    while (!client->send_failed && buffer_size(&client->out) > 0) {
        size_t sent = 0;
        enum afar_status status =
            transport_send(client->transport, buffer_head(&client->out), buffer_size(&client->out),
                           &sent, &client->send_error);
        if (status == AFAR_EAGAIN)
            return;
        client->send_failed = status != AFAR_OK;
        if (sent > 0)
            run_guest_sent(&client->command.guest);
        buffer_consume(&client->out, sent);
    }
    if (client->send_failed)
        buffer_clear(&client->out);
}

static bool wants_acks(const struct command *command)
{
    /* After its end the server needs none, unless output is still to be delivered. */
    return command->running && command->guest.state == RUN_GUEST_RUN &&
           !(command->ended && delivery_done(&command->delivery));
}

int64_t pump_deadline_ms(const struct afar_client *client)
{
    const bool may = !client->broken && wants_acks(&client->command);
    return may ? client->command.ack_by_ms : DEADLINE_NEVER;
}

enum afar_status pump_ack(struct afar_client *client, struct afar_error *err)
{
    struct command *command = &client->command;
    if (!wants_acks(command) || !delivery_ack_due(&command->delivery, false))
        return AFAR_OK;
    int64_t now_ms = clock_now_ms();
    if (!delivery_ack_due(&command->delivery, true) && now_ms < command->ack_by_ms) {
        if (command->ack_by_ms == DEADLINE_NEVER)
            command->ack_by_ms = now_ms + ACK_WITHIN_MS;
        return AFAR_OK;
    }
    run_guest_taken(&command->guest, delivery_next(&command->delivery));
    enum afar_status status = run_guest_put_ack(&command->guest, &client->out, err);
    if (status != AFAR_OK)
        return status;
    delivery_acked(&command->delivery);
    command->ack_by_ms = DEADLINE_NEVER;
    return AFAR_OK;
}

/* Acknowledges between frames, so that the server does not run out of window while we have more to
 * read. */
static enum afar_status ack_in_time(struct afar_client *client, struct afar_error *err)
{
    const struct command *command = &client->command;
    if (!command->running || command->ended || !delivery_ack_due(&command->delivery, true))
        return AFAR_OK;
    enum afar_status status = pump_ack(client, err);
    pump_send(client);
    return status;
}

/* Acts on each complete frame. */
static enum afar_status take_frames(struct afar_client *client, struct afar_error *err)
{
    for (;;) {
        const uint8_t *start = buffer_head(&client->in);
        size_t size = buffer_size(&client->in);
        struct message message;
        const uint8_t *payload = NULL;
        size_t used = 0;
        if (size == 0)
            return AFAR_OK;
        enum afar_status status =
            decoder_next(&client->decoder, start, size, &message, &payload, &used, err);
        if (status == AFAR_EAGAIN)
            return AFAR_OK;
        if (status != AFAR_OK)
            return status;

        const struct frame_view frame = {.header = start + FRAME_PREFIX_BYTES,
                                         .header_size =
                                             (size_t)(payload - start) - FRAME_PREFIX_BYTES,
                                         .payload = payload,
                                         .size = message.size,
                                         .wire_bytes = used,
                                         .time_us = message.time_us};
        status = inbound_message(client, &message, &frame, err);
        message_close(&message);
        if (status == AFAR_OK)
            status = ack_in_time(client, err);
        if (status != AFAR_OK)
            return status;
        buffer_consume(&client->in, used);
        client->heard = client->met = true;
        if (client->heartbeat.by_message)
            heartbeat_heard(&client->heartbeat);
    }
}

/* Receives what is there, up to `asked` bytes. *received is valid on failure too. */
static enum afar_status receive_once(struct afar_client *client, size_t asked, size_t *received,
                                     struct afar_error *err)
{
    uint8_t *room = NULL;
    *received = 0;
    enum afar_status status = buffer_reserve(&client->in, asked, &room, err);
    if (status != AFAR_OK)
        return status;
    status = transport_fill(client->transport, room, asked, received, err);
    buffer_commit(&client->in, *received);
    client->received_bytes += *received;
    buffer_pace(&client->in, asked, *received);
    if (*received > 0)
        heartbeat_received(&client->heartbeat);
    return status;
}

/* If the server's first bytes are not a frame: says what it speaks instead. */
static enum afar_status explain_stray(const struct afar_client *client, struct afar_error *err)
{
    const char *stray =
        client->heard ? NULL
                      : frame_stray_protocol(buffer_head(&client->in), buffer_size(&client->in));
    if (stray == NULL)
        return afar_prefix(err, "%s", client->name);
    if (stray[0] == 'T')
        return afar_fail(err, AFAR_EPEER, "%s speaks TLS: connect with tls:// instead",
                         client->name);
    return afar_fail(err, AFAR_EPEER, "%s speaks %s: this is not an Afar server; check the port",
                     client->name, stray);
}

/* True if the server has certainly not begun the command that was under way when the connection
 * ended. An end without a message proves nothing. */
static bool is_not_begun(const struct afar_client *client)
{
    static const char *const codes[] = {"busy", "draining", "denied", "limit"};
    const struct command *command = &client->command;
    if (!command->running || command->answered)
        return false;
    /* The first three come before any request is read, the last if ours was too large to be read. */
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (client->complaint.code != AFAR_OK && strcmp(client->complaint.reason, codes[i]) == 0)
            return true;
    }
    return client->closing[0] != '\0';
}

/* Words for what is known of the request that was under way when the connection ended. */
static const char *fate_of_request(const struct afar_client *client)
{
    const struct command *command = &client->command;
    if (is_not_begun(client))
        return " and has not begun the command";
    if (resume_is_possible(client) && client->met)
        return "";
    if (command->running && command->started)
        return " before the command's receipt; whether it finished is unknown";
    if (command->running && !client->heard && client->scheme == ENDPOINT_TCP)
        return " without an answer; does it need tls:// or another protocol?";
    if (command->running)
        return " before it answered; whether the command ran is unknown";
    return client->control.id != 0 ? " before it answered" : "";
}

static enum afar_status explain_end(const struct afar_client *client, struct afar_error *err)
{
    const struct afar_error cause = *err;
    const struct afar_error *complaint = &client->complaint;
    const char *fate = fate_of_request(client);
    if (complaint->code != AFAR_OK) {
        *err = *complaint;
        (void)afar_prefix(err, "%s closed the connection%s", client->name, fate);
        err->code = AFAR_ECLOSED;
    } else if (cause.sys_errno == 0 || cause.sys_errno == EPIPE || cause.sys_errno == ECONNRESET) {
        const char *how = cause.sys_errno == ECONNRESET ? "reset" : "closed";
        const bool told = client->closing[0] != '\0';
        (void)afar_fail(err, AFAR_ECLOSED, "%s %s the connection%s%s%s%s", client->name, how,
                        told ? " (" : "", client->closing, told ? ")" : "", fate);
    } else {
        (void)afar_fail(err, AFAR_ECLOSED, "%s: %s; the connection ended%s", client->name,
                        cause.message, fate);
    }
    err->sys_errno = cause.sys_errno;
    if (err->reason[0] == '\0' && is_not_begun(client))
        (void)snprintf(err->reason, sizeof err->reason, CLIENT_NOT_SENT);
    return AFAR_ECLOSED;
}

/* The server has refused our certificate, which it does before it reads any request. With TLS 1.3
 * we learn this only after our side of the handshake is complete. */
static enum afar_status explain_refusal(const struct afar_client *client, struct afar_error *err)
{
    if (client->command.running && !client->command.answered)
        (void)snprintf(err->reason, sizeof err->reason, CLIENT_NOT_SENT);
    return afar_prefix(err, "%s", client->name);
}

enum afar_status pump_receive(struct afar_client *client, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    size_t total = 0;
    for (int receives = 1; status == AFAR_OK; receives++) {
        size_t asked = client->in.pace_bytes;
        size_t received = 0;
        struct afar_error why = {0};
        status = receive_once(client, asked, &received, err);
        enum afar_status taken = received > 0 ? take_frames(client, &why) : AFAR_OK;
        if (taken != AFAR_OK) {
            *err = why;
            status = taken;
        }
        if (status != AFAR_OK)
            break;
        /* A short read has emptied the socket. After a failed send read on: there may be last
         * words. */
        bool drained = received < asked && !client->send_failed;
        total += received;
        if (total >= TURN_BYTES || receives >= TURN_RECEIVES ||
            (drained && !transport_pending(client->transport)))
            return AFAR_OK;
    }
    if (status == AFAR_EAGAIN && !client->send_failed)
        return AFAR_OK;
    if (status == AFAR_EAGAIN) {
        /* Nothing is left to read that would say more than the failed send. */
        *err = client->send_error;
        status = err->code;
    }
    if (status == AFAR_ECLOSED)
        return explain_end(client, err);
    if (status == AFAR_ETRUST)
        return explain_refusal(client, err);
    return status == AFAR_EPEER ? explain_stray(client, err) : afar_prefix(err, "%s", client->name);
}
