#include "loop/companion.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"

/* A thread of the companion. */
struct hand {
    struct list link; /* the companion's lock guards all members but `companion` */
    struct companion *companion;
    pthread_t thread;
    const struct task *task; /* the task at work; NULL: none */
    const void *owner;       /* of that task */
    bool given_up;           /* the task was given up: do not wait for this thread */
    bool replaced;           /* … and another thread may take its place */
};

struct companion {
    struct mailbox *mailbox;
    struct timer patience; /* armed while tasks wait and no thread is idle */
    pthread_mutex_t lock;  /* guards the rest */
    pthread_cond_t wake;
    struct list hands;
    unsigned hand_count;
    unsigned replaced;   /* of these, threads that do not count any more */
    struct list waiting; /* tasks */
    struct list put_off; /* tasks of owners that have COMPANION_SHARE at work */
    unsigned idle;       /* threads that wait for a task */
    int64_t taken_ms;    /* when a task was last started */
    bool stopping;
};

static void lock(struct companion *companion)
{
    (void)pthread_mutex_lock(&companion->lock);
}

static void unlock(struct companion *companion)
{
    (void)pthread_mutex_unlock(&companion->lock);
}

/* ---- in the companion's threads, with the lock held ------------------------------------------ */

static unsigned at_work_for(const struct companion *companion, const void *owner)
{
    unsigned count = 0;
    for (const struct list *link = companion->hands.next; link != &companion->hands;
         link = link->next)
        count += list_object(link, const struct hand, link)->owner == owner;
    return count;
}

/* Takes the first task that may start; moves those before it to put_off. NULL: none. */
static struct task *take(struct companion *companion)
{
    while (!list_empty(&companion->waiting)) {
        struct task *task = list_object(companion->waiting.next, struct task, link);
        list_remove(&task->link);
        if (task->owner == NULL || companion->stopping ||
            at_work_for(companion, task->owner) < COMPANION_SHARE)
            return task;
        list_append(&companion->put_off, &task->link);
    }
    if (!companion->stopping || list_empty(&companion->put_off))
        return NULL;
    struct task *task = list_object(companion->put_off.next, struct task, link);
    list_remove(&task->link);
    return task;
}

/* A task of the owner is done or withdrawn: the owner's first task that was put off waits again. */
static void call_back(struct companion *companion, const void *owner)
{
    for (struct list *link = companion->put_off.next; link != &companion->put_off;
         link = link->next) {
        if (list_object(link, struct task, link)->owner != owner)
            continue;
        list_remove(link);
        list_append(companion->waiting.next, link); /* in front of all */
        (void)pthread_cond_signal(&companion->wake);
        return;
    }
}

static void end_work(struct hand *hand)
{
    const void *owner = hand->owner;
    hand->task = NULL;
    hand->owner = NULL;
    if (owner != NULL)
        call_back(hand->companion, owner);
}

/* Waits for a task. NULL: the companion stops, and no task is left. */
static struct task *begin_work(struct hand *hand)
{
    struct companion *companion = hand->companion;
    struct task *task = take(companion);
    companion->idle++;
    while (task == NULL && !companion->stopping) {
        (void)pthread_cond_wait(&companion->wake, &companion->lock);
        task = take(companion);
    }
    companion->idle--;
    if (task == NULL)
        return NULL;
    companion->taken_ms = clock_now_ms();
    hand->task = task;
    hand->owner = task->owner;
    return task;
}

/* A task that was given up is done after all. False: its thread must end. */
static bool come_back(struct hand *hand, struct task *task)
{
    struct companion *companion = hand->companion;
    bool stays = !hand->replaced && !companion->stopping;
    /* With the lock held: after companion_stop there is no mailbox any more. */
    if (!companion->stopping)
        mailbox_post(companion->mailbox, &task->done);
    end_work(hand);
    hand->given_up = false;
    if (stays)
        return true;
    companion->replaced -= hand->replaced;
    companion->hand_count--;
    list_remove(&hand->link);
    return false;
}

static void *hand_main(void *argument)
{
    struct hand *hand = argument;
    struct companion *companion = hand->companion;
    bool stays = true;
    lock(companion);
    while (stays) {
        struct task *task = begin_work(hand);
        if (task == NULL)
            break;
        unlock(companion);
        task->work(task);
        lock(companion);
        if (hand->given_up) {
            stays = come_back(hand, task);
        } else {
            end_work(hand);
            unlock(companion);
            mailbox_post(companion->mailbox, &task->done);
            lock(companion);
        }
    }
    unlock(companion);
    if (!stays) /* otherwise companion_stop frees it */
        free(hand);
    return NULL;
}

/* ---- in the worker's thread ------------------------------------------------------------------ */

static struct timers *timers_of(struct companion *companion)
{
    return loop_timers(companion->mailbox->loop);
}

/* The caller holds the lock. */
static bool has_room(const struct companion *companion)
{
    return companion->hand_count - companion->replaced < COMPANION_THREADS_MAX;
}

/* The caller holds the lock. Returns 0 or an errno. */
static int add_thread(struct companion *companion)
{
    struct hand *hand = calloc(1, sizeof *hand);
    if (hand == NULL)
        return ENOMEM;
    hand->companion = companion;
    int failed = pthread_create(&hand->thread, NULL, hand_main, hand);
    if (failed != 0) {
        free(hand);
        return failed;
    }
    list_append(&companion->hands, &hand->link);
    companion->hand_count++;
    return 0;
}

