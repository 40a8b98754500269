#include "server/tally.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void tally_init(struct tally *tally)
{
    for (size_t i = 0; i < TALLY_BUCKETS; i++)
        list_init(&tally->buckets[i]);
}

void tally_close(struct tally *tally)
{
    for (size_t i = 0; i < TALLY_BUCKETS; i++)
        assert(list_empty(&tally->buckets[i]));
}

/* FNV-1a. With names chosen to collide, a client slows down itself and others in its bucket by a
 * walk over at most as many entries as the limits allow it. */
static size_t bucket_of(const void *name, size_t size)
{
    const uint8_t *bytes = name;
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT32_C(16777619);
    return hash % TALLY_BUCKETS;
}

struct tally_entry *tally_find(const struct tally *tally, const void *name, size_t size)
{
    const struct list *head = &tally->buckets[bucket_of(name, size)];
    for (struct list *link = head->next; link != head; link = link->next) {
        struct tally_entry *entry = list_object(link, struct tally_entry, link);
        if (entry->size == size && memcmp(entry->name, name, size) == 0)
            return entry;
    }
    return NULL;
}

size_t tally_count(const struct tally *tally, const void *name, size_t size)
{
    const struct tally_entry *entry = tally_find(tally, name, size);
    return entry == NULL ? 0 : entry->count;
}

struct tally_entry *tally_hold(struct tally *tally, const void *name, size_t size)
{
    if (size > TALLY_NAME_BYTES)
        return NULL;
    struct tally_entry *entry = tally_find(tally, name, size);
    if (entry == NULL) {
        entry = malloc(sizeof *entry + size);
        if (entry == NULL)
            return NULL;
        entry->count = entry->places = entry->spawns = 0;
        entry->size = size;
        list_init(&entry->members);
        list_init(&entry->rank);
        memcpy(entry->name, name, size);
        list_append(&tally->buckets[bucket_of(name, size)], &entry->link);
    }
    entry->count++;
    return entry;
}

void tally_drop(struct tally_entry *entry)
{
    if (entry == NULL)
        return;
    assert(entry->count > 0);
    entry->count--;
    if (entry->count > 0)
        return;
    list_remove(&entry->link);
    free(entry);
}
