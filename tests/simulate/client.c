/* A client process: the real run_guest, an input, a consumer that takes its time. */
#include "simulate/sim.h"

#include <stdio.h>
#include <string.h>

enum { ACK_PART = 4, TRIES_MAX = 4 };

static struct client *current;

struct client *client_current(void)
{
    return current;
}

void client_enter(struct client *client)
{
    current = client;
}

struct client *client_new(void)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &sim.client[i];
        if (client->used)
            continue;
        *client = (struct client){.used = true, .number = (unsigned)i, .old = chance(4)};
        client->close_at[0] = client->close_at[1] = UINT64_MAX;
        buffer_init(&client->in, (size_t)4 << 20);
        buffer_init(&client->out, (size_t)4 << 20);
        decoder_init(&client->decoder);
        (void)snprintf(client->holder, sizeof client->holder, "holder-of-process-%02u-%llx",
                       client->number, (unsigned long long)(sim.seed & 0xffff));
        return client;
    }
    return NULL;
}

void client_finish(struct client *client, enum outcome outcome)
{
    static const char *const names[] = {"none",    "receipt",  "unknown", "superseded",
                                        "refused", "not sent", "left",    "crashed"};
    TRACE("client %u: ends: %s", client->number, names[outcome]);
    client->outcome = outcome;
    if (client->link != NULL)
        link_close_upper(client->link, chance(3));
    client->link = NULL;
    run_guest_close(&client->guest);
    buffer_close(&client->in);
    buffer_close(&client->out);
    decoder_close(&client->decoder);
}

void client_crash(struct client *client)
{
    client_finish(client, OUTCOME_CRASHED);
}

/* ---- the connection -------------------------------------------------------------------------- */

static void forget_connection(struct client *client)
{
    client->link = NULL;
    buffer_clear(&client->out);
    if (fault_is(FAULT_HALF_FRAME))
        return;
    buffer_clear(&client->in);
    decoder_close(&client->decoder);
    decoder_init(&client->decoder);
}

static void exec_again(struct client *client)
{
    client->second_exec = true;
    run_guest_close(&client->guest);
    client->guest = (struct run_guest){0};
    client->begun = 0;
}

void client_check_unknown(const struct client *client)
{
    const struct run_guest *guest = &client->guest;
    const struct fact *fact = client->fact;
    /* It had it once: then the server must have had a reason to forget it. */
    if (fact == NULL || !guest->confirmed || fact->expired || fact->crashed || fact->left ||
        fact->takeovers > 0)
        return;
    if (guest->give_up_ms != NEVER && sim.now_ms >= guest->give_up_ms)
        return;
    problem("client %u gave up, and the server has no reason not to know job %u", client->number,
            fact->number);
}

static void lost(struct client *client, enum run_guest_loss loss)
{
    struct afar_error err = {0};
    bool asked = client->guest.state == RUN_GUEST_ASKED;
    forget_connection(client);
    if (fault_is(FAULT_SECOND_EXEC) && asked && !client->second_exec) {
        exec_again(client);
        return;
    }
    switch (run_guest_lost(&client->guest, loss, sim.now_ms, (uint32_t)seeded_next(&sim.chance),
                           &err)) {
    case RUN_GUEST_NOT_SENT:
        TRACE("client %u: not sent", client->number);
        client->begins_ms = sim.now_ms + 50;
        if (client->begun >= TRIES_MAX || (client->takes_over != NULL && client->begun > 0))
            client_finish(client, OUTCOME_NOT_SENT);
        return;
    case RUN_GUEST_RETRY:
        TRACE("client %u: away, tries again in %lld ms", client->number,
              (long long)(run_guest_deadline_ms(&client->guest) - sim.now_ms));
        return;
    case RUN_GUEST_COMPLETE:
        return;
    case RUN_GUEST_OVER:
        TRACE("client %u: %s", client->number, err.message);
        client_check_unknown(client);
        client_finish(client, OUTCOME_UNKNOWN);
        return;
    }
}

void client_link_ended(struct client *client)
{
    lost(client, RUN_GUEST_CUT);
}

void client_drop(struct client *client, enum run_guest_loss loss)
{
    if (client->link != NULL)
        link_close_upper(client->link, chance(3));
    lost(client, loss);
}

static void open_guest(struct client *client)
{
    const struct run_guest_setup setup = {
        .holder = client->holder,
        .resume_ms = sim.resume_ms,
        .job = client->takes_over != NULL ? client->takes_over->job : NULL,
        .stdin_stream = true,
        .keep = client->keep,
        .stdin_again = client->key != 0,
        .stdin_credit = sim.credit,
        .window_max = client->old ? 0 : MESSAGE_WINDOW_MIN_BYTES};
    struct afar_error err = {0};
    if (run_guest_open(&client->guest, &setup, &err) != AFAR_OK)
        problem("run_guest_open: %s", err.message);
}

