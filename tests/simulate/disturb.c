/* What goes wrong. */
#include "simulate/sim.h"

#include <string.h>

static struct link *any_link(void)
{
    unsigned first = sim.links_high > 0 ? any(sim.links_high) : 0;
    for (unsigned i = 0; i < sim.links_high; i++) {
        struct link *link = &sim.link[(first + i) % sim.links_high];
        if (link->used)
            return link;
    }
    return NULL;
}

/* From any byte on nothing comes through this way; the receiver may be told, or notice. */
static void cut_pipe(struct pipe *pipe)
{
    size_t size = buffer_size(&pipe->data);
    size_t kept = any((unsigned)size + 1);
    uint8_t bytes[4096];
    if (pipe->dead || size > sizeof bytes)
        return;
    if (kept > 0)
        memcpy(bytes, buffer_head(&pipe->data), kept);
    buffer_clear(&pipe->data);
    (void)buffer_append(&pipe->data, bytes, kept, NULL);
    pipe->dead = true;
    if (chance(2))
        pipe->closed = true;
    else
        pipe->notice_ms = sim.now_ms + 20000 + any(100000);
    if (chance(3))
        pipe->not_before_ms = sim.now_ms + any(70000);
}

static void cut_link(void)
{
    struct link *link = any_link();
    if (link == NULL)
        return;
    TRACE("link %u: cut", link->number);
    cut_pipe(&link->up);
    cut_pipe(&link->down);
}

static void hold_up(void)
{
    struct link *link = any_link();
    if (link == NULL)
        return;
    struct pipe *pipe = chance(2) ? &link->up : &link->down;
    pipe->not_before_ms = sim.now_ms + (int64_t)some(1U << 15);
    TRACE("link %u: %s until %lld", link->number, pipe == &link->up ? "up" : "down",
          (long long)pipe->not_before_ms);
}

/* It may be there again before anybody else has done anything. */
static void crash_server(void)
{
    if (sim.server[0].alive)
        server_crash(&sim.server[0], sim.now_ms + (chance(2) ? 0 : (int64_t)some(1U << 13)));
}

/* An attach that is on its way when its client loses the connection, and arrives late. */
static void delay_attach(void)
{
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &sim.client[i];
        if (!client->used || client->outcome != OUTCOME_NONE || client->link == NULL ||
            client->guest.state != RUN_GUEST_ATTACH || buffer_size(&client->out) > 0 ||
            buffer_size(&client->link->up.data) == 0)
            continue;
        struct link *link = client->link;
        TRACE("link %u: an attach is late", link->number);
        link->up.closed = link->down.closed = link->down.dead = true;
        buffer_clear(&link->down.data);
        link->up.not_before_ms = sim.now_ms + (int64_t)some(4096);
        return;
    }
}

static void drain(void)
{
    if (sim.server[0].alive && sim.server[0].listening)
        server_drain(&sim.server[0]);
}

static void lose_power(void)
{
    if (sim.kept && sim.server[0].alive && chance(2))
        disk_power_loss();
}

static void crash_keeper(void)
{
    for (unsigned i = 0; i < KEEPERS_MAX; i++) {
        struct keeper *keeper = &sim.keeper[i];
        if (!keeper->used || !chance(2))
            continue;
        if (!keeper->run->command.ended)
            keeper->fact->crashed = true;
        keeper_end(keeper);
        return;
    }
}

/* And, where it has a name for its command, another process takes its place. */
static void begin_another(const struct client *client)
{
    struct client *next = client->key != 0 ? client_new() : NULL;
    if (next == NULL)
        return;
    next->key = client->key;
    next->keep = client->keep;
    next->input_total = client->input_total;
    next->begins_ms = sim.now_ms + any(chance(2) ? 5000 : 60000);
}

static void crash_client(void)
{
    struct client *client = &sim.client[any(CLIENTS_MAX)];
    if (!client->used || client->outcome != OUTCOME_NONE || client->link == NULL)
        return;
    TRACE("client %u: crashes", client->number);
    client_crash(client);
    begin_another(client);
}

