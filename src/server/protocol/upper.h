/* The tutorial's §7 and §8: input comes back in upper case.
 *
 * Owns:    nothing besides the connection.
 * Threads: its connection's worker.
 * Blocks:  never.
 * Limits:  while the client does not read the answers, nothing more is read. */
#ifndef SERVER_PROTOCOL_UPPER_H
#define SERVER_PROTOCOL_UPPER_H

#include "server/connection/connection.h"

extern const struct protocol_ops upper_protocol;

#endif
