/* Who has how many of a limited number of places, so that it can be said who makes room for a
 * newcomer. The members with one name are a group; the largest group makes room first, so that
 * those who have many places cannot push out those who have few.
 *
 * Owns:    a group for each name that has members; a name is copied. A member lies inside its
 *          object.
 * Threads: one at a time; the owner locks.
 * Blocks:  never. Joining costs a look into a hash table, all else a few instructions, however many
 *          members there are.
 * Limits:  none of its own: the owner limits the members. Names as in tally.h. Groups of
 *          CROWD_RANKS and more members count as equally large. */
#ifndef SERVER_CROWD_H
#define SERVER_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/tally.h"

enum { CROWD_RANKS = 64 };

struct crowd_member {
    struct list all;           /* in the crowd, in the order of joining */
    struct list own;           /* in its group, likewise */
    struct tally_entry *group; /* NULL: in no crowd */
    int64_t since_ms;
};

struct crowd {
    struct tally groups;
    struct list all;
    struct list ranks[CROWD_RANKS]; /* the groups by size; the first has those of one member */
    size_t count;
};

void crowd_init(struct crowd *crowd);

/* All must have left. */
void crowd_close(struct crowd *crowd);

/* A member that is all zero, or has left, joins. False: out of memory, or the name is too long. */
bool crowd_join(struct crowd *crowd, struct crowd_member *member, const void *name, size_t size,
                int64_t now_ms);

/* One that is in no crowd may leave, too. */
void crowd_leave(struct crowd *crowd, struct crowd_member *member);

size_t crowd_size_of(const struct crowd *crowd, const void *name, size_t size);

/* Each NULL where there is none: the oldest member of all, of a group, and of one of the largest
 * groups (of these the one that has been so large for the longest time). */
struct crowd_member *crowd_oldest(const struct crowd *crowd);
struct crowd_member *crowd_oldest_of(const struct crowd *crowd, const void *name, size_t size);
struct crowd_member *crowd_oldest_of_largest(const struct crowd *crowd);

/* The same group's newest member. */
struct crowd_member *crowd_newest_of_largest(const struct crowd *crowd);

#endif
