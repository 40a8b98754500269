#include "base/clock.h"
#include "client/client.h"

/* Hands out the receipt or the refusal once the command has ended and its output is delivered. */
static enum afar_status conclude(struct afar_client *client, struct afar_error *err)
{
    struct command *command = &client->command;
    if (!command->running || !command->ended || !delivery_done(&command->delivery))
        return AFAR_OK;

    enum afar_status status = AFAR_OK;
    if (!command->refused) {
        status = delivery_verify(&command->delivery, &command->receipt, err);
        if (status == AFAR_EPEER)
            (void)afar_prefix(err, "%s", client->name);
    }
    /* Show only a receipt that was verified. */
    if (status == AFAR_OK && buffer_size(&command->last_header) > 0) {
        const struct frame_view frame = {.header = buffer_head(&command->last_header),
                                         .header_size = buffer_size(&command->last_header)};
        status = delivery_show(&command->delivery, &frame, err);
    }
    buffer_clear(&command->last_header);
    if (status != AFAR_OK)
        return status;

    /* The last acknowledgement: a server that grants resuming waits for it. */
    run_guest_taken(&command->guest, delivery_next(&command->delivery));
    if (!command->refused && !client->broken && client->transport != NULL &&
        run_guest_finish(&command->guest, &client->out, err) == AFAR_OK)
        pump_send(client);
    command->running = false;
    buffer_rest(&client->in);
    command->has_receipt = !command->refused;
    if (!command->refused)
        return AFAR_OK;
    *err = command->refusal;
    return AFAR_EREFUSED;
}

/* Gives the command up after a failure that is not a lost connection: our own, or a broken
 * protocol. The connection still works, so a server that would wait for us is told when it is
 * closed. */
static void forsake(struct afar_client *client, enum afar_status why)
{
    const bool lost =
        why == AFAR_ECLOSED || why == AFAR_ESYSTEM || why == AFAR_ETIMEDOUT || why == AFAR_ETRUST;
    if (lost || client->broken || client->transport == NULL || client->send_failed ||
        !client->command.running || !client_is_waited_for(client))
        return;
    client->farewell = message_put_detach(&client->out, client->command.guest.id, NULL) == AFAR_OK;
}

static int64_t deadline_ms_of(const struct afar_client *client)
{
    if (afar_away(client))
        return DEADLINE_NEVER;
    int64_t beat_ms = heartbeat_deadline_ms(client);
    int64_t ack_ms = pump_deadline_ms(client);
    return beat_ms < ack_ms ? beat_ms : ack_ms;
}

int afar_timeout(const struct afar_client *client)
{
    if (client == NULL)
        return -1;
    if (afar_away(client))
        return resume_timeout(client);
    /* The last turn may have stopped before everything was read. */
    if (!client->broken && transport_pending(client->transport))
        return 0;
    return clock_poll_timeout(deadline_ms_of(client));
}

/* Receives, then sends, so that the acknowledgement of what came leaves together with other
 * data. */
static enum afar_status exchange(struct afar_client *client, struct afar_error *err)
{
    enum afar_status status = pump_receive(client, err);
    if (status == AFAR_OK)
        status = pump_ack(client, err);
    if (status == AFAR_OK)
        status = heartbeat_beat(client, err);
    if (status != AFAR_OK)
        return status;
    pump_send(client);
    /* Put what had no room before. */
    if (client->command.running && buffer_size(&client->out) == 0) {
        status = run_guest_push(&client->command.guest, &client->out, err);
        pump_send(client);
    }
    if (status != AFAR_OK)
        return status;
    return client->send_failed ? pump_receive(client, err) : AFAR_OK;
}

enum afar_status afar_process(struct afar_client *client, struct afar_error *err)
{
    struct afar_error why = {0};
    enum afar_status status = AFAR_OK;
    if (client == NULL)
        return client_check(client, PROTOCOL_AFAR, err);
    struct command *command = &client->command;
    /* If the command ended before the connection did, its output and receipt are still handed
     * out. */
    if (!client->broken || !command->running || !command->ended)
        status = client_check(client, PROTOCOL_AFAR, &why);
    if (status != AFAR_OK)
        return client_tell(status, &why, err);

    status = delivery_retry(&command->delivery, &why);
    if (status == AFAR_OK && !client->broken && client->transport != NULL) {
        status = exchange(client, &why);
        /* The receipt or refusal is there: that the connection failed matters only to the next
         * command. */
        if (status != AFAR_OK && command->running && command->ended) {
            (void)client_break(client, &why, NULL);
            status = AFAR_OK;
        }
        if (status != AFAR_OK && resume_may_follow(client, &why))
            status = AFAR_OK;
    }
    if (status == AFAR_OK)
        status = conclude(client, &why);
    if (status == AFAR_OK)
        return AFAR_OK;
    if (status != AFAR_EREFUSED) {
        forsake(client, status);
        command->running = false;
        return client_break(client, &why, err);
    }
    return client_tell(status, &why, err);
}

/* Waits until something comes, or something is to be sent. AFAR_ETIMEDOUT only at the deadline. */
static enum afar_status wait_for_more(const struct afar_client *client, int64_t deadline_ms,
                                      struct afar_error *err)
{
    int64_t ours_ms = deadline_ms_of(client);
    if (ours_ms >= deadline_ms)
        return client_wait_ready(client, afar_events(client), deadline_ms, err);
    enum afar_status status = client_wait_ready(client, afar_events(client), ours_ms, err);
    return status == AFAR_ETIMEDOUT ? AFAR_OK : status;
}

enum afar_status afar_wait(struct afar_client *client, int64_t timeout_ms, struct afar_error *err)
{
    struct afar_error why = {0};
    int64_t deadline_ms = clock_deadline_ms(timeout_ms);
    if (client == NULL)
        return client_check(client, PROTOCOL_AFAR, err);
    struct command *command = &client->command;
    if (!command->running && !command->has_receipt && !client->broken)
        return afar_fail(err, AFAR_EINVAL, "no command is running");
    enum afar_status status = afar_close_stdin(client, &why);
    while (status == AFAR_OK && !command->has_receipt) {
        uint64_t progress = command->delivery.progress;
        status = afar_process(client, &why);
        if (status != AFAR_OK || command->has_receipt)
            break;
        if (afar_away(client)) {
            why = client->lost;
            status = why.code;
            break;
        }
        if (delivery_done(&command->delivery))
            status = wait_for_more(client, deadline_ms, &why);
        else if (command->delivery.progress == progress)
            status = afar_fail(&why, AFAR_EAGAIN, "an output callback takes nothing");
    }
    return client_tell(status, &why, err);
}