static void put_exec(struct client *client)
{
    char key[32];
    /* Only what will be closed may be without an end. */
    char *argv[] = {(char *)(client->close_at[0] != UINT64_MAX ? "endless" : "x"), NULL};
    struct exec_request request = {.argv = argv,
                                   .stdin_stream = true,
                                   .resume_ms = client->guest.asked_resume_ms,
                                   .window_max = client->guest.window_max,
                                   .keep = client->keep};
    memcpy(request.holder, client->holder, sizeof request.holder);
    (void)snprintf(key, sizeof key, "%u", client->key);
    if (client->key != 0)
        request.key = key;
    client->begun++;
    (void)message_put_exec(&client->out, client->last_id, &request, NULL);
    run_guest_begin(&client->guest, client->last_id);
}

/* Where its address leads to now. A run in memory was begun at the first. */
static struct server *find_server(const struct client *client)
{
    bool attaches = client->guest.state == RUN_GUEST_AWAY;
    return &sim.server[sim.balanced && attaches && !sim.calm && chance(3) ? 1 : 0];
}

static void connect_to(struct client *client)
{
    struct server *server = find_server(client);
    if (!server->listening) {
        TRACE("client %u: nobody listens", client->number);
        lost(client, RUN_GUEST_CUT);
        return;
    }
    if (!sim.calm && chance(20)) {
        TRACE("client %u: turned away by an alert", client->number);
        lost(client, RUN_GUEST_TURNED_AWAY);
        return;
    }
    struct link *link = link_new();
    if (link == NULL)
        return;
    client->link = link;
    link->client = client;
    link->session = session_new(link, server, NULL);
    if (link->session != NULL && !sim.calm && chance(20))
        link->session->turned_away = true;
    /* Ids of any length, and not those of the connection before. */
    client->last_id = 1 + some(1U << 20);
    TRACE("client %u: link %u to server %u", client->number, link->number, server->number);
    if (client->guest.state == RUN_GUEST_AWAY || client->takes_over != NULL)
        (void)run_guest_connected(&client->guest, client->last_id, &client->out, NULL);
    else
        put_exec(client);
}

/* ---- what it does by itself ------------------------------------------------------------------ */

static bool take_some(struct client *client)
{
    bool waits = client->stalled ? !sim.calm : sim.now_ms < client->stalled_until_ms;
    if (client->queue_count == 0 || (waits && !client->guest.exit_seen))
        return false;
    if (!sim.calm && chance(40)) {
        client->stalled_until_ms = sim.now_ms + (int64_t)some(1U << 14);
        return true;
    }
    for (size_t n = some(8); n > 0 && client->queue_count > 0; n--) {
        struct queued *first = &client->queue[client->queue_first];
        run_guest_taken(&client->guest, first->next);
        client->kept_bytes -= first->wire_bytes;
        client->queue_first = (client->queue_first + 1) % QUEUE_MAX;
        client->queue_count--;
    }
    return true;
}

static bool acknowledge(struct client *client)
{
    const struct run_guest *guest = &client->guest;
    if (guest->exit_seen || guest->taken <= guest->acked || guest->state != RUN_GUEST_RUN)
        return false;
    (void)run_guest_put_ack(&client->guest, &client->out, NULL);
    return true;
}

/* Its first command is over; the second one on the same connection says that it has the receipt. */
static void begin_again(struct client *client)
{
    (void)run_guest_finish(&client->guest, NULL, NULL);
    run_guest_close(&client->guest);
    client->again = false;
    client->holder[0]++; /* another run */
    client->last_id++;
    client->begun = 0;
    client->input_given = 0;
    client->input_closed = client->eof_was_put = false;
    client->close_was_put[0] = client->close_was_put[1] = false;
    client->offset[0] = client->offset[1] = 0;
    client->fact = NULL;
    client->epoch = 0;
    open_guest(client);
    put_exec(client);
}

static void check_receipt(struct client *client);

static bool complete(struct client *client)
{
    struct run_guest *guest = &client->guest;
    if (!guest->exit_seen || guest->taken != guest->next_seq)
        return false;
    check_receipt(client);
    if (sim.problem[0] != '\0')
        return false;
    if (client->again && guest->state == RUN_GUEST_RUN && client->link != NULL) {
        begin_again(client);
        return true;
    }
    if (guest->state != RUN_GUEST_ENDED) {
        (void)run_guest_finish(guest, &client->out, NULL);
        return true;
    }
    if (client->link != NULL && buffer_size(&client->out) > 0)
        return false; /* the last ack */
    client_finish(client, OUTCOME_RECEIPT);
    return true;
}

