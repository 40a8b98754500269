#include "base/clock.h"
#include "client/client.h"

enum { PIECE_BYTES = 16384 };

/* Nothing may come before the request: it would be taken for the reply. */
static enum afar_status check_quiet(struct afar_client *client, struct afar_error *err)
{
    uint8_t byte = 0;
    size_t received = 0;
    enum afar_status status = transport_recv(client->transport, &byte, 1, &received, err);
    if (status == AFAR_EAGAIN)
        return AFAR_OK;
    if (status == AFAR_OK)
        return afar_fail(err, AFAR_EPEER, "the server sent something that was not asked for");
    return status;
}

/* Only notes a failed send: it is reported when nothing is left to read that may explain it. */
static void send_some(struct afar_client *client, const uint8_t **at, size_t *left)
{
    while (*left > 0 && !client->send_failed) {
        size_t sent = 0;
        enum afar_status status =
            transport_send(client->transport, *at, *left, &sent, &client->send_error);
        if (status == AFAR_EAGAIN)
            return;
        client->send_failed = status != AFAR_OK;
        *at += sent;
        *left -= sent;
    }
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* Waits until something can be received, or sent if something is `left`. */
static enum afar_status wait_for(const struct afar_client *client, size_t left, int64_t deadline_ms,
                                 struct afar_error *err)
{
    short events = transport_recv_events(client->transport);
    if (left > 0)
        events = (short)(events | transport_send_events(client->transport));
    return client_wait_ready(client, events, deadline_ms, err);
}

/* `first_by_ms`: when the first piece must be there. AFAR_EAGAIN: it was not. */
static enum afar_status
run(struct afar_client *client, const uint8_t *at, size_t left,
    enum afar_status (*take)(void *, const uint8_t *, size_t, struct afar_error *), void *user,
    int64_t first_by_ms, int64_t deadline_ms, struct afar_error *err)
{
    for (;;) {
        uint8_t piece[PIECE_BYTES];
        size_t received = 0;
        send_some(client, &at, &left);
        enum afar_status status =
            transport_recv(client->transport, piece, sizeof piece, &received, err);
        if (status == AFAR_OK) {
            first_by_ms = DEADLINE_NEVER;
            status = take(user, piece, received, err);
            if (status != AFAR_EAGAIN)
                return status;
            if (clock_now_ms() >= deadline_ms) /* even if data keeps coming */
                return afar_fail(err, AFAR_ETIMEDOUT, "the reply was not complete in time");
            continue;
        }
        if (status == AFAR_EAGAIN && client->send_failed) {
            *err = client->send_error;
            return err->code;
        }
        if (status == AFAR_EAGAIN)
            status = wait_for(client, left, earlier(first_by_ms, deadline_ms), err);
        if (status == AFAR_ETIMEDOUT && clock_now_ms() >= first_by_ms)
            return AFAR_EAGAIN;
        if (status != AFAR_OK)
            return status;
    }
}

enum afar_status duplex_exchange(struct afar_client *client, const void *data, size_t size,
                                 enum afar_status (*take)(void *user, const uint8_t *data,
                                                          size_t size, struct afar_error *err),
                                 void *user, int64_t deadline_ms, struct afar_error *err)
{
    struct afar_error why = {0};
    int64_t first_by_ms = DEADLINE_NEVER;
    if (deadline_ms == DEADLINE_NEVER && client->reply_ms > 0)
        first_by_ms = clock_deadline_ms(client_left_ms(client, client->reply_ms));
    enum afar_status status = check_quiet(client, &why);
    if (status == AFAR_OK)
        status = run(client, data, size, take, user, first_by_ms, deadline_ms, &why);
    if (status == AFAR_OK)
        return AFAR_OK;
    if (status == AFAR_EAGAIN)
        (void)afar_fail(&why, AFAR_ETIMEDOUT, "%s has not answered in time; does it speak %s%s?",
                        client->name, endpoint_protocol_name(client->protocol),
                        client->scheme == ENDPOINT_TCP ? ", and without tls://" : "");
    else if (status == AFAR_ECLOSED)
        (void)afar_fail(&why, AFAR_ECLOSED,
                        "%s closed the connection before its reply was complete", client->name);
    else
        (void)afar_prefix(&why, "%s", client->name);
    /* The rest of an abandoned reply would be taken for the next one. */
    return client_break(client, &why, err);
}
