/* Counts the processes that commands have left running (`leave`): how many, whose, and in which
 * cgroups.
 *
 * They are counted when their command ends: processes that they start later are not, nor those that
 * a previous server allowed to stay.
 *
 * Owns:    its list. No descriptor is kept: a process is identified by pid and start time.
 * Threads: any; one mutex.
 * Blocks:  never, but reads /proc once for each process that it knows: left_count always,
 *          left_settle once a second at most or to make room.
 * Limits:  left_max, left_per_identity. */
#ifndef SERVER_LEFT_H
#define SERVER_LEFT_H

#include <stddef.h>

#include "exec/cgroup.h"
#include "exec/family.h"
#include "policy/config.h"
#include "stats/counters.h"

struct left;

/* Whose processes they are. */
struct left_job {
    const char *owner;
    const char *job;               /* its id */
    const struct cgroups *cgroups; /* *kept*; NULL: no cgroup. The job's cgroup is removed when
                                      the last of them has ended */
};

/* Free with left_free. NULL: out of memory. */
struct left *left_new(const struct config *config);
void left_free(struct left *left);

/* Uses these limits from now on; processes that are there stay. */
void left_set_limits(struct left *left, const struct config *config);

/* Returns how many of `members` may stay, counted from the first. Those are counted now, instead of
 * any that this job had before. If not all may stay (also: out of memory), *limit is the limit and
 * *most its value. */
size_t left_settle(struct left *left, const struct left_job *whose,
                   const struct family_member *members, size_t count, enum counter *limit,
                   uint64_t *most);

/* How many there are now. */
size_t left_count(struct left *left);

#endif
