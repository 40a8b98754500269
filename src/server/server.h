/* The server as a whole: listeners, acceptor and workers.
 *
 *   1. server_new opens everything that can fail: listeners, certificates, threads' resources.
 *   2. server_print_endpoints and server_describe, if wanted: it accepts from now on.
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

/* Blocks the signals that server_run takes by signalfd, and ignores SIGPIPE and SIGXFSZ. */
enum afar_status server_block_signals(struct afar_error *err);

/* All that can be known of a configuration without opening a socket or resolving a name: whether
 * its certificates can be used, what commands can do to the server's own files, and what
 * policy/review.h says of the rules: *warnings gets a line each (words_close, in any case).
 * AFAR_EINVAL, AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status server_check(const struct config *config, struct words *warnings,
                              struct afar_error *err);

/* `config` and `log` are *kept*. Raises the process's soft limit on descriptors to the hard one;
 * commands get back what it was. Refused, each with a line that says what to do: plain TCP or UDP
 * beyond loopback without allow_plaintext; headed and sized beyond loopback without TLS; a bad
 * certificate; a taken port. AFAR_EINVAL, AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status server_new(struct server **server, const struct config *config, struct log *log,
                            struct afar_error *err);
/* False: threads hang in the kernel, with commands that were given up, and use part of the server
 * and its log still. It stays; the process is to end. */
bool server_free(struct server *server);

/* Reads the configuration anew: *config is the server's (config_free), also where this fails (NULL:
 * none). Runs on the server's main thread. */
typedef enum afar_status server_load(void *user, struct config **config, struct afar_error *err);

/* What SIGHUP does: the configuration that `load` gives and the certificates that it names are
 * checked whole, then used; or a line in the log says why not, and nothing has changed. `workers`
 * and udp listeners cannot be changed. Between server_new and server_run. */
void server_on_hang_up(struct server *server, server_load *load, void *user);

/* One line "listening URL" for each listener, with its real port, flushed. */
enum afar_status server_print_endpoints(const struct server *server, FILE *out,
                                        struct afar_error *err);

/* Logs, for each listener, who can now run what, and what commands can do to the server's own
 * files.
 */
void server_describe(const struct server *server);

/* Serves until told to stop. The first SIGTERM or SIGINT drains: no new connections, jobs may end
 * for drain_ms, then they are ended. The second ends them at once. AFAR_OK after either. */
enum afar_status server_run(struct server *server, struct afar_error *err);

#endif
