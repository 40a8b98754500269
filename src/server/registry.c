#include "server/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "exec/process.h"

enum { BUCKETS = 1024 };

struct registry {
    pthread_mutex_t lock;
    size_t max_jobs;
    size_t count;                 /* guarded by lock */
    struct list buckets[BUCKETS]; /* guarded by lock */
};

struct registry *registry_new(size_t max_jobs)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (registry == NULL)
        return NULL;
    (void)pthread_mutex_init(&registry->lock, NULL);
    registry->max_jobs = max_jobs;
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&registry->buckets[i]);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL)
        return;
    (void)pthread_mutex_destroy(&registry->lock);
    free(registry);
}

/* Ids are random, so any of their digits do; those of a request may be anything. */
static struct list *bucket_of(struct registry *registry, const char *id)
{
    size_t hash = 0;
    for (size_t i = 0; i < 4 && id[i] != '\0'; i++)
        hash = hash * 31 + (unsigned char)id[i];
    return &registry->buckets[hash % BUCKETS];
}

enum afar_status registry_add(struct registry *registry, struct registry_entry *entry,
                              struct afar_error *err)
{
    enum afar_status status = random_hex(entry->id, (MESSAGE_JOB_ID_BYTES - 1) / 2, err);
    if (status != AFAR_OK)
        return status;
    entry->leader = 0;
    entry->killed = false;
    (void)pthread_mutex_lock(&registry->lock);
    if (registry->count < registry->max_jobs) {
        registry->count++;
        list_append(bucket_of(registry, entry->id), &entry->link);
    } else {
        status = AFAR_ELIMIT;
    }
    (void)pthread_mutex_unlock(&registry->lock);
    if (status != AFAR_OK)
        return afar_fail(err, status, "%zu jobs are running, which is the limit (max_jobs)",
                         registry->max_jobs);
    return AFAR_OK;
}

void registry_set_leader(struct registry *registry, struct registry_entry *entry, pid_t leader)
{
    (void)pthread_mutex_lock(&registry->lock);
    entry->leader = leader;
    (void)pthread_mutex_unlock(&registry->lock);
}

bool registry_clear_leader(struct registry *registry, struct registry_entry *entry)
{
    (void)pthread_mutex_lock(&registry->lock);
    entry->leader = 0;
    bool killed = entry->killed;
    (void)pthread_mutex_unlock(&registry->lock);
    return killed;
}

void registry_remove(struct registry *registry, struct registry_entry *entry)
{
    (void)pthread_mutex_lock(&registry->lock);
    list_remove(&entry->link);
    registry->count--;
    (void)pthread_mutex_unlock(&registry->lock);
}

bool registry_signal(struct registry *registry, const char *id, int number)
{
    bool found = false;
    (void)pthread_mutex_lock(&registry->lock);
    const struct list *head = bucket_of(registry, id);
    for (struct list *link = head->next; link != head && !found; link = link->next) {
        struct registry_entry *entry = list_object(link, struct registry_entry, link);
        if (strcmp(entry->id, id) == 0 && entry->leader > 0) {
            /* Under the lock: the leader cannot be reaped meanwhile. */
            found = process_signal_group(entry->leader, number);
            entry->killed = entry->killed || found;
        }
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return found;
}

size_t registry_count(struct registry *registry)
{
    (void)pthread_mutex_lock(&registry->lock);
    size_t count = registry->count;
    (void)pthread_mutex_unlock(&registry->lock);
    return count;
}
