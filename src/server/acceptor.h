/* The acceptor: the main thread's loop. It takes connections, applies the limit on their number,
 * hands each to the least loaded worker, and handles signals. It never reads a byte that a client
 * sent, and never forks, so what it has for children are the orphans that the server adopted as PID
 * 1 or subreaper (exec/orphans.h), and no job's leader.
 *
 * Owns:    its loop, its mailbox, the signalfd, the stream listeners it was given.
 * Threads: one, which also made it; acceptor_turn_ms from any.
 * Blocks:  acceptor_run, until every worker has ended.
 * Limits:  those of admission.h. Out of descriptors, it pauses instead of spinning. */
#ifndef SERVER_ACCEPTOR_H
#define SERVER_ACCEPTOR_H

#include <signal.h>

#include "net/listener.h"
#include "tls/tls.h"
#include "server/worker.h"

struct acceptor;
struct door; /* a stream listener that is being accepted from */

/* What the acceptor tells its owner, from its own thread. */
struct acceptor_hooks {
    void (*hang_up)(void *user);  /* SIGHUP, while the server is not going down */
    void (*settled)(void *user);  /* all workers go by the settings of acceptor_settle */
    void (*draining)(void *user); /* the first signal to end has come */
    void *user;
};

/* `shared` is *kept*. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status acceptor_new(struct acceptor **acceptor, struct server_shared *shared,
                              const struct acceptor_hooks *hooks, struct afar_error *err);

/* Waits for the workers' threads, so acceptor_run must have returned (or no worker was started). */
void acceptor_free(struct acceptor *acceptor);

/* So many that take connections, and so many besides for what carries much. */
enum afar_status acceptor_start_workers(struct acceptor *acceptor, unsigned ordinary, unsigned bulk,
                                        struct afar_error *err);

/* Takes over `listener` (*moved*, also on failure), and accepts from now on. Takes a reference to
 * `tls`, which plain listeners do not use. After the workers. *door is good for acceptor_remove;
 * NULL where the listener is a datagram socket, which worker 0 has for as long as it lives. */
enum afar_status acceptor_add(struct acceptor *acceptor, struct listener *listener,
                              struct tls_context *tls, struct door **door, struct afar_error *err);

/* Closes a listener; its connections stay. Not after the drain has begun: it closes all. */
void acceptor_remove(struct door *door);

/* True once the server has been told to end. */
bool acceptor_is_draining(const struct acceptor *acceptor);

/* True once it has killed the jobs: nothing has any more time. */
bool acceptor_is_killing(const struct acceptor *acceptor);

/* shared->settings have changed: listeners and workers go by them from now on. hooks.settled comes
 * when all do; not again before that. */
void acceptor_settle(struct acceptor *acceptor);

/* For how long the slowest of its own loop and the workers' has been in the same turn (pulse.h); 0:
 * all wait for events. More than seconds mean a thread that hangs. After the workers were started,
 * before acceptor_free, from any thread; it wakes nobody. */
int64_t acceptor_turn_ms(const struct acceptor *acceptor);

/* Its workers, for looking at what they show to any thread. The same holds. */
unsigned acceptor_worker_count(const struct acceptor *acceptor);
const struct worker *acceptor_worker(const struct acceptor *acceptor, unsigned number);

/* Its thread's loop, for a timer of the owner's. Borrowed; none may be attached when it is freed.
 */
struct loop *acceptor_loop(struct acceptor *acceptor);

/* The signals that it takes. The thread that runs it must have blocked them. */
void acceptor_signals(sigset_t *signals);

enum afar_status acceptor_run(struct acceptor *acceptor, struct afar_error *err);

#endif
