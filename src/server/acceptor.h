/* The acceptor: the main thread's loop. It accepts connections, applies the limits on their number,
 * hands each to the least loaded worker, and handles signals. It never reads a byte that a client
 * sent and never forks: its only children are the orphans that the server adopted as PID 1 or as
 * subreaper (exec/orphans.h), never a job's leader.
 *
 * Owns:    its loop, its mailbox, the signalfd, and the stream listeners that were given to it.
 * Threads: one, which also made it; acceptor_turn_ms, acceptor_worker_count and acceptor_worker
 *          from any.
 * Blocks:  acceptor_run, until every worker has ended; acceptor_free, until their threads have.
 * Limits:  those of admission.h. When descriptors run out, it pauses instead of spinning. */
#ifndef SERVER_ACCEPTOR_H
#define SERVER_ACCEPTOR_H

#include <signal.h>

#include "net/listener.h"
#include "tls/tls.h"
#include "server/worker.h"

struct acceptor;
struct door; /* a stream listener in use */

/* Callbacks to its owner, in the acceptor's thread. */
struct acceptor_hooks {
    void (*hang_up)(void *user);  /* SIGHUP, while the server is not going down */
    void (*settled)(void *user);  /* all workers use the settings of acceptor_settle */
    void (*draining)(void *user); /* the first SIGTERM or SIGINT has come */
    void (*killing)(void *user);  /* the workers are told to kill the jobs */
    void *user;
};

/* `shared` is *kept*. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status acceptor_new(struct acceptor **acceptor, struct server_shared *shared,
                              const struct acceptor_hooks *hooks, struct afar_error *err);

/* Waits for the workers' threads to end, so acceptor_run must have returned, or server start failed
 * before it. Closes the listeners that are left. NULL is fine. */
void acceptor_free(struct acceptor *acceptor);

/* Starts `ordinary` workers, which take connections, and `bulk` workers for connections that carry
 * much. Once. AFAR_ENOMEM, AFAR_ESYSTEM; those that were started then go with acceptor_free. */
enum afar_status acceptor_start_workers(struct acceptor *acceptor, unsigned ordinary, unsigned bulk,
                                        struct afar_error *err);

/* Takes over `listener` (*moved*, also on failure) and accepts from it. Takes a reference to `tls`,
 * which plain listeners ignore. Must come after acceptor_start_workers. *door is for
 * acceptor_remove; NULL for a datagram socket, which worker 0 keeps until it ends. AFAR_ENOMEM,
 * AFAR_ESYSTEM. */
enum afar_status acceptor_add(struct acceptor *acceptor, struct listener *listener,
                              struct tls_context *tls, struct door **door, struct afar_error *err);

/* Closes a listener; its connections stay. Must not be called once the drain has begun, which
 * closes all listeners. */
void acceptor_remove(struct door *door);

/* True once the server has been told to end. */
bool acceptor_is_draining(const struct acceptor *acceptor);

/* True once it has told the workers to kill the jobs. */
bool acceptor_is_killing(const struct acceptor *acceptor);

/* shared->settings have changed: has listeners and workers use them, and calls hooks.settled when
 * all do. Must not be called again before that, nor in a drain. */
void acceptor_settle(struct acceptor *acceptor);

/* For how many ms the slowest of its own loop and the workers' has been in its current turn
 * (pulse.h); 0: all wait for events. Several seconds mean that a thread hangs. Any thread; only
 * between acceptor_start_workers and acceptor_free. Wakes no thread. */
int64_t acceptor_turn_ms(const struct acceptor *acceptor);

/* Its workers, for reading what any thread may read of them. Callable as acceptor_turn_ms is. */
unsigned acceptor_worker_count(const struct acceptor *acceptor);
const struct worker *acceptor_worker(const struct acceptor *acceptor, unsigned number);

/* Its loop, for timers of the owner. Borrowed; all of them must be detached before acceptor_free.
 */
struct loop *acceptor_loop(struct acceptor *acceptor);

/* The signals that it handles, and SIGCHLD. The thread that runs it must have blocked them. */
void acceptor_signals(sigset_t *signals);

/* Runs the loop until every worker has ended. AFAR_ESYSTEM: its epoll_wait(2) failed. */
enum afar_status acceptor_run(struct acceptor *acceptor, struct afar_error *err);

#endif