static void check_receipt(struct client *client)
{
    const struct fact *fact = client->fact;
    const struct afar_receipt *receipt = &client->receipt;
    const uint64_t said[2] = {receipt->stdout_bytes, receipt->stderr_bytes};
    if (receipt->outcome != fact->receipt.outcome || receipt->code != fact->receipt.code ||
        said[0] != fact->receipt.stdout_bytes || said[1] != fact->receipt.stderr_bytes)
        problem("client %u: the receipt is not that of job %u", client->number, fact->number);
    for (int s = 0; s < 2; s++) {
        if (client->offset[s] != said[s] && !client->guest.closed[s])
            problem("client %u has %llu bytes of stream %d of %llu", client->number,
                    (unsigned long long)client->offset[s], s, (unsigned long long)said[s]);
    }
}

static bool give_input(struct client *client)
{
    uint8_t bytes[200];
    size_t taken = 0;
    struct run_guest *guest = &client->guest;
    if (client->input_closed || (guest->state != RUN_GUEST_RUN && guest->state != RUN_GUEST_ASKED))
        return false;
    uint64_t left =
        client->input_total > client->input_given ? client->input_total - client->input_given : 0;
    size_t size = left < sizeof bytes ? (size_t)left : sizeof bytes;
    if (size == 0) {
        client->input_closed = true;
        run_guest_close_stdin(guest, &client->out);
        return true;
    }
    size = some(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = input_byte(client->input_given + i);
    if (run_guest_write(guest, &client->out, bytes, size, &taken, NULL) != AFAR_OK)
        problem("client %u: its input is not taken", client->number);
    client->input_given += taken;
    return taken > 0;
}

static bool close_streams(struct client *client)
{
    bool did = false;
    for (int s = 0; s < 2; s++) {
        if (client->offset[s] < client->close_at[s] || client->guest.closed[s] ||
            client->guest.exit_seen)
            continue;
        run_guest_close_output(&client->guest, &client->out, (enum stream)s);
        TRACE("client %u: closes stream %d", client->number, s);
        did = true;
    }
    return did;
}

static bool flush(struct client *client)
{
    struct link *link = client->link;
    if (link == NULL)
        return false;
    size_t size = buffer_size(&client->out);
    size_t room = link_room(&link->up);
    if (size == 0 || room == 0)
        return false;
    size = some(size < room ? size : room);
    link_send(&link->up, buffer_head(&client->out), size);
    buffer_consume(&client->out, size);
    run_guest_sent(&client->guest);
    (void)run_guest_push(&client->guest, &client->out, NULL);
    return true;
}

static bool connect_step(struct client *client)
{
    if (client->link != NULL || client->guest.state == RUN_GUEST_ENDED)
        return false;
    if (client->guest.state == RUN_GUEST_NEW) {
        if (sim.now_ms < client->begins_ms)
            return false;
        if (client->guest.ring.limit_bytes == 0)
            open_guest(client);
    } else if (!run_guest_connect_now(&client->guest, sim.now_ms)) {
        return false;
    }
    connect_to(client);
    return true;
}

bool client_step(struct client *client)
{
    if (client->outcome != OUTCOME_NONE)
        return false;
    if (client->takes_over == NULL && client->guest.state == RUN_GUEST_NEW &&
        sim.now_ms < client->begins_ms)
        return false;
    current = client;
    bool did = connect_step(client);
    if (client->outcome == OUTCOME_NONE)
        did = take_some(client) || did;
    if (client->outcome == OUTCOME_NONE && (sim.calm || chance(2) || !did))
        did = acknowledge(client) || did;
    if (client->outcome == OUTCOME_NONE)
        did = give_input(client) || did;
    if (client->outcome == OUTCOME_NONE)
        did = close_streams(client) || did;
    if (client->outcome == OUTCOME_NONE)
        did = flush(client) || did;
    if (client->outcome == OUTCOME_NONE)
        did = complete(client) || did;
    current = NULL;
    return did;
}

int64_t client_deadline_ms(const struct client *client)
{
    int64_t deadline_ms = NEVER;
    if (client->outcome != OUTCOME_NONE)
        return NEVER;
    if (client->link == NULL && client->guest.state == RUN_GUEST_NEW)
        deadline_ms = client->begins_ms;
    else if (client->link == NULL)
        deadline_ms = run_guest_deadline_ms(&client->guest);
    if (client->queue_count > 0 && client->stalled_until_ms > sim.now_ms &&
        client->stalled_until_ms < deadline_ms)
        deadline_ms = client->stalled_until_ms;
    return deadline_ms;
}
