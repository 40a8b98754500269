/* The tutorial's §9 (`sized`) and §11 (`headed`): a shell command in, its whole output back.
 *
 *     IDLE ─ bytes ─▶ ARRIVING ─ quiet_ms ─▶ RUNNING ─▶ HASHING (headed) ─▶ SENDING ─▶ IDLE
 *
 * Owns:    the job and the collector.
 * Threads: its connection's worker.
 * Blocks:  never.
 * Limits:  request_bytes, quiet_ms, collect_max_bytes. A command that looks like an HTTP request is
 *          refused, because a web page can make a browser post to a loopback address. */
#ifndef SERVER_PROTOCOL_SHELL_H
#define SERVER_PROTOCOL_SHELL_H

#include "server/connection/connection.h"

extern const struct protocol_ops shell_protocol;

#endif