/* The same command under the same name, by another process, now or when it is over. */
static void once_more(void)
{
    const struct client *client = &sim.client[any(CLIENTS_MAX)];
    if (client->used && client->begun > 0)
        begin_another(client);
}

static void take_over(void)
{
    if (sim.facts == 0)
        return;
    struct fact *fact = &sim.fact[any(sim.facts)];
    struct client *first = NULL;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (sim.client[i].used && sim.client[i].fact == fact)
            first = &sim.client[i];
    }
    struct client *client = first != NULL ? client_new() : NULL;
    if (client == NULL)
        return;
    TRACE("client %u takes job %u over", client->number, fact->number);
    client->takes_over = fact;
    client->input_total = first->input_total;
    memcpy(client->close_at, first->close_at, sizeof client->close_at);
    client->begins_ms = sim.now_ms;
    client->stalled = chance(6);
}

static void stall(void)
{
    struct client *client = &sim.client[any(CLIENTS_MAX)];
    if (client->used)
        client->stalled_until_ms = sim.now_ms + (int64_t)some(1U << 16);
}

static void fill_disk(void)
{
    sim.disk_full = !sim.disk_full;
    TRACE("the disk is %s", sim.disk_full ? "full" : "not full any more");
}

static void raise_signal(void)
{
    struct client *client = &sim.client[any(CLIENTS_MAX)];
    if (!client->used || client->outcome != OUTCOME_NONE || client->guest.ring.limit_bytes == 0)
        return;
    client->signals_raised++;
    (void)run_guest_signal(&client->guest, &client->out, "USR1", NULL);
}

static void leave(void)
{
    struct client *client = &sim.client[any(CLIENTS_MAX)];
    if (!client->used || client->outcome != OUTCOME_NONE || client->guest.ring.limit_bytes == 0 ||
        client->guest.state == RUN_GUEST_NEW || client->again)
        return;
    TRACE("client %u: leaves", client->number);
    run_guest_detach(&client->guest, &client->out);
}

static void jump(void)
{
    sim.now_ms += (int64_t)some(1U << (chance(4) ? 16 : 10));
}

/* The output of what has ended; and perhaps somebody comes then with its name. */
static void evict(void)
{
    struct folder *folder = &sim.folder[any(FOLDERS_MAX)];
    struct keeper *keeper = folder->used ? keeper_of(folder) : NULL;
    if (!folder->used || !folder->receipt_synced ||
        (keeper != NULL && keeper->run->host.session != NULL))
        return;
    unsigned key = folder->key;
    if (keeper != NULL)
        keeper_end(keeper);
    folder_evict(folder);
    for (unsigned i = 0; i < CLIENTS_MAX && key != 0; i++) {
        if (sim.client[i].used && sim.client[i].key == key) {
            begin_another(&sim.client[i]);
            return;
        }
    }
}

/* Something is being done in steps, between any two of which one may die. */
static bool is_delicate(void)
{
    for (unsigned i = 0; i < FOLDERS_MAX; i++) {
        const struct folder *folder = &sim.folder[i];
        const struct keeper *keeper = folder->used ? keeper_of(folder) : NULL;
        if (!folder->used)
            continue;
        if (make_of(folder) != NULL || (folder->receipt && !folder->receipt_synced) ||
            (folder->receipt_synced && !folder->audited) ||
            (folder->audited && folder->line_by == 0))
            return true;
        if (keeper != NULL && (keeper->step < 3 || keeper->receipt_step > 0))
            return true;
    }
    return false;
}

void disturb(void)
{
    static void (*const kinds[])(void) = {cut_link,   hold_up,      crash_server, drain,
                                          lose_power, crash_keeper, crash_client, take_over,
                                          stall,      fill_disk,    raise_signal, leave,
                                          jump,       evict,        delay_attach, once_more,
                                          evict,      delay_attach, delay_attach};
    static void (*const deaths[])(void) = {crash_server, crash_server, lose_power, crash_keeper};
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    unsigned kind = any(KINDS);
    if (sim.delicate && is_delicate() && chance(15)) {
        deaths[any(4)]();
        return;
    }
    if (chance(20) && any(4) < sim.weight[kind])
        kinds[kind]();
}