/* If tasks have waited for long and none was started meanwhile, the threads hang and are not just
 * busy: adds one. If that fails it is tried again later. */
static void patience_over(struct timer *timer)
{
    struct companion *companion = list_object(timer, struct companion, patience);
    int64_t again_ms = DEADLINE_NEVER;
    lock(companion);
    if (!list_empty(&companion->waiting)) {
        const struct task *first = list_object(companion->waiting.next, struct task, link);
        again_ms = first->posted_ms > companion->taken_ms ? first->posted_ms : companion->taken_ms;
        again_ms += COMPANION_PATIENCE_MS;
    }
    if (again_ms <= clock_now_ms() && has_room(companion)) {
        (void)add_thread(companion);
        again_ms = clock_now_ms() + COMPANION_PATIENCE_MS;
    }
    bool more = has_room(companion);
    unlock(companion);
    if (more)
        timer_arm(timers_of(companion), &companion->patience, again_ms);
}

enum afar_status companion_start(struct companion **companion, struct mailbox *mailbox,
                                 struct afar_error *err)
{
    *companion = NULL;
    struct companion *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a thread");
    made->mailbox = mailbox;
    list_init(&made->hands);
    list_init(&made->waiting);
    list_init(&made->put_off);
    (void)pthread_mutex_init(&made->lock, NULL);
    (void)pthread_cond_init(&made->wake, NULL);
    enum afar_status status = timer_attach(timers_of(made), &made->patience, patience_over, err);
    if (status != AFAR_OK) {
        (void)companion_stop(made);
        return status;
    }
    lock(made);
    int failed = add_thread(made);
    unlock(made);
    if (failed != 0) {
        (void)companion_stop(made);
        return afar_fail_errno(err, failed, "cannot start a thread");
    }
    *companion = made;
    return AFAR_OK;
}

/* Removes the next thread that can be joined from the list. NULL: none. */
static struct hand *next_to_join(struct companion *companion)
{
    struct hand *found = NULL;
    lock(companion);
    for (struct list *link = companion->hands.next; link != &companion->hands && found == NULL;
         link = link->next) {
        struct hand *hand = list_object(link, struct hand, link);
        found = hand->given_up ? NULL : hand;
    }
    if (found != NULL)
        list_remove(&found->link);
    unlock(companion);
    return found;
}

/* Detaches the threads that are left: they hang. True: none are left. */
static bool leave_hung(struct companion *companion)
{
    lock(companion);
    bool none = list_empty(&companion->hands);
    for (struct list *link = companion->hands.next; link != &companion->hands; link = link->next) {
        struct hand *hand = list_object(link, struct hand, link);
        if (!hand->replaced) /* otherwise companion_give_up has done it */
            (void)pthread_detach(hand->thread);
    }
    unlock(companion);
    return none;
}

bool companion_stop(struct companion *companion)
{
    if (companion == NULL)
        return true;
    lock(companion);
    companion->stopping = true;
    (void)pthread_cond_broadcast(&companion->wake);
    unlock(companion);
    for (struct hand *hand = next_to_join(companion); hand != NULL;
         hand = next_to_join(companion)) {
        (void)pthread_join(hand->thread, NULL);
        free(hand);
    }
    if (companion->patience.fire != NULL)
        timer_detach(timers_of(companion), &companion->patience);
    if (!leave_hung(companion))
        return false;
    (void)pthread_cond_destroy(&companion->wake);
    (void)pthread_mutex_destroy(&companion->lock);
    free(companion);
    return true;
}

void companion_post(struct companion *companion, struct task *task)
{
    task->posted_ms = clock_now_ms();
    lock(companion);
    bool waits = companion->idle == 0 || !list_empty(&companion->waiting);
    list_append(&companion->waiting, &task->link);
    (void)pthread_cond_signal(&companion->wake);
    bool more = has_room(companion);
    unlock(companion);
    if (waits && more && companion->patience.deadline_ms == DEADLINE_NEVER)
        timer_arm(timers_of(companion), &companion->patience,
                  task->posted_ms + COMPANION_PATIENCE_MS);
}

bool companion_withdraw(struct companion *companion, struct task *task)
{
    lock(companion);
    bool there = !list_empty(&task->link);
    if (there) {
        list_remove(&task->link);
        call_back(companion, task->owner);
    }
    unlock(companion);
    return there;
}

enum companion_loss companion_give_up(struct companion *companion, const struct task *task,
                                      uint64_t max)
{
    struct hand *found = NULL;
    enum companion_loss loss = COMPANION_DONE;
    lock(companion);
    for (struct list *link = companion->hands.next; link != &companion->hands && found == NULL;
         link = link->next) {
        struct hand *hand = list_object(link, struct hand, link);
        found = hand->task == task ? hand : NULL;
    }
    if (found != NULL) {
        found->given_up = true;
        found->replaced = companion->replaced < max;
        loss = found->replaced ? COMPANION_REPLACED : COMPANION_KEPT;
    }
    if (loss == COMPANION_REPLACED) {
        (void)pthread_detach(found->thread);
        companion->replaced++;
    }
    bool waits = !list_empty(&companion->waiting);
    unlock(companion);
    if (loss == COMPANION_REPLACED && waits) /* patience_over fills the place */
        timer_arm(timers_of(companion), &companion->patience, clock_now_ms());
    return loss;
}
