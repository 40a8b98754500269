#include "server/companion.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct companion {
    struct mailbox *mailbox;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct task *first; /* guarded by lock */
    struct task **last; /* guarded by lock */
    bool stopping;      /* guarded by lock */
};

/* Waits for a task. NULL: told to stop, and nothing is left. */
static struct task *next_task(struct companion *companion)
{
    (void)pthread_mutex_lock(&companion->lock);
    while (companion->first == NULL && !companion->stopping)
        (void)pthread_cond_wait(&companion->wake, &companion->lock);
    struct task *task = companion->first;
    if (task != NULL) {
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
    int failed = pthread_create(&made->thread, NULL, companion_main, made);
    if (failed != 0) {
        (void)pthread_cond_destroy(&made->wake);
        (void)pthread_mutex_destroy(&made->lock);
        free(made);
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
    (void)pthread_cond_signal(&companion->wake);
    (void)pthread_mutex_unlock(&companion->lock);
    (void)pthread_join(companion->thread, NULL);
    (void)pthread_cond_destroy(&companion->wake);
    (void)pthread_mutex_destroy(&companion->lock);
    free(companion);
}

void companion_post(struct companion *companion, struct task *task)
{
    task->next = NULL;
    (void)pthread_mutex_lock(&companion->lock);
    *companion->last = task;
    companion->last = &task->next;
    (void)pthread_cond_signal(&companion->wake);
    (void)pthread_mutex_unlock(&companion->lock);
}
