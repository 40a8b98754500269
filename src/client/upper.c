#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/client.h"
#include "wire/tutorial.h"

enum {
    DATAGRAM_MAX_BYTES = 65507, /* 65,535 less IPv4's and UDP's headers */
    RESEND_MS = 500,
    UDP_TIMEOUT_MS = 5000
};

/* ---- streams --------------------------------------------------------------------------------- */

struct echo {
    uint8_t *out;
    size_t left;
};

static enum afar_status take_echo(void *user, const uint8_t *data, size_t size,
                                  struct afar_error *err)
{
    struct echo *echo = user;
    if (size > echo->left)
        return afar_fail(err, AFAR_EPEER, "more came back than was sent");
    memcpy(echo->out, data, size);
    echo->out += size;
    echo->left -= size;
    return echo->left == 0 ? AFAR_OK : AFAR_EAGAIN;
}

/* ---- datagrams ------------------------------------------------------------------------------- */

struct datagram_exchange {
    const uint8_t *expected;
    size_t size;
    uint8_t *room; /* one byte more than `size`, to notice a longer answer */
    bool refused;
    bool mismatched;
};

/* Receives until the expected answer comes. Datagrams may be lost or late: an answer to an earlier
 * question must not be taken for this one's. AFAR_EAGAIN: not here yet. AFAR_ETIMEDOUT. */
static enum afar_status receive_datagrams(struct afar_client *client,
                                          struct datagram_exchange *exchange, int64_t deadline_ms,
                                          struct afar_error *err)
{
    for (;;) {
        size_t received = 0;
        if (clock_now_ms() >= deadline_ms) /* even if others keep coming */
            return afar_fail(err, AFAR_ETIMEDOUT, "no answer in time");
        enum afar_status status =
            transport_recv(client->transport, exchange->room, exchange->size + 1, &received, err);
        if (status == AFAR_ECLOSED) {
            /* An empty datagram, or an ICMP message: the port is closed. */
            exchange->refused = exchange->refused || err->sys_errno == ECONNREFUSED;
            continue;
        }
        if (status != AFAR_OK)
            return status;
        if (received == exchange->size && memcmp(exchange->room, exchange->expected, received) == 0)
            return AFAR_OK;
        exchange->mismatched = true;
    }
}

static enum afar_status send_datagram(struct afar_client *client, const void *data,
                                      const struct datagram_exchange *exchange,
                                      struct afar_error *err)
{
    size_t sent = 0;
    enum afar_status status = transport_send(client->transport, data, exchange->size, &sent, err);
    /* Lost, or the ICMP answer to an earlier datagram: resend later. */
    return status == AFAR_EAGAIN || status == AFAR_ECLOSED ? AFAR_OK : status;
}

static enum afar_status await_datagram(struct afar_client *client,
                                       struct datagram_exchange *exchange, int64_t deadline_ms,
                                       struct afar_error *err)
{
    for (;;) {
        enum afar_status status = receive_datagrams(client, exchange, deadline_ms, err);
        if (status == AFAR_EAGAIN)
            status = client_wait_ready(client, transport_recv_events(client->transport),
                                       deadline_ms, err);
        else
            return status;
        if (status != AFAR_OK)
            return status;
    }
}

static enum afar_status explain_silence(const struct afar_client *client,
                                        const struct datagram_exchange *exchange,
                                        struct afar_error *err)
{
    if (exchange->mismatched)
        return afar_fail(err, AFAR_EPEER, "%s answered, but not with what was sent in upper case",
                         client->name);
    if (exchange->refused) {
        (void)afar_fail(err, AFAR_ESYSTEM, "nobody listens at %s; is afard running there?",
                        client->name);
        if (err != NULL)
            err->sys_errno = ECONNREFUSED;
        return AFAR_ESYSTEM;
    }
    return afar_fail(err, AFAR_ETIMEDOUT, "%s did not answer in time; is afard running there?",
                     client->name);
}

static enum afar_status exchange_datagrams(struct afar_client *client, const void *data,
                                           struct datagram_exchange *exchange, int64_t timeout_ms,
                                           struct afar_error *err)
{
    struct afar_error why = {0};
    int64_t limit_ms = timeout_ms > 0 ? timeout_ms : UDP_TIMEOUT_MS;
    if (timeout_ms == 0 && client->reply_ms > 0 && client->reply_ms < limit_ms)
        limit_ms = client_left_ms(client, client->reply_ms);
    int64_t deadline_ms = clock_deadline_ms(limit_ms);
    enum afar_status status = AFAR_ETIMEDOUT;
    while (status == AFAR_ETIMEDOUT) {
        int64_t now_ms = clock_now_ms();
        if (now_ms >= deadline_ms)
            return explain_silence(client, exchange, err);
        status = send_datagram(client, data, exchange, &why);
        int64_t until_ms = deadline_ms - now_ms > RESEND_MS ? now_ms + RESEND_MS : deadline_ms;
        if (status == AFAR_OK)
            status = await_datagram(client, exchange, until_ms, &why);
    }
    if (status != AFAR_OK) {
        (void)afar_prefix(&why, "%s", client->name);
        if (err != NULL)
            *err = why;
    }
    return status;
}

static enum afar_status upper_datagram(struct afar_client *client, const void *data, size_t size,
                                       uint8_t *out, int64_t timeout_ms, struct afar_error *err)
{
    struct datagram_exchange exchange = {.size = size};
    uint8_t *memory = malloc(2 * size + 1);
    if (memory == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a datagram");
    memcpy(memory, data, size);
    tutorial_upper(memory, size);
    exchange.expected = memory;
    exchange.room = memory + size;
    enum afar_status status = exchange_datagrams(client, data, &exchange, timeout_ms, err);
    if (status == AFAR_OK)
        memcpy(out, exchange.room, size);
    free(memory);
    return status;
}

enum afar_status afar_upper(struct afar_client *client, const void *data, size_t size, void *out,
                            int64_t timeout_ms, struct afar_error *err)
{
    struct afar_error why = {0};
    enum afar_status status = client_check(client, PROTOCOL_UPPER, &why);
    if (status != AFAR_OK)
        return client_tell(status, &why, err);
    if (size == 0 || size > DATAGRAM_MAX_BYTES)
        return afar_fail(err, AFAR_EINVAL, "%zu bytes: 1 to %d can be sent", size,
                         DATAGRAM_MAX_BYTES);
    struct echo echo = {.out = out, .left = size};
    if (client->scheme == ENDPOINT_UDP)
        status = upper_datagram(client, data, size, out, timeout_ms, &why);
    else
        status = duplex_exchange(client, data, size, take_echo, &echo,
                                 clock_deadline_ms(timeout_ms), &why);
    return client_tell(status, &why, err);
}
