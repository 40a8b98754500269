/* A worker's companion: threads for the work that can block (spawning, temporary files). Normally
 * one thread; if a task hangs (a dead mount), more are started for the tasks that wait.
 *
 *   posted ──▶ waiting ──▶ worked on ──▶ done.deliver
 *                 ▲           │ its owner has COMPANION_SHARE tasks at work:
 *                 └─ put off ◀┘ until one of these is done
 *
 * Owns:    its threads. A task lies inside its object and must stay there until it is done.
 * Threads: companion_post, _withdraw, _give_up and _stop from the worker's thread. work() runs in a
 *          thread of the companion, done.deliver in the worker's, through its mailbox. A mutex
 *          guards the queue; it is not held while a task works.
 * Blocks:  companion_stop, until all posted tasks are done, except those that were given up.
 * Limits:  COMPANION_THREADS_MAX tasks at a time, COMPANION_SHARE of one owner, started in the
 *          order of posting. A thread is added each time a task waits and none was started for
 *          COMPANION_PATIENCE_MS. In addition, at most `max` of companion_give_up threads that hang
 *          in tasks that were given up. */
#ifndef LOOP_COMPANION_H
#define LOOP_COMPANION_H

#include "base/list.h"
#include "loop/mailbox.h"

enum {
    COMPANION_THREADS_MAX = 16,
    COMPANION_SHARE = COMPANION_THREADS_MAX / 2, /* of one owner, so that others get threads, too */
    COMPANION_PATIENCE_MS = 50
};

struct companion;

struct task {
    struct list link; /* used by the companion */
    int64_t posted_ms;
    const void *owner; /* whose tasks share a limit of COMPANION_SHARE; NULL: no such limit */
    void (*work)(struct task *);
    struct mail done;
};

/* `mailbox` is *kept*: finished tasks go there, and its loop's thread is the worker's. Stop with
 * companion_stop. AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status companion_start(struct companion **companion, struct mailbox *mailbox,
                                 struct afar_error *err);

/* Waits for the tasks and frees the companion. False: threads hang in tasks that were given up.
 * They still use the companion and their tasks, which must stay where they are until the process
 * ends; done.deliver is not called any more. */
bool companion_stop(struct companion *companion);

void companion_post(struct companion *companion, struct task *task);

/* Removes a task that has not been started. False: it is being worked on, or done. */
bool companion_withdraw(struct companion *companion, struct task *task);

enum companion_loss {
    COMPANION_DONE,     /* not lost: done.deliver follows immediately */
    COMPANION_REPLACED, /* its thread no longer counts, and may be replaced */
    COMPANION_KEPT      /* there are `max` such threads already: the companion has one less */
};

/* Gives up a task that hangs and could not be withdrawn, and says whether its thread can be
 * replaced. The task stays its owner's; done.deliver follows if the task is done after all. Call it
 * once for a task. */
enum companion_loss companion_give_up(struct companion *companion, const struct task *task,
                                      uint64_t max);

#endif
