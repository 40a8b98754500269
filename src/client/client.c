#include "client/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "client/sized.h"
#include "net/dial.h"

enum {
    ID_RANDOM_BYTES = 6,
    /* How long a server has to read that we do not come back; the second if it was told before. */
    GOODBYE_MS = 1000,
    GOODBYE_AGAIN_MS = 100,
    DISCARD_BYTES = 16384
};

/* ---- made and freed -------------------------------------------------------------------------- */

enum afar_status afar_client_new_on_transport(struct afar_client **client,
                                              struct transport *transport, const char *name,
                                              struct afar_error *err)
{
    *client = NULL;
    struct afar_client *made = calloc(1, sizeof *made);
    if (made == NULL) {
        transport_free(transport);
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a connection");
    }
    made->transport = transport;
    made->protocol = PROTOCOL_AFAR;
    made->meet_by_ms = DEADLINE_NEVER;
    (void)snprintf(made->name, sizeof made->name, "%s", name);
    buffer_init(&made->in, CLIENT_IN_MAX_BYTES);
    buffer_init(&made->out, CLIENT_OUT_MAX_BYTES);
    buffer_init(&made->command.last_header, FRAME_HEADER_MAX_BYTES);
    decoder_init(&made->decoder);
    heartbeat_init(&made->heartbeat);
    *client = made;
    return AFAR_OK;
}

/* Sends what is left, then reads and discards until the server closes too, or `within_ms` have
 * passed: a socket closed with unread bytes sends a reset, which can destroy what was sent
 * before. */
static void linger(struct afar_client *client, int64_t within_ms)
{
    uint8_t scratch[DISCARD_BYTES];
    const int64_t deadline_ms = clock_deadline_ms(within_ms);
    bool told = false;
    enum afar_status status = AFAR_OK;
    while (status != AFAR_ECLOSED && clock_now_ms() < deadline_ms) {
        if (!told) {
            (void)run_guest_push(&client->command.guest, &client->out, NULL);
            pump_send(client);
            told = buffer_size(&client->out) == 0;
            if (told)
                transport_shutdown(client->transport);
        }
        struct pollfd waiting = {.fd = transport_fd(client->transport), .events = POLLIN};
        if (!told)
            waiting.events = (short)(POLLIN | transport_send_events(client->transport));
        if (status == AFAR_EAGAIN)
            (void)poll(&waiting, 1, clock_poll_timeout(deadline_ms));
        status = transport_discard(client->transport, scratch, sizeof scratch);
    }
}

int64_t client_left_ms(struct afar_client *client, int64_t limit_ms)
{
    const int64_t left_ms = limit_ms - client->spent_ms;
    client->spent_ms = 0;
    return left_ms > 0 ? left_ms : 1;
}

const char *client_doubt(const struct afar_client *client)
{
    if (client->scheme == ENDPOINT_TCP)
        return "is it an Afar server? Does it need tls:// or another protocol?";
    return "is it an Afar server?";
}

bool client_is_waited_for(const struct afar_client *client)
{
    const struct run_guest *guest = &client->command.guest;
    /* Until the server has answered, assume that it grants what was asked for. */
    return (guest->confirmed ? guest->resume_ms : guest->asked_resume_ms) > 0;
}

/* Tells a server that waits for us that we do not come back. If it waits only for the
 * acknowledgement of a receipt, sends what is left of that. */
static void say_goodbye(struct afar_client *client)
{
    struct command *command = &client->command;
    const bool told = command->guest.leave_put;
    const bool leaves = command->running && !command->ended;
    if (client_is_waited_for(client) && !client->send_failed) {
        if (!client->broken && leaves)
            run_guest_detach(&command->guest, &client->out);
        if (client->farewell || (!client->broken && leaves))
            linger(client, told ? GOODBYE_AGAIN_MS : GOODBYE_MS);
        else if (!client->broken)
            pump_send(client);
    }
    transport_shutdown(client->transport);
}

