/* What comes to a client, and what it makes of it. */
#include "simulate/sim.h"

#include <string.h>

static struct fact *fact_of(const char *job)
{
    for (size_t i = 0; i < sim.facts; i++) {
        if (strcmp(sim.fact[i].job, job) == 0)
            return &sim.fact[i];
    }
    problem("job %s was never made", job);
    return &sim.fact[0];
}

static void take_attached(struct client *client, const struct message *message, bool confirmed)
{
    client->fact = fact_of(message->job);
    client->window = (size_t)message->window;
    client->epoch++;
    if (message->type == MESSAGE_STARTED || confirmed)
        return;
    client->offset[0] = client->guest.bytes[0];
    client->offset[1] = client->guest.bytes[1];
    /* Its input goes on where that of whoever had it ended. */
    if (client->takes_over != NULL)
        client->input_given = client->guest.stdin_sent;
}

static void queue_frame(struct client *client, const struct message *message, size_t wire_bytes)
{
    if (client->queue_count == QUEUE_MAX) {
        problem("client %u keeps more than %d frames", client->number, QUEUE_MAX);
        return;
    }
    size_t at = (client->queue_first + client->queue_count) % QUEUE_MAX;
    client->queue[at] = (struct queued){message->seq, client->guest.next_seq, wire_bytes};
    client->queue_count++;
    client->kept_bytes += wire_bytes;
    const size_t most =
        client->old || sim.window_most < client->window ? client->window : sim.window_most;
    if (client->kept_bytes > most)
        problem("client %u keeps %zu bytes of output, the window is %zu", client->number,
                client->kept_bytes, most);
}

static void take_output(struct client *client, const struct message *message,
                        const uint8_t *payload, size_t wire_bytes)
{
    unsigned stream = message->type == MESSAGE_STDERR;
    unsigned salt = client->fact->salt;
    for (size_t i = 0; i < message->size; i++) {
        if (payload[i] != output_byte(salt, stream, client->offset[stream] + i)) {
            problem("client %u: byte %llu of stream %u is not what the command wrote",
                    client->number, (unsigned long long)(client->offset[stream] + i), stream);
            return;
        }
    }
    client->offset[stream] += message->size;
    queue_frame(client, message, wire_bytes);
}

static void take_lack(struct client *client, const struct message *message, size_t wire_bytes)
{
    if (!client->fact->kept)
        problem("output of a run in memory was cut");
    client->offset[0] += message->cut.lost[0];
    client->offset[1] += message->cut.lost[1];
    queue_frame(client, message, wire_bytes);
}

static void take_receipt(struct client *client, const struct message *message)
{
    client->receipt = message->receipt;
    if (client->fact == NULL)
        problem("client %u has a receipt of a command that it does not know", client->number);
    queue_frame(client, message, 0);
}

static void take_failure(struct client *client, const struct message *message,
                         const struct afar_error *err)
{
    TRACE("client %u: %s (%s)", client->number, err->message, message->word);
    if (strcmp(message->word, "superseded") == 0)
        client_finish(client, OUTCOME_SUPERSEDED);
    else if (strcmp(message->word, "not_found") == 0) {
        client_check_unknown(client);
        client_finish(client, OUTCOME_UNKNOWN);
    } else if (strcmp(message->word, "gone") == 0 && client->fact != NULL && client->fact->torn) {
        client_finish(client, OUTCOME_UNKNOWN); /* the disk has less than it has */
    } else {
        problem("client %u: %s (%s)", client->number, err->message, message->word);
    }
}

/* Its keeper died before it had begun. */
static bool never_began(const struct client *client)
{
    bool never = false;
    for (size_t i = 0; i < sim.facts; i++) {
        const struct fact *fact = &sim.fact[i];
        if (strcmp(fact->holder, client->holder) == 0) {
            never = fact->never;
            if (fact->starts > 0)
                problem("client %u is refused, and job %u has started", client->number,
                        fact->number);
        }
    }
    return never;
}

