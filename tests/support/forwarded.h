/* `afar forward` in a test: where it listens, and connections that it leads to an echo server.
 *
 * Owns:    nothing; programs and descriptors are the caller's.
 * Threads: one.
 * Blocks:  at most until test_deadline_ms; then the test fails.
 * Limits:  none. */
#ifndef SUPPORT_FORWARDED_H
#define SUPPORT_FORWARDED_H

#include <stdint.h>

#include "support/echo_server.h"
#include "support/program.h"

/* The port that its `n`th "HOST:PORT -> " on standard error names. */
uint16_t forwarded_port(struct program *program, unsigned n);

/* Starts `afar forward --reconnect RECONNECT URL` from a free port, *port, to `target`. */
struct program forwarded_start(const char *url, const char *reconnect,
                               const struct echo_server *target, uint16_t *port);

/* Ends it by TERM, and frees it. */
void forwarded_stop(struct program *program);

/* Sends `text`, at most 63 bytes, which must come back. */
void forwarded_echo(int fd, const char *text);

#endif
