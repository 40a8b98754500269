#include "afar/share/relay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <afar/relay.h>

enum {
    PIECE_BYTES = 256 * 1024, /* per read; the server's full frames are no larger */
    TURNS = 4,                /* per relay, before others get theirs */
    PONG_BYTES = 1024,
    FAREWELL_MS = 5000 /* how long to send the rest after one side has ended */
};

void relay_open(struct relay *relay, int fd, int64_t now_ms)
{
    *relay = (struct relay){.fd = fd, .since_ms = now_ms};
    buffer_init(&relay->up.held, RELAY_HELD_BYTES);
    buffer_init(&relay->down.held, RELAY_HELD_BYTES);
    track_init(&relay->track);
}

void relay_close(struct relay *relay)
{
    (void)close(relay->fd);
    afar_close(relay->server);
    buffer_close(&relay->up.held);
    buffer_close(&relay->down.held);
    track_close(&relay->track);
}

static bool has_room(const struct relay_way *way)
{
    return buffer_size(&way->held) + PIECE_BYTES <= RELAY_HELD_BYTES;
}

bool relay_watch(const struct relay *relay, struct pollfd watched[2])
{
    watched[0] = (struct pollfd){.fd = relay->fd};
    watched[1] = (struct pollfd){.fd = -1};
    if (!relay->client_ended && has_room(&relay->up))
        watched[0].events = POLLIN;
    if (relay->down.passed > 0)
        watched[0].events |= POLLOUT;
    if (watched[0].events == 0 && relay->client_ended)
        watched[0].fd = -1; /* its end was seen, and poll(2) would report it for ever */
    if (relay->server == NULL || relay->server_ended)
        return false;
    short events = afar_relay_events(relay->server, has_room(&relay->down) && !relay->client_ended,
                                     relay->up.passed > 0);
    watched[1].events = events;
    watched[1].fd = events == 0 ? -1 : afar_fd(relay->server);
    return events < 0;
}

static void end(bool *ended, struct relay *relay, int64_t now_ms)
{
    if (!*ended && !(relay->client_ended || relay->server_ended))
        relay->since_ms = now_ms;
    *ended = true;
}

/* Reads from the client. True: something has come. */
static bool take_from_client(struct relay *relay, int64_t now_ms)
{
    uint8_t *room = NULL;
    if (relay->client_ended || !has_room(&relay->up) ||
        buffer_reserve(&relay->up.held, relay->up.held.pace_bytes, &room, NULL) != AFAR_OK)
        return false;
    size_t asked = relay->up.held.pace_bytes;
    ssize_t got = recv(relay->fd, room, asked, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        end(&relay->client_ended, relay, now_ms);
        return false;
    }
    buffer_commit(&relay->up.held, (size_t)got);
    buffer_pace(&relay->up.held, asked, (size_t)got);
    return true;
}

static bool take_from_server(struct relay *relay, int64_t now_ms)
{
    uint8_t *room = NULL;
    size_t received = 0;
    if (relay->server == NULL || relay->server_ended || !has_room(&relay->down) ||
        buffer_reserve(&relay->down.held, relay->down.held.pace_bytes, &room, NULL) != AFAR_OK)
        return false;
    size_t asked = relay->down.held.pace_bytes;
    enum afar_status status = afar_relay_receive(relay->server, room, asked, &received, NULL);
    if (status == AFAR_EAGAIN)
        return false;
    if (status != AFAR_OK) {
        end(&relay->server_ended, relay, now_ms);
        return false;
    }
    buffer_commit(&relay->down.held, received);
    buffer_pace(&relay->down.held, asked, received);
    return true;
}

static void pass(struct relay_way *way, struct track *track,
                 size_t (*follow)(struct track *track, const uint8_t *data, size_t size))
{
    size_t left = buffer_size(&way->held) - way->passed;
    if (left > 0)
        way->passed += follow(track, buffer_head(&way->held) + way->passed, left);
}

static void sent(struct relay_way *way, size_t size)
{
    buffer_consume(&way->held, size);
    way->passed -= size;
}

static void give_to_client(struct relay *relay, int64_t now_ms)
{
    while (relay->down.passed > 0 && !relay->over) {
        ssize_t some = send(relay->fd, buffer_head(&relay->down.held), relay->down.passed,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0 && errno == EAGAIN)
            return;
        if (some < 0) {
            /* The client is gone; its last words, such as `detach`, can still be read. */
            while (take_from_client(relay, now_ms))
                pass(&relay->up, &relay->track, track_from_client);
            end(&relay->client_ended, relay, now_ms);
            buffer_clear(&relay->down.held);
            relay->down.passed = 0;
            relay->track.odd = true; /* part of a frame is lost */
            return;
        }
        sent(&relay->down, (size_t)some);
    }
}

static void give_to_server(struct relay *relay, int64_t now_ms)
{
    while (relay->up.passed > 0 && relay->server != NULL && !relay->server_ended) {
        size_t taken = 0;
        relay->sent = true; /* even if sending fails */
        enum afar_status status = afar_relay_send(relay->server, buffer_head(&relay->up.held),
                                                  relay->up.passed, &taken, NULL);
        if (status == AFAR_EAGAIN)
            return;
        if (status != AFAR_OK) {
            /* The server's last words may still be readable. */
            while (take_from_server(relay, now_ms))
                pass(&relay->down, &relay->track, track_from_server);
            end(&relay->server_ended, relay, now_ms);
            return;
        }
        sent(&relay->up, taken);
    }
}

