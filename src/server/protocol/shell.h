/* The tutorial's §9 (`sized`) and §11 (`headed`): a shell command in, its whole output back.
 *
 *     IDLE ─ bytes ─▶ ARRIVING ─ quiet_ms ─▶ RUNNING ─▶ HASHING (headed) ─▶ SENDING ─▶ IDLE
 *
 * Owns:    the job and the collector.
 * Threads: its connection's worker.
 * Blocks:  never.
 * Limits:  request_bytes, quiet_ms, collect_max_bytes. What begins like an HTTP request is refused:
 *          a web page can make a browser post to loopback. */
#ifndef SERVER_PROTOCOL_SHELL_H
#define SERVER_PROTOCOL_SHELL_H

#include "server/connection/connection.h"

extern const struct protocol_ops shell_protocol;

#endif
