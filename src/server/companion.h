/* A worker's companion thread: the only place that blocks (spawning, temporary files).
 *
 * Owns:    its thread. A task lies inside its object and must stay there until it is done.
 * Threads: companion_post and companion_stop from the worker's thread; work() runs in the
 * companion's, done.deliver in the worker's, by its mailbox. The queue is guarded by a mutex that
 * is not held while a task works. Blocks:  companion_stop, until the tasks that were posted have
 * been worked through. Limits:  one task at a time, in the order of posting. */
#ifndef SERVER_COMPANION_H
#define SERVER_COMPANION_H

#include "server/mailbox.h"

struct companion;

struct task {
    struct task *next;
    void (*work)(struct task *);
    struct mail done;
};

/* `mailbox` is *kept*: where finished tasks go. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status companion_start(struct companion **companion, struct mailbox *mailbox,
                                 struct afar_error *err);
void companion_stop(struct companion *companion);

void companion_post(struct companion *companion, struct task *task);

#endif
