#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "client/client.h"

/* Servers send the features in `pong` and in their first `started`. */
static void note_features(struct afar_client *client, const struct message *message)
{
    if (message->text[0] != '\0')
        memcpy(client->features, message->text, sizeof client->features);
}

/* Takes the fields that `started` and `attached` have in common. */
static enum afar_status take_facts(struct afar_client *client, const struct message *message,
                                   struct afar_error *err)
{
    struct command *command = &client->command;
    if (message->window == 0 || message->window > CLIENT_WINDOW_MAX_BYTES)
        return afar_fail(err, AFAR_EPEER,
                         "the server's window is %" PRIu64 " bytes, 1 to %d are allowed",
                         message->window, CLIENT_WINDOW_MAX_BYTES);
    command->delivery.window = (size_t)message->window;
    command->delivery.window_max = (size_t)command->guest.window_max;
    if (message->resume_ms > 0)
        heartbeat_be_quick(&client->heartbeat);
    note_features(client, message);
    return AFAR_OK;
}

static enum afar_status on_started(struct afar_client *client, const struct message *message,
                                   const struct frame_view *frame, struct afar_error *err)
{
    struct command *command = &client->command;
    const struct afar_callbacks *callbacks = &command->delivery.callbacks;
    enum afar_status status = take_facts(client, message, err);
    if (status != AFAR_OK)
        return status;
    if (!command->started && callbacks->on_started != NULL)
        callbacks->on_started(callbacks->user, message->job);
    command->started = true;
    return delivery_show(&command->delivery, frame, err);
}

static void tell_screen(const struct command *command, const struct message_attached *attached)
{
    const struct afar_callbacks *callbacks = &command->delivery.callbacks;
    if (callbacks->on_screen != NULL)
        callbacks->on_screen(callbacks->user, attached->modes, attached->replay);
}

/* We are attached. The command's `started` may have been lost on the way. */
static enum afar_status on_attached(struct afar_client *client, const struct message *message,
                                    const struct frame_view *frame, struct afar_error *err)
{
    struct command *command = &client->command;
    const bool first = !command->attached;
    /* Also if an exec with a key found a job that had already gone on without us. */
    if (first && (command->guest.takes_over || command->delivery.next_seq == 0))
        delivery_start_at(&command->delivery, message->attached.first,
                          message->attached.first_bytes);
    if (first && !command->started)
        command->delivery.begun_before =
            command->guest.takes_over || run_guest_is_named(&command->guest);
    command->attached = true;
    client->complaint.code = client->lost.code = AFAR_OK;
    if (message->attached.state == MESSAGE_JOB_RUNNING) {
        enum afar_status status = on_started(client, message, frame, err);
        if (status == AFAR_OK && first && message->attached.has_modes)
            tell_screen(command, &message->attached);
        return status;
    }
    /* A job that we asked for may have ended before this comes, or never have started: its receipt
     * tells. */
    const struct afar_callbacks *callbacks = &command->delivery.callbacks;
    if (message->attached.state == MESSAGE_JOB_ENDED && command->guest.kept && !command->started &&
        !command->guest.takes_over && callbacks->on_started != NULL)
        callbacks->on_started(callbacks->user, message->job);
    enum afar_status status = take_facts(client, message, err);
    return status == AFAR_OK ? delivery_show(&command->delivery, frame, err) : status;
}

/* The command waits in the queue. Sent at most once, and before any other frame of the command. */
static enum afar_status on_queued(struct afar_client *client, const struct frame_view *frame,
                                  struct afar_error *err)
{
    struct command *command = &client->command;
    if (command->queued || command->started)
        return afar_fail(err, AFAR_EPEER, "the command was put into the queue %s",
                         command->started ? "after it had started" : "twice");
    command->queued = true;
    return delivery_show(&command->delivery, frame, err);
}

static enum afar_status on_output(struct afar_client *client, const struct message *message,
                                  const struct frame_view *frame, struct afar_error *err)
{
    struct command *command = &client->command;
    enum afar_status status = delivery_count(&command->delivery, message->seq, err);
    if (status != AFAR_OK)
        return status;
    return delivery_add(&command->delivery,
                        message->type == MESSAGE_STDOUT ? STREAM_STDOUT : STREAM_STDERR, frame,
                        err);
}

/* For exit, error and detached. `conclude` hands it out when all output before it is delivered. */
static enum afar_status end_command(struct command *command, const struct frame_view *frame,
                                    struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    if (command->delivery.callbacks.on_frame != NULL)
        status = buffer_append(&command->last_header, frame->header, frame->header_size, err);
    if (status != AFAR_OK)
        return status;
    command->ended = true;
    return AFAR_OK;
}

/* The receipt must agree with what was seen: whether the command had started, and how much stdin it
 * got. */
