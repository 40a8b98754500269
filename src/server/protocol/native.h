/* The native protocol's session (src/wire/PROTOCOL.md): frames in, one job at a time, frames out.
 *
 * Owns:    the decoder, the output log, and the job until it ends.
 * Threads: its connection's worker.
 * Blocks:  never.
 * Limits:  output_log_bytes and control_queue_bytes of the configuration;
 *          MESSAGE_STDIN_CREDIT_BYTES. */
#ifndef SERVER_PROTOCOL_NATIVE_H
#define SERVER_PROTOCOL_NATIVE_H

#include "server/connection/connection.h"

extern const struct protocol_ops native_protocol;

#endif
