/* Links: bytes in two directions, each cut into any pieces, held up, lost from any byte on. */
#include "simulate/sim.h"

#include <string.h>

struct link *link_new(void)
{
    for (size_t i = 0; i < LINKS_MAX; i++) {
        struct link *link = &sim.link[i];
        if (link->used)
            continue;
        *link = (struct link){.used = true, .number = ++sim.links_made};
        if (i >= sim.links_high)
            sim.links_high = (unsigned)i + 1;
        buffer_init(&link->up.data, (size_t)4 << 20);
        buffer_init(&link->down.data, (size_t)4 << 20);
        link->up.notice_ms = link->down.notice_ms = NEVER;
        return link;
    }
    problem("no room for another link");
    return NULL;
}

size_t link_room(const struct pipe *pipe)
{
    size_t used = buffer_size(&pipe->data);
    return used < PIPE_BYTES ? PIPE_BYTES - used : 0;
}

void link_send(struct pipe *pipe, const void *data, size_t size)
{
    if (!pipe->dead && !pipe->closed)
        (void)buffer_append(&pipe->data, data, size, NULL);
}

/* Keeps any part of what lies in the pipe; the rest is lost. */
static void lose_some(struct pipe *pipe)
{
    size_t size = buffer_size(&pipe->data);
    size_t kept = any((unsigned)size + 1);
    uint8_t bytes[PIPE_BYTES * 2];
    if (kept > sizeof bytes)
        kept = sizeof bytes;
    if (kept > 0)
        memcpy(bytes, buffer_head(&pipe->data), kept);
    buffer_clear(&pipe->data);
    (void)buffer_append(&pipe->data, bytes, kept, NULL);
}

/* What the two ends still have to do with it decides when the slot is free. */
static void forget(struct link *link)
{
    if (link->client != NULL || link->outer != NULL || link->session != NULL)
        return;
    buffer_close(&link->up.data);
    buffer_close(&link->down.data);
    link->used = false;
}

void link_close_upper(struct link *link, bool reset)
{
    if (reset)
        lose_some(&link->up);
    link->up.closed = true;
    link->client = NULL;
    link->outer = NULL;
    buffer_clear(&link->down.data);
    link->down.dead = true;
    forget(link);
}

void link_close_lower(struct link *link, bool reset)
{
    if (reset)
        lose_some(&link->down);
    link->down.closed = true;
    link->session = NULL;
    buffer_clear(&link->up.data);
    link->up.dead = true;
    forget(link);
}

static void upper_ended(struct link *link)
{
    struct client *client = link->client;
    struct session *outer = link->outer;
    link_close_upper(link, false);
    if (client != NULL)
        client_link_ended(client);
    else if (outer != NULL)
        session_relay_ended(outer);
}

static void lower_ended(struct link *link)
{
    struct session *session = link->session;
    link_close_lower(link, false);
    if (session != NULL)
        session_end(session);
}

/* Takes some bytes out of the pipe. */
static size_t take(struct pipe *pipe, uint8_t *bytes, size_t space)
{
    size_t size = buffer_size(&pipe->data);
    size = some(size < space ? size : space);
    memcpy(bytes, buffer_head(&pipe->data), size);
    buffer_consume(&pipe->data, size);
    return size;
}

static bool deliver_up(struct link *link)
{
    uint8_t bytes[PIPE_BYTES];
    struct pipe *pipe = &link->up;
    if (link->session == NULL || sim.now_ms < pipe->not_before_ms)
        return false;
    if (buffer_size(&pipe->data) > 0) {
        if (!session_takes(link->session))
            return false;
        size_t size = take(pipe, bytes, sizeof bytes);
        session_receive(link->session, bytes, size);
        return true;
    }
    if (!pipe->closed && sim.now_ms < pipe->notice_ms)
        return false;
    TRACE("link %u: its end arrives below", link->number);
    lower_ended(link);
    return true;
}

static bool deliver_down(struct link *link)
{
    uint8_t bytes[PIPE_BYTES];
    struct pipe *pipe = &link->down;
    if ((link->client == NULL && link->outer == NULL) || sim.now_ms < pipe->not_before_ms)
        return false;
    if (buffer_size(&pipe->data) > 0) {
        if (link->outer != NULL && !session_relay_takes(link->outer))
            return false;
        size_t size = take(pipe, bytes, sizeof bytes);
        if (link->client != NULL)
            client_receive(link->client, bytes, size);
        else
            session_relay_back(link->outer, bytes, size);
        return true;
    }
    if (!pipe->closed && sim.now_ms < pipe->notice_ms)
        return false;
    TRACE("link %u: its end arrives above", link->number);
    upper_ended(link);
    return true;
}

bool link_deliver(struct link *link)
{
    bool up_first = chance(2);
    bool did = up_first ? deliver_up(link) : deliver_down(link);
    if (link->used)
        did = (up_first ? deliver_down(link) : deliver_up(link)) || did;
    return did;
}

static int64_t pipe_deadline_ms(const struct pipe *pipe)
{
    if (buffer_size(&pipe->data) > 0 || pipe->closed)
        return pipe->not_before_ms;
    return pipe->notice_ms > pipe->not_before_ms ? pipe->notice_ms : pipe->not_before_ms;
}

int64_t link_deadline_ms(const struct link *link)
{
    int64_t deadline_ms = NEVER;
    if (link->session != NULL)
        deadline_ms = pipe_deadline_ms(&link->up);
    if ((link->client != NULL || link->outer != NULL) &&
        pipe_deadline_ms(&link->down) < deadline_ms)
        deadline_ms = pipe_deadline_ms(&link->down);
    return deadline_ms;
}
