/* A connection as bytes, for a program that passes on what others say on it, such as `afar share`:
 * connect and, maybe, afar_ping; from then on only these functions, and afar_fd and afar_close.
 *
 * Owns:    nothing.
 * Threads: as the client.
 * Blocks:  never.
 * Limits:  none of its own. */
#ifndef AFAR_RELAY_H
#define AFAR_RELAY_H

#include <afar/afar.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sends what the connection takes of `size` bytes (at least 1). AFAR_OK: *taken is 1 or more.
 * AFAR_EAGAIN: none; the next call must begin with the same bytes. All else: its end. */
AFAR_API enum afar_status afar_relay_send(struct afar_client *client, const void *data, size_t size,
                                          size_t *taken, struct afar_error *err);

/* Receives at most `size` bytes (at least 1), also some of which the library has received already.
 * AFAR_OK: *received is 1 or more. AFAR_EAGAIN: none now. All else: the connection's end. */
AFAR_API enum afar_status afar_relay_receive(struct afar_client *client, void *data, size_t size,
                                             size_t *received, struct afar_error *err);

/* For what to poll afar_fd, to receive, to send, or both; -1: do not wait, there is something to
 * receive which poll(2) does not know of. */
AFAR_API short afar_relay_events(const struct afar_client *client, bool receive, bool send);

#ifdef __cplusplus
}
#endif

#endif
