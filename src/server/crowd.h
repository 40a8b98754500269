/* Counts who holds how many of a limited number of places, to choose who makes room for a newcomer.
 * The members with one name are a group; the largest group makes room first, so that those with
 * many places cannot push out those with few.
 *
 * Owns:    a group for each name that has members; a name is copied. A member lies inside its
 *          object.
 * Threads: one at a time; the owner locks.
 * Blocks:  never. Joining costs one hash lookup, everything else a few instructions, however many
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
    struct list all;           /* in crowd->all, in the order of joining */
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

/* All members must have left. */
void crowd_close(struct crowd *crowd);

/* Adds a member, which must be all zero or have left. False: out of memory, or the name is too
 * long. */
bool crowd_join(struct crowd *crowd, struct crowd_member *member, const void *name, size_t size,
                int64_t now_ms);

/* Removes a member; does nothing if it is in no crowd. */
void crowd_leave(struct crowd *crowd, struct crowd_member *member);

size_t crowd_size_of(const struct crowd *crowd, const void *name, size_t size);

/* The oldest member of all, of the group `name`, and of one of the largest groups: the one that has
 * been that large for the longest time. NULL: there is none. */
struct crowd_member *crowd_oldest(const struct crowd *crowd);
struct crowd_member *crowd_oldest_of(const struct crowd *crowd, const void *name, size_t size);
struct crowd_member *crowd_oldest_of_largest(const struct crowd *crowd);

/* The newest member of the group that crowd_oldest_of_largest looks at; NULL: there is none. */
struct crowd_member *crowd_newest_of_largest(const struct crowd *crowd);

#endif
