/* A conversation whose command is kept: its frames pass unchanged to the command's keeper and back.
 * Frames that do not belong to that request (ping, kill, jobs) are answered here. The keeper's
 * `ping` is sent to the client under a number of this server, and what it says about the client's
 * windows (`room`) is handled here: see relay_room.h.
 *
 *     relay_open ─ a companion connects ─▶ open ─ exit, error, detached sent ─▶ over ─▶ relay_free
 *                     └─ it cannot: error       └─ the keeper ends: the connection ends, and its
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

/* Opens a relay for request `id` with this attach: to `job`, or, if that is "", to the job of the
 * client's owner under `key`. Later errors are answered through native. AFAR_ENOMEM, AFAR_ELIMIT.
 */
enum afar_status relay_open(struct relay **relay, struct native *native, uint64_t id,
                            const char *job, const char *key, const struct message_attach *attach,
                            struct afar_error *err);
/* Closes the connection to the keeper; the job goes on. NULL is fine. */
void relay_free(struct relay *relay);

uint64_t relay_id(const struct relay *relay);

/* Whether its job is on a terminal, as far as its keeper has told. */
bool relay_on_terminal(const struct relay *relay);

/* Sends a whole frame of the client to the keeper. */
void relay_forward(struct relay *relay, const uint8_t *frame, size_t size);

/* The client has answered what native_time_way has asked it. */
void relay_answered(struct relay *relay);

/* The client has been silent for long: its windows shrink as far as they are empty. */
void relay_rest(struct relay *relay);

/* As in protocol_ops, for frames from the keeper. */
bool relay_peek(struct relay *relay, const uint8_t **data, size_t *size);
void relay_sent(struct relay *relay, size_t size);
bool relay_inside(const struct relay *relay);

/* Whether the request has ended and nothing more is sent. */
bool relay_is_over(const struct relay *relay);

#endif
