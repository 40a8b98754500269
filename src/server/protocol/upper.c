#include "server/protocol/upper.h"

#include <string.h>

#include "wire/tutorial.h"

enum { PIECE_BYTES = 16384 }; /* of input at a time; this also bounds what waits to be sent */

static void take(struct connection *connection)
{
    size_t size = buffer_size(&connection->in);
    uint8_t *room = NULL;
    if (size == 0 || buffer_size(&connection->out) > 0)
        return;
    if (buffer_reserve(&connection->out, size, &room, NULL) != AFAR_OK) {
        connection_fail(connection, LOG_LEVEL_ERROR, "out of memory");
        return;
    }
    memcpy(room, buffer_head(&connection->in), size);
    tutorial_upper(room, size);
    buffer_commit(&connection->out, size);
    buffer_consume(&connection->in, size);
    connection_want_flush(connection);
}

static enum afar_status upper_open(struct connection *connection, struct afar_error *err)
{
    (void)err;
    connection->session = connection; /* it has no state of its own */
    return AFAR_OK;
}

static void upper_input(struct connection *connection)
{
    connection->asked = true;
    take(connection);
    connection_pause_input(connection, buffer_size(&connection->out) > 0);
}

static void upper_prepare(struct connection *connection)
{
    if (buffer_size(&connection->out) > 0)
        return;
    take(connection);
    if (buffer_size(&connection->out) == 0)
        connection_pause_input(connection, false);
}

static bool upper_busy(struct connection *connection)
{
    (void)connection;
    return false;
}

static void upper_close(struct connection *connection)
{
    connection->session = NULL;
}

const struct protocol_ops upper_protocol = {
    .input_limit_bytes = PIECE_BYTES,
    .open = upper_open,
    .input = upper_input,
    .prepare = upper_prepare,
    .busy = upper_busy,
    .drain = connection_finish,
    .close = upper_close,
};