void afar_close(struct afar_client *client)
{
    if (client == NULL)
        return;
    if (client->transport != NULL)
        say_goodbye(client);
    transport_free(client->transport);
    free(client->endpoint);
    run_guest_close(&client->command.guest);
    session_keeper_close(client->keeper);
    decoder_close(&client->decoder);
    buffer_close(&client->in);
    buffer_close(&client->out);
    buffer_close(&client->command.last_header);
    delivery_close(&client->command.delivery);
    free(client);
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* As client_wait_ready, for a transport that has no client yet. */
static enum afar_status wait_for(const struct transport *transport, int stop_fd,
                                 int64_t deadline_ms, struct afar_error *err)
{
    struct pollfd waiting[2] = {
        {.fd = transport_fd(transport), .events = transport_recv_events(transport)},
        {.fd = stop_fd, .events = POLLIN}};
    if (clock_now_ms() >= deadline_ms)
        return afar_fail(err, AFAR_ETIMEDOUT, "no answer in time");
    if (poll(waiting, 2, clock_poll_timeout(deadline_ms)) < 0 && errno != EINTR)
        return afar_fail_errno(err, errno, "poll");
    if (waiting[1].revents != 0)
        return afar_fail(err, AFAR_EAGAIN, "connecting was stopped");
    return AFAR_OK;
}

static enum afar_status shake_hands(struct transport *transport, int64_t deadline_ms, int stop_fd,
                                    struct afar_error *err)
{
    for (;;) {
        enum afar_status status = transport_handshake(transport, err);
        if (status != AFAR_EAGAIN)
            return status;
        status = wait_for(transport, stop_fd, deadline_ms, err);
        if (status == AFAR_ETIMEDOUT)
            return afar_fail(err, status, "no answer in time; is it a server that speaks TLS?");
        if (status != AFAR_OK)
            return status;
    }
}

enum afar_status client_open_transport(struct transport **transport,
                                       const struct afar_context *context,
                                       const struct endpoint *endpoint, int stream,
                                       bool request_follows, int64_t deadline_ms, int stop_fd,
                                       struct afar_error *err)
{
    int fd = stream;
    *transport = NULL;
    enum afar_status status =
        stream > 0 ? AFAR_OK : dial_unless(endpoint, deadline_ms, stop_fd, &fd, err);
    if (status != AFAR_OK)
        return status;
    /* A datagram socket is used like the others. */
    if (endpoint->scheme != ENDPOINT_TLS) {
        status = transport_plain_new(transport, fd, err);
    } else {
        const char *alpn = endpoint->protocol == PROTOCOL_AFAR ? TLS_ALPN_AFAR : NULL;
        session_files_load(&context->sessions, context->tls, endpoint);
        status = transport_tls_client_new(transport, context->tls, fd, endpoint->host, alpn, err);
    }
    if (status != AFAR_OK)
        return status;
    if (request_follows && endpoint->scheme == ENDPOINT_TLS)
        transport_tls_await_request(*transport);
    status = shake_hands(*transport, deadline_ms, stop_fd, err);
    if (status == AFAR_OK)
        return AFAR_OK;
    char name[ENDPOINT_URL_BYTES];
    endpoint_format(endpoint, name, sizeof name);
    (void)afar_prefix(err, "%s", name);
    transport_free(*transport);
    *transport = NULL;
    return status;
}

static enum afar_status parse_url(struct endpoint *endpoint, const char *url,
                                  struct afar_error *err)
{
    if (url == NULL)
        return afar_fail(err, AFAR_EINVAL, "there is no URL: it is NULL");
    enum afar_status status = endpoint_parse(endpoint, url, err);
    if (status != AFAR_OK)
        return status;
    if (endpoint->inherited)
        return afar_fail(err, AFAR_EINVAL, "'%s' is for servers: it does not say where to connect",
                         url);
    if (endpoint->scheme != ENDPOINT_UNIX && (endpoint->host[0] == '\0' || endpoint->port == 0))
        return afar_fail(err, AFAR_EINVAL, "'%s' does not say where to connect", url);
    return AFAR_OK;
}

/* On a connection that others have used, ids must differ from theirs. */
static enum afar_status choose_ids(struct afar_client *client, struct afar_error *err)
{
    char hex[2 * ID_RANDOM_BYTES + 1];
    enum afar_status status = random_hex(hex, ID_RANDOM_BYTES, err);
    if (status == AFAR_OK)
        client->last_id = CLIENT_CHANCE_ID + strtoull(hex, NULL, 16);
    return status;
}

/* Closes the route's stream in any case; stream 0: dials the endpoint. */
static enum afar_status connect_to(struct afar_client **client, const struct afar_context *context,
                                   const struct endpoint *endpoint, const struct afar_route *route,
                                   struct afar_error *err)
{
    struct transport *transport = NULL;
    const int64_t began_ms = clock_now_ms();
    enum afar_status status =
        route->ready ? transport_plain_new(&transport, route->stream, err)
                     : client_open_transport(&transport, context, endpoint, route->stream,
                                             route->request_follows,
                                             clock_deadline_ms(route->timeout_ms), -1, err);
    if (status != AFAR_OK)
        return status;
    char name[ENDPOINT_URL_BYTES];
    endpoint_format(endpoint, name, sizeof name);
    struct afar_client *made = NULL;
    status = afar_client_new_on_transport(&made, transport, name, err);
    if (made == NULL)
        return status;
    made->scheme = endpoint->scheme;
    made->protocol = endpoint->protocol;
    made->patience_ms = route->timeout_ms;
    made->reply_ms = route->reply_timeout_ms;
    made->spent_ms = clock_now_ms() - began_ms;
    made->by_another = route->ready;
    made->fresh = route->request_follows && endpoint->scheme == ENDPOINT_TLS && !route->ready;
    made->endpoint = malloc(sizeof *made->endpoint);
    status = made->endpoint == NULL ? afar_fail(err, AFAR_ENOMEM, "out of memory for a connection")
             : route->ready         ? choose_ids(made, err)
                                    : AFAR_OK;
    if (status != AFAR_OK) {
        afar_close(made);
        return status;
    }
    *made->endpoint = *endpoint;
    if (endpoint->scheme == ENDPOINT_TLS && !route->ready)
        made->keeper = session_keeper_new(&context->sessions, context->tls, endpoint);
    *client = made;
    return AFAR_OK;
}

/* TLS without credentials is the same as with empty ones. */
static enum afar_status connect_without(struct afar_client **client,
                                        const struct endpoint *endpoint,
                                        const struct afar_route *route, struct afar_error *err)
{
    const struct afar_credentials none = AFAR_CREDENTIALS_INIT();
    struct afar_context *context = NULL;
    enum afar_status status = afar_context_new(&context, &none, err);
    if (status == AFAR_OK)
        status = connect_to(client, context, endpoint, route, err);
    else if (route->stream > 0)
        (void)close(route->stream);
    afar_context_free(context);
    return status;
}

static enum afar_status take_route(struct endpoint *endpoint, struct afar_route *own,
                                   const struct afar_route *route, struct afar_error *err)
{
    uint8_t address[16];
    enum afar_status status = sized_take(own, sizeof *own, route, "afar_route", err);
    if (status != AFAR_OK)
        return status;
    if (own->family != 0 && own->family != 4 && own->family != 6)
        return afar_fail(err, AFAR_EINVAL, "the family %d: 4 or 6 is meant", own->family);
    if (own->ready && own->stream <= 0)
        return afar_fail(err, AFAR_EINVAL, "a connection that is ready needs its stream");
    endpoint->family = own->family == 4 ? AF_INET : own->family == 6 ? AF_INET6 : 0;
    const char *local = own->local_address;
    if (local == NULL)
        return AFAR_OK;
    if (inet_pton(AF_INET, local, address) != 1 && inet_pton(AF_INET6, local, address) != 1)
        return afar_fail(err, AFAR_EINVAL, "'%.64s' is not an address to connect from", local);
    (void)snprintf(endpoint->local, sizeof endpoint->local, "%s", local);
    return AFAR_OK;
}

enum afar_status client_prepare_stream(int stream, struct afar_error *err)
{
    int flags = fcntl(stream, F_GETFL);
    if (flags < 0 || fcntl(stream, F_SETFL, flags | O_NONBLOCK) != 0)
        return afar_fail_errno(err, errno, "the stream to the server");
    return AFAR_OK;
}

enum afar_status afar_connect_by(struct afar_client **client, struct afar_context *context,
                                 const char *url, const struct afar_route *route,
                                 struct afar_error *err)
{
    struct afar_error why = {0};
    struct endpoint endpoint = {.port = 0};
    struct afar_route own = AFAR_ROUTE_INIT();
    *client = NULL;
    enum afar_status status = parse_url(&endpoint, url, &why);
    if (status == AFAR_OK)
        status = take_route(&endpoint, &own, route, &why);
    else if (sized_take(&own, sizeof own, route, "afar_route", NULL) != AFAR_OK)
        own.stream = 0;
    if (status == AFAR_OK && own.stream > 0)
        status = client_prepare_stream(own.stream, &why);
    bool lacks =
        endpoint.scheme == ENDPOINT_TLS && !own.ready && (context == NULL || context->tls == NULL);
    if (status == AFAR_OK)
        status = lacks ? connect_without(client, &endpoint, &own, &why)
                       : connect_to(client, context, &endpoint, &own, &why);
    else if (own.stream > 0)
        (void)close(own.stream);
    return client_tell(status, &why, err);
}

enum afar_status afar_connect(struct afar_client **client, struct afar_context *context,
                              const char *url, int64_t timeout_ms, struct afar_error *err)
{
    const struct afar_route route = AFAR_ROUTE_INIT(.timeout_ms = timeout_ms);
    return afar_connect_by(client, context, url, &route, err);
}

void afar_keep_session(struct afar_client *client)
{
    if (client != NULL)
        session_keeper_save(client->keeper);
}

bool afar_resumed(const struct afar_client *client)
{
    return client != NULL && client->transport != NULL && transport_resumed(client->transport);
}

/* ---- states ---------------------------------------------------------------------------------- */

enum afar_status client_break(struct afar_client *client, const struct afar_error *why,
                              struct afar_error *err)
{
    client->broken = true;
    client->failure = *why;
    buffer_clear(&client->in);
    if (!client->farewell)
        buffer_clear(&client->out);
    if (err != NULL)
        *err = *why;
    return why->code;
}

enum afar_status client_check(const struct afar_client *client, enum endpoint_protocol protocol,
                              struct afar_error *err)
{
    if (client == NULL)
        return afar_fail(err, AFAR_EINVAL, "there is no client: it is NULL");
    if (client->protocol != protocol)
        return afar_fail(err, AFAR_EINVAL, "%s is for the protocol %s, this needs %s", client->name,
                         endpoint_protocol_name(client->protocol),
                         endpoint_protocol_name(protocol));
    if (!client->broken)
        return AFAR_OK;
    if (err != NULL)
        *err = client->failure;
    return client->failure.code;
}

static bool is_connected(const struct afar_client *client)
{
    return client != NULL && !client->broken && client->transport != NULL;
}

int afar_fd(const struct afar_client *client)
{
    /* poll(2) ignores -1. A closed connection's descriptor would report its end for ever. */
    return is_connected(client) ? transport_fd(client->transport) : -1;
}

short afar_events(const struct afar_client *client)
{
    if (!is_connected(client))
        return 0;
    short events = transport_recv_events(client->transport);
    if (buffer_size(&client->out) > 0 && !client->send_failed)
        events = (short)(events | transport_send_events(client->transport));
    /* poll(2) does not report bytes that TLS holds. POLLOUT makes it return, as there nearly always
     * is room to send. */
    if (transport_pending(client->transport))
        events = (short)(events | POLLOUT);
    return events;
}

enum afar_status client_wait_ready(const struct afar_client *client, short events,
                                   int64_t deadline_ms, struct afar_error *err)
{
    struct pollfd waiting = {.fd = afar_fd(client), .events = events};
    if (clock_now_ms() >= deadline_ms)
        return afar_fail(err, AFAR_ETIMEDOUT, "no answer in time");
    if (client->transport != NULL && transport_pending(client->transport))
        return AFAR_OK;
    if (poll(&waiting, 1, clock_poll_timeout(deadline_ms)) < 0 && errno != EINTR)
        return afar_fail_errno(err, errno, "poll");
    return AFAR_OK;
}
