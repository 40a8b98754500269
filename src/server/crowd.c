#include "server/crowd.h"

#include <assert.h>

void crowd_init(struct crowd *crowd)
{
    tally_init(&crowd->groups);
    list_init(&crowd->all);
    for (size_t i = 0; i < CROWD_RANKS; i++)
        list_init(&crowd->ranks[i]);
    crowd->count = 0;
}

void crowd_close(struct crowd *crowd)
{
    assert(crowd->count == 0);
    tally_close(&crowd->groups);
}

/* The rank of a group of that size, from 1 on; 0: an empty group, in no rank. */
static size_t rank_of(size_t size)
{
    return size < CROWD_RANKS ? size : CROWD_RANKS;
}

/* A group that stays in its rank keeps its place there. */
static void change_rank(struct crowd *crowd, struct tally_entry *group, size_t before, size_t after)
{
    before = rank_of(before);
    after = rank_of(after);
    if (before == after)
        return;
    list_remove(&group->rank);
    if (after > 0)
        list_append(&crowd->ranks[after - 1], &group->rank);
}

bool crowd_join(struct crowd *crowd, struct crowd_member *member, const void *name, size_t size,
                int64_t now_ms)
{
    assert(member->group == NULL);
    member->group = tally_hold(&crowd->groups, name, size);
    if (member->group == NULL)
        return false;
    member->since_ms = now_ms;
    list_append(&crowd->all, &member->all);
    list_append(&member->group->members, &member->own);
    crowd->count++;
    change_rank(crowd, member->group, member->group->count - 1, member->group->count);
    return true;
}

void crowd_leave(struct crowd *crowd, struct crowd_member *member)
{
    struct tally_entry *group = member->group;
    if (group == NULL)
        return;
    list_remove(&member->all);
    list_remove(&member->own);
    member->group = NULL;
    crowd->count--;
    change_rank(crowd, group, group->count, group->count - 1);
    tally_drop(group); /* frees the group if this was its last member */
}

size_t crowd_size_of(const struct crowd *crowd, const void *name, size_t size)
{
    return tally_count(&crowd->groups, name, size);
}

static struct crowd_member *by_all(const struct list *link)
{
    return list_object(link, struct crowd_member, all);
}

static struct crowd_member *by_own(const struct list *link)
{
    return list_object(link, struct crowd_member, own);
}

struct crowd_member *crowd_oldest(const struct crowd *crowd)
{
    return crowd->count == 0 ? NULL : by_all(crowd->all.next);
}

struct crowd_member *crowd_oldest_of(const struct crowd *crowd, const void *name, size_t size)
{
    const struct tally_entry *group = tally_find(&crowd->groups, name, size);
    return group == NULL ? NULL : by_own(group->members.next);
}

static const struct tally_entry *largest(const struct crowd *crowd)
{
    for (size_t i = CROWD_RANKS; i-- > 0;) {
        if (!list_empty(&crowd->ranks[i]))
            return list_object(crowd->ranks[i].next, struct tally_entry, rank);
    }
    return NULL;
}

struct crowd_member *crowd_oldest_of_largest(const struct crowd *crowd)
{
    const struct tally_entry *group = largest(crowd);
    return group == NULL ? NULL : by_own(group->members.next);
}

struct crowd_member *crowd_newest_of_largest(const struct crowd *crowd)
{
    const struct tally_entry *group = largest(crowd);
    return group == NULL ? NULL : by_own(group->members.previous);
}
