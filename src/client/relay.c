/* A connection as bytes, for a program that passes them on. */
#include <afar/relay.h>

#include <string.h>

#include "client/client.h"

static enum afar_status check(const struct afar_client *client, struct afar_error *err)
{
    if (client == NULL)
        return client_check(client, PROTOCOL_AFAR, err);
    if (client->broken || client->transport == NULL)
        return afar_fail(err, AFAR_ECLOSED, "%s: the connection has ended", client->name);
    return AFAR_OK;
}

enum afar_status afar_relay_send(struct afar_client *client, const void *data, size_t size,
                                 size_t *taken, struct afar_error *err)
{
    struct afar_error why = {0};
    *taken = 0;
    enum afar_status status = check(client, &why);
    if (status == AFAR_OK)
        status = transport_send(client->transport, data, size, taken, &why);
    return client_tell(status, &why, err);
}

enum afar_status afar_relay_receive(struct afar_client *client, void *data, size_t size,
                                    size_t *received, struct afar_error *err)
{
    struct afar_error why = {0};
    *received = 0;
    enum afar_status status = check(client, &why);
    if (status != AFAR_OK)
        return client_tell(status, &why, err);
    size_t held = buffer_size(&client->in);
    if (held > 0) {
        *received = held < size ? held : size;
        memcpy(data, buffer_head(&client->in), *received);
        buffer_consume(&client->in, *received);
        return AFAR_OK;
    }
    status = transport_fill(client->transport, data, size, received, &why);
    return *received > 0 ? AFAR_OK : client_tell(status, &why, err);
}

short afar_relay_events(const struct afar_client *client, bool receive, bool send)
{
    short events = 0;
    if (client == NULL || client->broken || client->transport == NULL)
        return 0;
    if (receive && (buffer_size(&client->in) > 0 || transport_pending(client->transport)))
        return -1;
    if (receive)
        events = transport_recv_events(client->transport);
    if (send)
        events = (short)(events | transport_send_events(client->transport));
    return events;
}
