#include "server/left.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "exec/proc.h"
#include "server/tally.h"
#include "wire/message.h"

/* How often processes that have ended are removed from the list. */
enum { PRUNE_MS = 1000 };

/* The processes that one job has left. */
struct group {
    struct list link;
    struct tally_entry *owner; /* held once for each member */
    const struct cgroups *cgroups;
    char job[MESSAGE_JOB_ID_BYTES];
    size_t count;
    struct family_member members[];
};

struct left {
    pthread_mutex_t lock; /* guards all that follows */
    uint64_t left_max;
    uint64_t left_per_identity; /* 0: no limit */
    size_t count;
    struct list groups;
    struct tally owners;
    int64_t pruned_ms;
};

struct left *left_new(const struct config *config)
{
    struct left *left = calloc(1, sizeof *left);
    if (left == NULL)
        return NULL;
    (void)pthread_mutex_init(&left->lock, NULL);
    list_init(&left->groups);
    tally_init(&left->owners);
    left_set_limits(left, config);
    return left;
}

void left_set_limits(struct left *left, const struct config *config)
{
    (void)pthread_mutex_lock(&left->lock);
    left->left_max = config->left_max;
    left->left_per_identity = config->left_per_identity;
    (void)pthread_mutex_unlock(&left->lock);
}

/* The following need the lock. */

static void drop_member(struct left *left, struct group *group, size_t at)
{
    group->members[at] = group->members[--group->count];
    tally_drop(group->owner);
    left->count--;
}

static void forget(struct left *left, struct group *group)
{
    while (group->count > 0)
        drop_member(left, group, 0);
    list_remove(&group->link);
    free(group);
}

static bool is_there(const struct family_member *member)
{
    struct proc_stat stat;
    return proc_read_stat(member->pid, &stat) && stat.start == member->start && !stat.dead;
}

/* If a child of theirs still runs in the cgroup, it cannot be removed yet: next time. */
static bool is_over(const struct group *group)
{
    return group->count == 0 &&
           (group->cgroups == NULL || cgroup_remove(group->cgroups, group->job));
}

static void prune(struct left *left)
{
    struct list *link = left->groups.next;
    while (link != &left->groups) {
        struct group *group = list_object(link, struct group, link);
        link = link->next;
        for (size_t i = group->count; i > 0; i--) {
            if (!is_there(&group->members[i - 1]))
                drop_member(left, group, i - 1);
        }
        if (is_over(group))
            forget(left, group);
    }
    left->pruned_ms = clock_now_ms();
}

static void forget_job(struct left *left, const char *job)
{
    struct list *link = left->groups.next;
    while (link != &left->groups) {
        struct group *group = list_object(link, struct group, link);
        link = link->next;
        if (strcmp(group->job, job) == 0)
            forget(left, group);
    }
}

/* How many more processes of `owner` there may be. */
static size_t room_for(const struct left *left, const char *owner, enum counter *limit,
                       uint64_t *most)
{
    size_t theirs = tally_count(&left->owners, owner, strlen(owner));
    uint64_t all = left->count < left->left_max ? left->left_max - left->count : 0;
    uint64_t own = all;
    *limit = COUNTER_LEFT_MAX;
    *most = left->left_max;
    if (left->left_per_identity > 0)
        own = theirs < left->left_per_identity ? left->left_per_identity - theirs : 0;
    if (own < all) {
        *limit = COUNTER_LEFT_PER_IDENTITY;
        *most = left->left_per_identity;
    }
    return (size_t)(own < all ? own : all);
}

/* Enters the processes. Returns how many: fewer than `count` if memory is short. */
static size_t enter(struct left *left, const struct left_job *whose,
                    const struct family_member *members, size_t count)
{
    if (count == 0)
        return 0;
    struct group *group = calloc(1, sizeof *group + count * sizeof *members);
    if (group == NULL)
        return 0;
    (void)snprintf(group->job, sizeof group->job, "%s", whose->job);
    group->cgroups = whose->cgroups;
    while (group->count < count) {
        struct tally_entry *held = tally_hold(&left->owners, whose->owner, strlen(whose->owner));
        if (held == NULL)
            break;
        group->owner = held;
        group->members[group->count] = members[group->count];
        group->count++;
    }
    if (group->count == 0) {
        free(group);
        return 0;
    }
    list_append(&left->groups, &group->link);
    left->count += group->count;
    return group->count;
}

/* ---- for all --------------------------------------------------------------------------------- */

size_t left_settle(struct left *left, const struct left_job *whose,
                   const struct family_member *members, size_t count, enum counter *limit,
                   uint64_t *most)
{
    (void)pthread_mutex_lock(&left->lock);
    forget_job(left, whose->job);
    size_t room = room_for(left, whose->owner, limit, most);
    if (room < count || clock_now_ms() - left->pruned_ms >= PRUNE_MS) {
        prune(left);
        room = room_for(left, whose->owner, limit, most);
    }
    size_t entered = enter(left, whose, members, room < count ? room : count);
    (void)pthread_mutex_unlock(&left->lock);
    return entered;
}

size_t left_count(struct left *left)
{
    (void)pthread_mutex_lock(&left->lock);
    prune(left);
    size_t count = left->count;
    (void)pthread_mutex_unlock(&left->lock);
    return count;
}

void left_free(struct left *left)
{
    if (left == NULL)
        return;
    for (struct list *link = left->groups.next, *next; link != &left->groups; link = next) {
        next = link->next;
        forget(left, list_object(link, struct group, link));
    }
    tally_close(&left->owners);
    (void)pthread_mutex_destroy(&left->lock);
    free(left);
}
