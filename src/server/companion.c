#include "server/companion.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"

struct companion {
    struct mailbox *mailbox;
    struct timer patience; /* armed while tasks wait and nobody is idle */
    pthread_t threads[COMPANION_THREADS_MAX];
    unsigned thread_count;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct task *first; /* guarded by lock */
    struct task **last; /* guarded by lock */
    unsigned idle;      /* guarded by lock: threads that wait for a task */
    int64_t taken_ms;   /* guarded by lock: when a task was last begun */
    bool stopping;      /* guarded by lock */
};

/* ---- in its threads -----------------------------------------------------------------------------
 */

/* Waits for a task. NULL: told to stop, and nothing is left. */
static struct task *next_task(struct companion *companion)
{
    (void)pthread_mutex_lock(&companion->lock);
    companion->idle++;
    while (companion->first == NULL && !companion->stopping)
        (void)pthread_cond_wait(&companion->wake, &companion->lock);
    companion->idle--;
    struct task *task = companion->first;
    if (task != NULL) {
        companion->taken_ms = clock_now_ms();
        companion->first = task->next;
        if (companion->first == NULL)
            companion->last = &companion->first;
    }
    (void)pthread_mutex_unlock(&companion->lock);
    return task;
}

static void *companion_main(void *argument)
{
    struct companion *companion = argument;
    for (struct task *task = next_task(companion); task != NULL; task = next_task(companion)) {
        task->work(task);
        mailbox_post(companion->mailbox, &task->done);
    }
    return NULL;
}

/* ---- in the worker's ----------------------------------------------------------------------------
 */

static struct timers *timers_of(struct companion *companion)
{
    return loop_timers(companion->mailbox->loop);
}

/* 0, or an errno. */
static int add_thread(struct companion *companion)
{
    int failed = pthread_create(&companion->threads[companion->thread_count], NULL, companion_main,
                                companion);
    if (failed == 0)
        companion->thread_count++;
    return failed;
}

/* What waits has waited for long, and nothing was begun meanwhile: the threads that there are hang,
 * and are not just busy. One more that cannot be started now is tried again. */
static void patience_over(struct timer *timer)
{
    struct companion *companion = list_object(timer, struct companion, patience);
    int64_t again_ms = DEADLINE_NEVER;
    (void)pthread_mutex_lock(&companion->lock);
    if (companion->first != NULL) {
        int64_t since_ms = companion->first->posted_ms > companion->taken_ms
                               ? companion->first->posted_ms
                               : companion->taken_ms;
        again_ms = since_ms + COMPANION_PATIENCE_MS;
    }
    (void)pthread_mutex_unlock(&companion->lock);
    if (again_ms <= clock_now_ms()) {
        (void)add_thread(companion);
        again_ms = clock_now_ms() + COMPANION_PATIENCE_MS;
    }
    if (companion->thread_count < COMPANION_THREADS_MAX)
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
    made->last = &made->first;
    (void)pthread_mutex_init(&made->lock, NULL);
    (void)pthread_cond_init(&made->wake, NULL);
    enum afar_status status = timer_attach(timers_of(made), &made->patience, patience_over, err);
    if (status != AFAR_OK) {
        companion_stop(made);
        return status;
    }
    int failed = add_thread(made);
    if (failed != 0) {
        companion_stop(made);
        return afar_fail_errno(err, failed, "cannot start a thread");
    }
    *companion = made;
    return AFAR_OK;
}

void companion_stop(struct companion *companion)
{
    if (companion == NULL)
        return;
    (void)pthread_mutex_lock(&companion->lock);
    companion->stopping = true;
    (void)pthread_cond_broadcast(&companion->wake);
    (void)pthread_mutex_unlock(&companion->lock);
    for (unsigned i = 0; i < companion->thread_count; i++)
        (void)pthread_join(companion->threads[i], NULL);
    if (companion->patience.fire != NULL)
        timer_detach(timers_of(companion), &companion->patience);
    (void)pthread_cond_destroy(&companion->wake);
    (void)pthread_mutex_destroy(&companion->lock);
    free(companion);
}

void companion_post(struct companion *companion, struct task *task)
{
    task->next = NULL;
    task->posted_ms = clock_now_ms();
    (void)pthread_mutex_lock(&companion->lock);
    *companion->last = task;
    companion->last = &task->next;
    bool waits = companion->idle == 0 || companion->first != task;
    (void)pthread_cond_signal(&companion->wake);
    (void)pthread_mutex_unlock(&companion->lock);
    if (waits && companion->patience.deadline_ms == DEADLINE_NEVER &&
        companion->thread_count < COMPANION_THREADS_MAX)
        timer_arm(timers_of(companion), &companion->patience,
                  task->posted_ms + COMPANION_PATIENCE_MS);
}
