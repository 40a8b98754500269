/* A conversation whose command is a kept one: its frames go to the command's keeper and back, as
 * they are. What is not of that request (ping, kill, jobs) is answered here.
 *
 *     relay_open ─ a companion connects ─▶ open ─ exit, error, detached sent ─▶ over ─▶ relay_free
 *                     └─ it cannot: error       └─ the keeper's end: the connection ends, and its
 *                                                  client comes back
 *
 * Owns:    the connection to the keeper, and the bytes between.
 * Threads: its worker's; connecting, its companion's.
 * Blocks:  never.
 * Limits:  RELAY_IN_BYTES from the keeper; from the client, what its credit allows. */
#ifndef SERVER_PROTOCOL_RELAY_H
#define SERVER_PROTOCOL_RELAY_H

#include "base/buffer.h"
#include "wire/message.h"

struct native;
struct relay;

/* For the request `id`: with this attach, to `job`, or ("") to what the client's owner has under
 * `key`. Its errors come by native. AFAR_ENOMEM. */
enum afar_status relay_open(struct relay **relay, struct native *native, uint64_t id,
                            const char *job, const char *key, const struct message_attach *attach,
                            struct afar_error *err);
/* NULL is fine. */
void relay_free(struct relay *relay);

uint64_t relay_id(const struct relay *relay);

/* Its job is on a terminal, as far as its keeper has said. */
bool relay_on_terminal(const struct relay *relay);

/* The client's frame, whole. */
void relay_forward(struct relay *relay, const uint8_t *frame, size_t size);

/* As protocol_ops have them: of frames from the keeper. */
bool relay_peek(struct relay *relay, const uint8_t **data, size_t *size);
void relay_sent(struct relay *relay, size_t size);
bool relay_inside(const struct relay *relay);

/* The request has ended; nothing more is sent. */
bool relay_is_over(const struct relay *relay);

#endif
