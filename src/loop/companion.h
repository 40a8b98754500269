/* A worker's companion: the only place that blocks (spawning, temporary files). One thread, as long
 * as it keeps up; where a task hangs in it (a dead mount), others are started for what waits
 * behind.
 *
 *   posted ──▶ waiting ──▶ worked on ──▶ done.deliver
 *                 ▲           │ its owner has COMPANION_SHARE at work:
 *                 └─ put off ◀┘ until one of these is done
 *
 * Owns:    its threads. A task lies inside its object and must stay there until it is done.
 * Threads: companion_post, _withdraw, _give_up and _stop from the worker's thread; work() runs in
 *          the companion's, done.deliver in the worker's, by its mailbox. The queue is guarded by a
 *          mutex that is not held while a task works.
 * Blocks:  companion_stop, until the tasks that were posted have been worked through, but for those
 *          that were given up.
 * Limits:  COMPANION_THREADS_MAX tasks at a time, COMPANION_SHARE of one owner, begun in the order
 *          of posting; one more thread each time nothing was begun for COMPANION_PATIENCE_MS
 *          although something waits. Besides these, as many threads that hang in what was given up
 *          as companion_give_up is told. */
#ifndef LOOP_COMPANION_H
#define LOOP_COMPANION_H

#include "base/list.h"
#include "loop/mailbox.h"

enum {
    COMPANION_THREADS_MAX = 16,
    COMPANION_SHARE = COMPANION_THREADS_MAX / 2, /* so that one owner's do not keep out others' */
    COMPANION_PATIENCE_MS = 50
};

struct companion;

struct task {
    struct list link; /* the companion's */
    int64_t posted_ms;
    const void *owner; /* who is only to have a share of the threads; NULL: nobody */
    void (*work)(struct task *);
    struct mail done;
};

/* `mailbox` is *kept*: where finished tasks go; its loop's thread is the worker's. AFAR_ENOMEM,
 * AFAR_ESYSTEM. */
enum afar_status companion_start(struct companion **companion, struct mailbox *mailbox,
                                 struct afar_error *err);

/* False: threads hang in tasks that were given up. These use the companion and their tasks still,
 * which must then stay where they are until the process ends; done.deliver is not called any more.
 */
bool companion_stop(struct companion *companion);

void companion_post(struct companion *companion, struct task *task);

/* Takes it back. False: it is being worked on, or is done. */
bool companion_withdraw(struct companion *companion, struct task *task);

enum companion_loss {
    COMPANION_DONE,     /* it is not lost: done.deliver comes at once */
    COMPANION_REPLACED, /* its thread does not count any more: there is one in its place */
    COMPANION_KEPT      /* there are `max` such threads already: this one is missing */
};

/* Nobody waits for the task any longer, which was not withdrawn and hangs: whether its thread can
 * be replaced. It stays its owner's, and done.deliver comes when it is done after all. Once for a
 * task. */
enum companion_loss companion_give_up(struct companion *companion, const struct task *task,
                                      uint64_t max);

#endif
