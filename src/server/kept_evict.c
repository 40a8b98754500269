/* Removes what is left of ended kept jobs in time: first the output, later the name and receipt. */
#include <string.h>
#include <unistd.h>

#include "server/kept_internal.h"

enum { AT_ONCE = 256 };

static struct kept_entry *entry_at(struct list *link)
{
    return list_object(link, struct kept_entry, link);
}

/* ---- how much there is ----------------------------------------------------------------------- */

uint64_t kept_output_locked(const struct kept *kept, uint64_t *live)
{
    uint64_t all = 0;
    *live = 0;
    for (const struct list *link = kept->entries.next; link != &kept->entries; link = link->next) {
        const struct kept_entry *entry = list_object(link, const struct kept_entry, link);
        if (!entry->measured)
            continue;
        all += entry->output_bytes;
        *live += entry->state == KEPT_ENDED ? 0 : entry->output_bytes;
    }
    return all;
}

/* Up to AT_ONCE jobs that are still to be measured in this round. */
static size_t take_some(struct kept *kept, unsigned round, char (*jobs)[MESSAGE_JOB_ID_BYTES])
{
    size_t count = 0;
    (void)pthread_mutex_lock(&kept->lock);
    for (struct list *link = kept->entries.next; link != &kept->entries && count < AT_ONCE;
         link = link->next) {
        struct kept_entry *entry = entry_at(link);
        if (entry->state == KEPT_STARTING || (entry->state == KEPT_ENDED && entry->measured) ||
            entry->round == round)
            continue;
        entry->round = round;
        memcpy(jobs[count++], entry->request.job, MESSAGE_JOB_ID_BYTES);
    }
    (void)pthread_mutex_unlock(&kept->lock);
    return count;
}

void kept_measure(struct kept *kept, const char *job)
{
    int fd = -1;
    uint64_t bytes = 0;
    if (jobdir_open(kept->jobs_fd, job, &fd, NULL) == AFAR_OK) {
        bytes = jobdir_output_bytes(fd);
        (void)close(fd);
    }
    (void)pthread_mutex_lock(&kept->lock);
    struct kept_entry *entry = kept_entry_locked(kept, job);
    if (entry != NULL) {
        entry->measured = true;
        entry->output_bytes = bytes;
    }
    (void)pthread_mutex_unlock(&kept->lock);
}

void kept_measure_all(struct kept *kept, unsigned round)
{
    char jobs[AT_ONCE][MESSAGE_JOB_ID_BYTES];
    size_t count = 0;
    while ((count = take_some(kept, round, jobs)) > 0) {
        for (size_t i = 0; i < count; i++)
            kept_measure(kept, jobs[i]);
    }
}

/* ---- places ---------------------------------------------------------------------------------- */

static bool has_place(const struct kept_entry *entry, const char *owner)
{
    return !entry->condemned && (owner == NULL || strcmp(entry->request.owner, owner) == 0);
}

size_t kept_places_locked(const struct kept *kept, const char *owner)
{
    size_t count = 0;
    for (const struct list *link = kept->entries.next; link != &kept->entries; link = link->next)
        count += has_place(list_object(link, const struct kept_entry, link), owner);
    return count;
}

bool kept_make_room_locked(struct kept *kept, const char *owner)
{
    struct kept_entry *oldest = NULL;
    for (struct list *link = kept->entries.next; link != &kept->entries; link = link->next) {
        struct kept_entry *entry = entry_at(link);
        if (entry->state == KEPT_ENDED && entry->request.key[0] == '\0' &&
            has_place(entry, owner) && (oldest == NULL || entry->ended_us < oldest->ended_us))
            oldest = entry;
    }
    if (oldest == NULL)
        return false;
    oldest->condemned = true;
    atomic_store(&kept->makes_room, true);
    return true;
}

/* ---- what goes ------------------------------------------------------------------------------- */

enum what { NOTHING, OUTPUT, ALL };

/* By the entry's age. One that has ended "in the future", as the clock was set, stays. */
static enum what is_old(const struct kept *kept, const struct kept_entry *entry, uint64_t now_us)
{
    const bool named = entry->request.key[0] != '\0' && kept->key_ms > kept->keep_ms;
    if (entry->condemned)
        return ALL;
    if (now_us <= entry->ended_us)
        return NOTHING;
    const uint64_t age_ms = (now_us - entry->ended_us) / 1000;
    if (age_ms > (named ? kept->key_ms : kept->keep_ms))
        return ALL;
    return age_ms > kept->keep_ms && (!entry->measured || entry->output_bytes > 0) ? OUTPUT
                                                                                   : NOTHING;
}

/* Finds an entry that is too old, or else the oldest output if there is too much in all. */
static enum what find_old(struct kept *kept, uint64_t now_us, char job[MESSAGE_JOB_ID_BYTES])
{
    const struct kept_entry *oldest = NULL;
    enum what what = NOTHING;
    uint64_t live = 0;
    (void)pthread_mutex_lock(&kept->lock);
    for (struct list *link = kept->entries.next; link != &kept->entries && what == NOTHING;
         link = link->next) {
        const struct kept_entry *entry = entry_at(link);
        if (entry->state != KEPT_ENDED)
            continue;
        what = is_old(kept, entry, now_us);
        const bool has = entry->measured && entry->output_bytes > 0;
        if (what != NOTHING || (has && (oldest == NULL || entry->ended_us < oldest->ended_us)))
            oldest = entry;
    }
    if (what == NOTHING && oldest != NULL && kept_output_locked(kept, &live) > kept->keep_bytes)
        what = OUTPUT;
    if (what != NOTHING && oldest != NULL)
        memcpy(job, oldest->request.job, MESSAGE_JOB_ID_BYTES);
    (void)pthread_mutex_unlock(&kept->lock);
    return what;
}

static void remove_output(struct kept *kept, const char *job)
{
    int fd = -1;
    if (jobdir_open(kept->jobs_fd, job, &fd, NULL) == AFAR_OK) {
        jobdir_remove_output(fd);
        (void)close(fd);
    }
    (void)pthread_mutex_lock(&kept->lock);
    struct kept_entry *entry = kept_entry_locked(kept, job);
    if (entry != NULL) { /* also if it could not be removed: do not try for ever */
        entry->measured = true;
        entry->output_bytes = 0;
    }
    (void)pthread_mutex_unlock(&kept->lock);
}

void kept_evict(struct kept *kept)
{
    char job[MESSAGE_JOB_ID_BYTES];
    const uint64_t now_us = jobdir_now_us();
    enum what what = NOTHING;
    while ((what = find_old(kept, now_us, job)) != NOTHING) {
        if (what == OUTPUT) {
            remove_output(kept, job);
            continue;
        }
        const enum afar_status status = kept_forget(kept, job, NULL);
        if (status != AFAR_OK && status != AFAR_EINVAL)
            return;
    }
}