static enum afar_status check_outcome(const struct command *command,
                                      const struct afar_receipt *receipt, struct afar_error *err)
{
    bool began = command->started;
    bool known = began || !command->attached; /* it may have started and ended while we were away */
    switch (receipt->outcome) {
    case AFAR_OUTCOME_EXITED:
    case AFAR_OUTCOME_SIGNALED:
    case AFAR_OUTCOME_TIMED_OUT:
    case AFAR_OUTCOME_OUTPUT_LIMIT:
        began = true;
        break;
    case AFAR_OUTCOME_SPAWN_FAILED:
        began = false;
        break;
    case AFAR_OUTCOME_KILLED: /* perhaps before it had started */
    case AFAR_OUTCOME_DISCONNECTED:
    case AFAR_OUTCOME_SERVER_LOST:
        break;
    }
    if (known && began != command->started)
        return afar_fail(err, AFAR_EPEER, "the receipt says \"%s\" of a command that %s",
                         afar_outcome_name(receipt->outcome),
                         command->started ? "had started" : "had not started");
    /* Others may have sent some of it. */
    if (receipt->stdin_bytes > command->guest.stdin_sent && !command->guest.takes_over &&
        !run_guest_is_named(&command->guest))
        return afar_fail(err, AFAR_EPEER,
                         "the receipt counts %" PRIu64 " bytes of stdin, but %" PRIu64 " were sent",
                         receipt->stdin_bytes, command->guest.stdin_sent);
    return AFAR_OK;
}

static enum afar_status on_exit_frame(struct afar_client *client, const struct message *message,
                                      const struct frame_view *frame, struct afar_error *err)
{
    struct command *command = &client->command;
    enum afar_status status = delivery_count(&command->delivery, message->seq, err);
    if (status == AFAR_OK)
        status = check_outcome(command, &message->receipt, err);
    if (status != AFAR_OK)
        return status;
    command->receipt = message->receipt;
    command->receipt.size = sizeof command->receipt;
    return end_command(command, frame, err);
}

static void describe_error(struct afar_error *error, const struct message *message,
                           const char *prefix)
{
    char word[MESSAGE_WORD_BYTES];
    char patience[64] = "";
    utf8_copy(word, sizeof word, message->word);
    if (message->retry_after_ms > 0)
        (void)snprintf(patience, sizeof patience, "; try again in %" PRIu64 " ms",
                       message->retry_after_ms);
    (void)afar_fail(error, AFAR_EREFUSED, "%s%s (%s)%s", prefix,
                    message->text[0] != '\0' ? message->text : "no reason given", word, patience);
    (void)snprintf(error->reason, sizeof error->reason, "%s", word);
}

static enum afar_status on_refused(struct afar_client *client, const struct message *message,
                                   const struct frame_view *frame, struct afar_error *err)
{
    struct command *command = &client->command;
    char prefix[ENDPOINT_URL_BYTES + 32];
    (void)snprintf(prefix, sizeof prefix, "%s %s: ", client->name,
                   command->started ? "gave the command up" : "refused the command");
    describe_error(&command->refusal, message, prefix);
    command->refused = true;
    return end_command(command, frame, err);
}

static void on_other_error(struct afar_client *client, const struct message *message)
{
    struct control *control = &client->control;
    char prefix[ENDPOINT_URL_BYTES + 32];
    if (!message->has_id) {
        describe_error(&client->complaint, message, "");
    } else if (control->id != 0 && message->id == control->id) {
        (void)snprintf(prefix, sizeof prefix, "%s refused: ", client->name);
        describe_error(&control->refusal, message, prefix);
        control->answer = MESSAGE_ERROR;
        control->answered = true;
    }
}

/* The end of a request that we have withdrawn, or that asked for no more than what is there now. */
static enum afar_status on_detached(struct afar_client *client, const struct frame_view *frame,
                                    struct afar_error *err)
{
    struct command *command = &client->command;
    if (!command->detaching && !command->guest.no_follow)
        return afar_fail(err, AFAR_EPEER, "the server detached a command that was not taken back");
    if (command->guest.kept) {
        (void)afar_fail(&command->refusal, AFAR_EREFUSED, "%s: left; the command runs on",
                        client->name);
        (void)snprintf(command->refusal.reason, sizeof command->refusal.reason, "detached");
        command->refused = true;
        return end_command(command, frame, err);
    }
    (void)afar_fail(&command->refusal, AFAR_EREFUSED, "%s has taken the command back: %s",
                    client->name,
                    command->started ? "it had begun, and is ended" : "it was not begun");
    (void)snprintf(command->refusal.reason, sizeof command->refusal.reason, "detached");
    command->refused = true;
    return end_command(command, frame, err);
}

/* The server takes no new request. It has not read a request that it has not answered by now. */
static enum afar_status on_closing(struct afar_client *client, const struct message *message,
                                   struct afar_error *err)
{
    utf8_copy(client->closing, sizeof client->closing,
              message->word[0] != '\0' ? message->word : "no reason given");
    if (client->command.running && !client->command.answered)
        return afar_fail(err, AFAR_ECLOSED, "the server takes no new command");
    return AFAR_OK;
}

static void on_answer(struct afar_client *client, const struct message *message)
{
    struct control *control = &client->control;
    if (control->id == 0 || message->id != control->id)
        return;
    control->answered = true;
    control->answer = message->type;
    utf8_copy(control->version, sizeof control->version, message->word);
}

