/* The conversation of the native protocol (src/wire/PROTOCOL.md): frames in, one command at a time,
 * frames out.
 *
 * Owns:    the decoder, the relay, and, while it is attached, the run (run.h).
 * Threads: its connection's worker.
 * Blocks:  never.
 * Limits:  header_bytes, payload_bytes, output_log_bytes, stdin_bytes and control_queue_bytes of
 *          the configuration; ERRANDS_MAX. */
#ifndef SERVER_PROTOCOL_NATIVE_H
#define SERVER_PROTOCOL_NATIVE_H

#include "server/connection/connection.h"

extern const struct protocol_ops native_protocol;

#endif