static void take_refusal(struct client *client, const struct message *message)
{
    bool fair = strcmp(message->word, "not_found") == 0 || strcmp(message->word, "draining") == 0 ||
                (strcmp(message->word, "internal") == 0 && never_began(client));
    TRACE("client %u: refused: %s: %s", client->number, message->word, message->text);
    if (!fair)
        problem("client %u is refused: %s: %s", client->number, message->word, message->text);
    client_finish(client, OUTCOME_REFUSED);
}

static void act(struct client *client, enum run_guest_event event, const struct message *message,
                const uint8_t *payload, size_t wire_bytes, bool confirmed,
                const struct afar_error *err)
{
    switch (event) {
    case RUN_GUEST_NOTHING:
    case RUN_GUEST_ROOM:
        return;
    case RUN_GUEST_STARTED:
    case RUN_GUEST_ATTACHED:
        take_attached(client, message, confirmed);
        return;
    case RUN_GUEST_OUTPUT:
        take_output(client, message, payload, wire_bytes);
        return;
    case RUN_GUEST_LACK:
        take_lack(client, message, wire_bytes);
        return;
    case RUN_GUEST_EXIT:
        take_receipt(client, message);
        return;
    case RUN_GUEST_REFUSED:
        take_refusal(client, message);
        return;
    case RUN_GUEST_LEFT:
        client_finish(client, OUTCOME_LEFT);
        return;
    case RUN_GUEST_DROP:
        client_drop(client, RUN_GUEST_CUT);
        return;
    case RUN_GUEST_FAILED:
        take_failure(client, message, err);
        return;
    }
}

/* A server that says that it has less of stdin than it has: the rest is sent again. */
static void say_less(const struct client *client, struct message *message)
{
    const struct run_guest *guest = &client->guest;
    uint64_t oldest = guest->stdin_sent - buffer_size(&guest->ring);
    struct message_attached *attached = &message->attached;
    if (!sim.resends_more || !guest->confirmed || attached->stdin_eof)
        return;
    if (oldest < attached->stdin_taken)
        oldest = attached->stdin_taken;
    if (oldest < attached->stdin_received)
        attached->stdin_received -= any((unsigned)(attached->stdin_received - oldest) + 1);
}

static void take_message(struct client *client, struct message *message, const uint8_t *payload,
                         size_t wire_bytes)
{
    struct afar_error err = {0};
    enum run_guest_event event = RUN_GUEST_NOTHING;
    bool confirmed = client->guest.confirmed;
    if (message->type == MESSAGE_ATTACHED)
        say_less(client, message);
    client_enter(client);
    enum afar_status status =
        run_guest_message(&client->guest, message, sim.now_ms, &client->out, &event, &err);
    client_enter(NULL);
    if (status != AFAR_OK)
        problem("client %u: %s", client->number, err.message);
    else
        act(client, event, message, payload, wire_bytes, confirmed, &err);
}

void client_receive(struct client *client, const void *data, size_t size)
{
    struct link *link = client->link;
    if (buffer_append(&client->in, data, size, NULL) != AFAR_OK)
        problem("out of memory");
    while (client->outcome == OUTCOME_NONE && client->link == link && sim.problem[0] == '\0') {
        struct message message;
        struct afar_error err = {0};
        const uint8_t *payload = NULL;
        size_t used = 0;
        enum afar_status status =
            decoder_next(&client->decoder, buffer_head(&client->in), buffer_size(&client->in),
                         &message, &payload, &used, &err);
        if (status == AFAR_EAGAIN)
            return;
        if (status != AFAR_OK || message.type == MESSAGE_BAD) {
            problem("client %u: what came is no frame: %s", client->number,
                    status != AFAR_OK ? err.message : message.problem.message);
            return;
        }
        take_message(client, &message, payload, used);
        message_close(&message);
        if (client->outcome == OUTCOME_NONE && buffer_size(&client->in) > 0 &&
            (client->link == link || fault_is(FAULT_HALF_FRAME)))
            buffer_consume(&client->in, used);
    }
}
