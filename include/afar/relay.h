/* A connection as a byte stream, for a program that relays what others say on it, such as `afar
 * share`. Connect, optionally afar_ping; afterwards call only these functions, afar_fd and
 * afar_close.
 *
 * Owns:    nothing.
 * Threads: as the client.
 * Blocks:  never.
 * Limits:  none. */
#ifndef AFAR_RELAY_H
#define AFAR_RELAY_H

#include <afar/afar.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sends as many of `size` bytes (at least 1) as the connection takes. AFAR_OK: *taken is 1 or more.
 * AFAR_EAGAIN: none; the next call must start with the same bytes. Other errors: the connection has
 * ended. */
AFAR_API enum afar_status afar_relay_send(struct afar_client *client, const void *data, size_t size,
                                          size_t *taken, struct afar_error *err);

/* Receives at most `size` bytes (at least 1), including bytes that the library has received before.
 * AFAR_OK: *received is 1 or more. AFAR_EAGAIN: none now. Other errors: the connection has
 * ended. */
AFAR_API enum afar_status afar_relay_receive(struct afar_client *client, void *data, size_t size,
                                             size_t *received, struct afar_error *err);

/* The events for polling afar_fd, to receive, to send, or both; -1: do not wait, there is something
 * to receive that poll(2) does not report. */
AFAR_API short afar_relay_events(const struct afar_client *client, bool receive, bool send);

#ifdef __cplusplus
}
#endif

#endif
