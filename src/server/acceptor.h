/* The acceptor: the main thread's loop. It takes connections, applies the limit on their number,
 * hands each to the least loaded worker, and handles signals. It never reads a byte that a client
 * sent, and never forks, so waitid(…, __WNOTHREAD) there reaps exactly the orphans that the server
 * adopted as PID 1 or subreaper, and no job's child.
 *
 * Owns:    its loop, its mailbox, the signalfd, the stream listeners it was given.
 * Threads: one, which also made it.
 * Blocks:  acceptor_run, until every worker has ended.
 * Limits:  max_connections. Out of descriptors, it pauses instead of spinning. */
#ifndef SERVER_ACCEPTOR_H
#define SERVER_ACCEPTOR_H

#include <signal.h>

#include "net/listener.h"
#include "net/tls.h"
#include "server/worker.h"

struct acceptor;

/* `shared` is *kept*. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status acceptor_new(struct acceptor **acceptor, struct server_shared *shared,
                              struct afar_error *err);

/* Waits for the workers' threads, so acceptor_run must have returned (or no worker was started). */
void acceptor_free(struct acceptor *acceptor);

enum afar_status acceptor_start_workers(struct acceptor *acceptor, unsigned count,
                                        struct afar_error *err);

/* Takes over `listener` (*moved*, also on failure). `tls` (NULL: plain) is *kept*. After the
 * workers. */
enum afar_status acceptor_add(struct acceptor *acceptor, struct listener *listener,
                              struct tls_context *tls, struct afar_error *err);

/* The signals that it takes. The thread that runs it must have blocked them. */
void acceptor_signals(sigset_t *signals);

enum afar_status acceptor_run(struct acceptor *acceptor, struct afar_error *err);

#endif
