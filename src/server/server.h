/* The server as a whole: listeners, acceptor and workers.
 *
 *   1. server_new opens everything that can fail: listeners, certificates, threads' resources.
 *   2. server_print_endpoints and server_describe, if wanted; connections are accepted in step 3.
 *   3. server_run, on the main thread, until SIGTERM or SIGINT; then drains and returns.
 *   4. server_free.
 *
 * Owns:    the listeners, the workers, their threads.
 * Threads: all calls from one thread, which becomes the acceptor. Signals must be blocked there
 *          before server_new (server_block_signals), so that the threads inherit it.
 * Blocks:  server_run, for as long as the server lives.
 * Limits:  those of the configuration. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stdio.h>

#include "base/log.h"
#include "policy/config.h"

struct server;

/* Blocks the signals that server_run reads from a signalfd, and ignores SIGPIPE and SIGXFSZ.
 * AFAR_ESYSTEM. */
enum afar_status server_block_signals(struct afar_error *err);

/* Checks of a configuration everything that needs no socket and no name resolution: whether its
 * certificates can be used, whether commands can reach the server's own files, and what
 * policy/review.h finds in the rules. *warnings gets a line for each finding (words_close, also on
 * failure). AFAR_EINVAL, AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status server_check(const struct config *config, struct words *warnings,
                              struct afar_error *err);

/* `config` and `log` are *kept*. Raises the process's soft limit on descriptors to the hard one;
 * commands get the old one. Refuses, with a message that says what to do: plain TCP or UDP beyond
 * loopback without allow_plaintext; headed and sized beyond loopback without TLS; a bad
 * certificate; a port in use. AFAR_EINVAL, AFAR_ESYSTEM, AFAR_ENOMEM. After success, server_free.
 */
enum afar_status server_new(struct server **server, const struct config *config, struct log *log,
                            struct afar_error *err);
/* Stops what still runs and frees everything. False: threads hang in the kernel, with commands that
 * were given up, and still use part of the server and its log: it is not freed, and the process
 * should end. NULL is fine. */
bool server_free(struct server *server);

/* Reads the configuration again, on the server's main thread. *config (NULL: none) then belongs to
 * the server (config_free), also on failure. */
typedef enum afar_status server_load(void *user, struct config **config, struct afar_error *err);

/* Sets what SIGHUP does: the configuration from `load` and its certificates are checked as a whole,
 * then used; or a log line says why not, and nothing has changed. `workers`, `bulk_workers`,
 * `http`, `state_directory`, the audit log's file, mode and chain, and udp listeners cannot be
 * changed. `user` is *kept*. Call it between server_new and server_run. */
void server_on_hang_up(struct server *server, server_load *load, void *user);

/* Prints and flushes a line "listening URL" for each listener, with its real port, and "http URL"
 * for that of `http`. AFAR_ESYSTEM: the write failed. */
enum afar_status server_print_endpoints(const struct server *server, FILE *out,
                                        struct afar_error *err);

/* Logs, for each listener, who can now run what, and which of the server's own files commands can
 * reach. */
void server_describe(const struct server *server);

/* Serves until told to stop. The first SIGTERM or SIGINT drains: no new connections, jobs may
 * finish within drain_ms, then they are ended. The second kills them immediately. AFAR_OK after
 * either. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status server_run(struct server *server, struct afar_error *err);

#endif
