/* A worker's companion: the only place that blocks (spawning, temporary files). One thread, as long
 * as it keeps up; where a task hangs in it (a dead mount), others are started for what waits
 * behind.
 *
 * Owns:    its threads. A task lies inside its object and must stay there until it is done.
 * Threads: companion_post and companion_stop from the worker's thread; work() runs in the
 * companion's, done.deliver in the worker's, by its mailbox. The queue is guarded by a mutex that
 * is not held while a task works. Blocks:  companion_stop, until the tasks that were posted have
 * been worked through. Limits:  COMPANION_THREADS_MAX tasks at a time, begun in the order of
 * posting; one more thread each time nothing was begun for COMPANION_PATIENCE_MS although
 * something waits. */
#ifndef SERVER_COMPANION_H
#define SERVER_COMPANION_H

#include "server/mailbox.h"

enum { COMPANION_THREADS_MAX = 16, COMPANION_PATIENCE_MS = 50 };

struct companion;

struct task {
    struct task *next;
    int64_t posted_ms;
    void (*work)(struct task *);
    struct mail done;
};

/* `mailbox` is *kept*: where finished tasks go; its loop's thread is the worker's. AFAR_ENOMEM,
 * AFAR_ESYSTEM. */
enum afar_status companion_start(struct companion **companion, struct mailbox *mailbox,
                                 struct afar_error *err);
void companion_stop(struct companion *companion);

void companion_post(struct companion *companion, struct task *task);

#endif