/* Acts on what the run's protocol state has made of the frame. */
static enum afar_status on_event(struct afar_client *client, enum run_guest_event event,
                                 const struct message *message, const struct frame_view *frame,
                                 struct afar_error *err)
{
    struct command *command = &client->command;
    switch (event) {
    case RUN_GUEST_STARTED:
        return on_started(client, message, frame, err);
    case RUN_GUEST_ATTACHED:
        return on_attached(client, message, frame, err);
    case RUN_GUEST_OUTPUT:
        return on_output(client, message, frame, err);
    case RUN_GUEST_EXIT:
        return on_exit_frame(client, message, frame, err);
    case RUN_GUEST_ROOM:
        return delivery_show(&command->delivery, frame, err);
    case RUN_GUEST_REFUSED:
        return on_refused(client, message, frame, err);
    case RUN_GUEST_LEFT:
        return on_detached(client, frame, err);
    case RUN_GUEST_LACK:
        return delivery_cut(&command->delivery, message->seq, message->cut.next, message->cut.lost,
                            frame, err);
    case RUN_GUEST_DROP:
        return afar_fail(err, AFAR_ECLOSED, "the server has no place for the command's return (%s)",
                         message->word);
    case RUN_GUEST_FAILED: /* run_guest_message has filled in *err */
        (void)afar_prefix(err, "%s", client->name);
        command->refusal = *err;
        command->refusal.code = AFAR_EREFUSED;
        command->refused = true;
        return end_command(command, frame, err);
    case RUN_GUEST_NOTHING:
        break;
    }
    return AFAR_OK;
}

static bool is_current(const struct afar_client *client, const struct message *message)
{
    const struct command *command = &client->command;
    return message->has_id && command->running && !command->ended &&
           message->id == command->guest.id;
}

/* Passes on a message of the command, or one of the connection that may concern the command. */
static enum afar_status tell_guest(struct afar_client *client, const struct message *message,
                                   const struct frame_view *frame, struct afar_error *err)
{
    struct run_guest *guest = &client->command.guest;
    enum run_guest_event event = RUN_GUEST_NOTHING;
    /* Only the answer to an attach needs the time. */
    int64_t now_ms = guest->state == RUN_GUEST_ATTACH ? clock_awake_or_not_ms() : 0;
    enum afar_status status = run_guest_message(guest, message, now_ms, &client->out, &event, err);
    if (status == AFAR_OK && event == RUN_GUEST_NOTHING && message->type == MESSAGE_ACK)
        event = RUN_GUEST_ROOM;
    return status == AFAR_OK ? on_event(client, event, message, frame, err) : status;
}

enum afar_status inbound_message(struct afar_client *client, const struct message *message,
                                 const struct frame_view *frame, struct afar_error *err)
{
    bool current = is_current(client, message);
    client->command.answered = client->command.answered || current;
    if (current && message->type == MESSAGE_QUEUED)
        return on_queued(client, frame, err);
    if (current && message->type != MESSAGE_PING && message->type != MESSAGE_BAD)
        return tell_guest(client, message, frame, err);
    if (client->command.running && !message->has_id)
        (void)tell_guest(client, message, frame, err);
    switch (message->type) {
    case MESSAGE_ERROR:
        on_other_error(client, message);
        return AFAR_OK;
    case MESSAGE_PING:
        return message_put_pong(&client->out, message->id, afar_version(), 0, err);
    case MESSAGE_PONG:
        note_features(client, message);
        on_answer(client, message);
        return AFAR_OK;
    case MESSAGE_DONE:
        on_answer(client, message);
        return AFAR_OK;
    case MESSAGE_JOBS:
        control_take_jobs(client, message);
        on_answer(client, message);
        return AFAR_OK;
    case MESSAGE_CLOSING:
        return on_closing(client, message, err);
    case MESSAGE_BAD:
        return afar_fail(err, AFAR_EPEER, "a malformed message: %s", message->problem.message);
    case MESSAGE_STARTED:
    case MESSAGE_QUEUED:
    case MESSAGE_STDOUT:
    case MESSAGE_STDERR:
    case MESSAGE_EXIT:
    case MESSAGE_ACK:
    case MESSAGE_DETACHED:
    case MESSAGE_ATTACHED:
    case MESSAGE_CUT: /* they may cross the end of their request */
    case MESSAGE_EXEC:
    case MESSAGE_STDIN:
    case MESSAGE_CLOSE:
    case MESSAGE_SIGNAL:
    case MESSAGE_RESIZE:
    case MESSAGE_PAUSE:
    case MESSAGE_DETACH:
    case MESSAGE_ATTACH:
    case MESSAGE_KILL:
    case MESSAGE_FORGET:
    case MESSAGE_ROOM:
    case MESSAGE_UNKNOWN:
        return AFAR_OK; /* of a later version, or not for a client */
    }
    return afar_fail(err, AFAR_EBUG, "message type %d", (int)message->type);
}
