#include "server/partials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct partial {
    struct list by_file;
    struct list by_job;
    struct file_key file;
    const struct partials_of *of;
};

void partials_init(struct partials *partials)
{
    (void)pthread_mutex_init(&partials->lock, NULL);
    for (size_t i = 0; i < PARTIALS_BUCKETS; i++)
        list_init(&partials->buckets[i]);
}

void partials_close(struct partials *partials)
{
    (void)pthread_mutex_destroy(&partials->lock);
}

void partials_begin(struct partials_of *of, const char *job)
{
    list_init(&of->list);
    of->count = 0;
    (void)snprintf(of->job, sizeof of->job, "%s", job);
}

static struct list *bucket_of(struct partials *partials, const struct file_key *file)
{
    return &partials->buckets[file->inode % PARTIALS_BUCKETS];
}

/* With the lock held. `of`: only a file of this job (NULL: of any); `but`: not one of this job. */
static struct partial *find(struct partials *partials, const struct file_key *file,
                            const struct partials_of *of, const struct partials_of *but)
{
    const struct list *head = bucket_of(partials, file);
    for (struct list *link = head->next; link != head; link = link->next) {
        struct partial *at = list_object(link, struct partial, by_file);
        bool is_it = at->file.inode == file->inode && at->file.device == file->device;
        if (is_it && (of == NULL || at->of == of) && at->of != but)
            return at;
    }
    return NULL;
}

/* With the lock held. */
static void drop(struct partials_of *of, struct partial *partial)
{
    list_remove(&partial->by_file);
    list_remove(&partial->by_job);
    of->count--;
    free(partial);
}

void partials_hold(struct partials *partials, struct partials_of *of, const struct file_key *file)
{
    if (of->count >= PARTIALS_PER_JOB)
        return;
    struct partial *made = calloc(1, sizeof *made);
    if (made == NULL)
        return;
    made->file = *file;
    made->of = of;
    (void)pthread_mutex_lock(&partials->lock);
    list_append(bucket_of(partials, file), &made->by_file);
    list_append(&of->list, &made->by_job);
    of->count++;
    (void)pthread_mutex_unlock(&partials->lock);
}

void partials_let_go(struct partials *partials, struct partials_of *of, const struct file_key *file)
{
    (void)pthread_mutex_lock(&partials->lock);
    struct partial *found = find(partials, file, of, NULL);
    if (found != NULL)
        drop(of, found);
    (void)pthread_mutex_unlock(&partials->lock);
}

void partials_leave(struct partials *partials, struct partials_of *of)
{
    if (of->count == 0)
        return;
    (void)pthread_mutex_lock(&partials->lock);
    while (!list_empty(&of->list))
        drop(of, list_object(of->list.next, struct partial, by_job));
    (void)pthread_mutex_unlock(&partials->lock);
}

bool partials_find(struct partials *partials, const struct partials_of *asker,
                   const struct file_key *file, char job[MESSAGE_JOB_ID_BYTES])
{
    (void)pthread_mutex_lock(&partials->lock);
    const struct partial *found = find(partials, file, NULL, asker);
    if (found != NULL)
        memcpy(job, found->of->job, sizeof found->of->job);
    (void)pthread_mutex_unlock(&partials->lock);
    return found != NULL;
}