/* After one side has ended: what it sent before still goes to the other. */
static void check_end(struct relay *relay, int64_t now_ms)
{
    if (relay->server_ended && !relay->sent && relay->asked && !relay->client_ended) {
        relay_turn_away(relay);
        return;
    }
    const bool late = now_ms - relay->since_ms >= FAREWELL_MS;
    if (relay->client_ended)
        relay->over = relay->server == NULL || relay->server_ended || relay->up.passed == 0 || late;
    else if (relay->server_ended)
        relay->over = relay->down.passed == 0 || late;
}

void relay_turn(struct relay *relay, int64_t now_ms)
{
    bool more = true;
    for (int turn = 0; more && turn < TURNS && !relay->over; turn++) {
        /* Read from the server first: if it is gone, nothing must be given to it. */
        more = take_from_server(relay, now_ms);
        more = take_from_client(relay, now_ms) || more;
        /* The first frame may be for us: see relay_first. */
        if (relay->asked)
            pass(&relay->up, &relay->track, track_from_client);
        give_to_server(relay, now_ms);
        pass(&relay->down, &relay->track, track_from_server);
        give_to_client(relay, now_ms);
    }
    check_end(relay, now_ms);
}

bool relay_first(struct relay *relay, bool *is_ping, uint64_t *id)
{
    struct decoder decoder;
    struct message message;
    struct afar_error err;
    const uint8_t *payload = NULL;
    size_t used = 0;
    const size_t size = buffer_size(&relay->up.held);
    *is_ping = false;
    if (size == 0)
        return false;
    decoder_init(&decoder);
    enum afar_status status =
        decoder_next(&decoder, buffer_head(&relay->up.held), size, &message, &payload, &used, &err);
    decoder_close(&decoder);
    if (status == AFAR_EAGAIN) /* a header longer than that of a ping is not for us */
        return used > FRAME_PREFIX_BYTES && size > FRAME_PREFIX_BYTES + FRAME_HEADER_MAX_BYTES;
    if (status != AFAR_OK)
        return true;
    *is_ping = message.type == MESSAGE_PING;
    *id = message.id;
    message_close(&message);
    if (*is_ping)
        buffer_consume(&relay->up.held, used);
    return true;
}

static bool is_plain(const char *text, const char *more)
{
    for (; *text != '\0'; text++) {
        bool good = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                    (*text >= '0' && *text <= '9') || strchr(more, *text) != NULL;
        if (!good)
            return false;
    }
    return true;
}

/* Puts a frame of our own for the client. It was not followed by the track. */
static bool put(struct relay *relay, const struct buffer *frame)
{
    struct relay_way *down = &relay->down;
    if (buffer_append(&down->held, buffer_head(frame), buffer_size(frame), NULL) != AFAR_OK)
        return false;
    down->passed += buffer_size(frame);
    return true;
}

bool relay_say_pong(struct relay *relay, uint64_t id, const char *version, const char *features)
{
    char header[PONG_BYTES];
    uint8_t prefix[FRAME_PREFIX_BYTES];
    struct buffer frame;
    size_t size = (size_t)snprintf(header, sizeof header, "{\"type\":\"pong\",\"id\":%llu",
                                   (unsigned long long)id);
    if (version[0] != '\0' && is_plain(version, ".-+~_"))
        size +=
            (size_t)snprintf(header + size, sizeof header - size, ",\"version\":\"%s\"", version);
    if (features[0] != '\0' && is_plain(features, "_ ") && size + 32 < sizeof header) {
        size += (size_t)snprintf(header + size, sizeof header - size, ",\"features\":[");
        for (const char *at = features; *at != '\0';) {
            size_t word = strcspn(at, " ");
            if (size + word + 8 >= sizeof header)
                break;
            size += (size_t)snprintf(header + size, sizeof header - size, "%s\"%.*s\"",
                                     at == features ? "" : ",", (int)word, at);
            at += word;
            at += strspn(at, " ");
        }
        header[size++] = ']';
    }
    header[size++] = '}';
    frame_put_prefix(prefix, size);
    buffer_init(&frame, sizeof header + sizeof prefix);
    bool said = buffer_append(&frame, prefix, sizeof prefix, NULL) == AFAR_OK &&
                buffer_append(&frame, header, size, NULL) == AFAR_OK && put(relay, &frame);
    buffer_close(&frame);
    return said;
}

void relay_turn_away(struct relay *relay)
{
    struct buffer frame;
    buffer_init(&frame, PONG_BYTES);
    if (message_put_closing(&frame, "idle", NULL) == AFAR_OK && put(relay, &frame))
        give_to_client(relay, relay->since_ms);
    buffer_close(&frame);
    relay->over = true;
}

struct afar_client *relay_give_back(struct relay *relay)
{
    struct afar_client *server = relay->server;
    const bool whole =
        buffer_size(&relay->up.held) == 0 && buffer_size(&relay->down.held) == relay->down.passed;
    if (server == NULL || relay->server_ended || !whole || !track_is_idle(&relay->track))
        return NULL;
    relay->server = NULL;
    return server;
}
