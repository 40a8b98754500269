/* The processes that commands have left running (`leave`): how many there are, of whom, and which
 * cgroups they are in.
 *
 * They are counted when their command ends: what they start later is not, and what another server
 * has let stay neither.
 *
 * Owns:    its list. No descriptor is kept: a process is named by pid and time of birth.
 * Threads: any.
 * Blocks:  never; looks into /proc for as many as there are, once a second at most or where that
 *          makes room.
 * Limits:  left_max, left_per_identity. */
#ifndef SERVER_LEFT_H
#define SERVER_LEFT_H

#include <stddef.h>

#include "exec/cgroup.h"
#include "exec/family.h"
#include "policy/config.h"
#include "stats/counters.h"

struct left;

/* Whose they are. */
struct left_job {
    const char *owner;
    const char *job;               /* its id */
    const struct cgroups *cgroups; /* *kept*; NULL: it has no cgroup. With one, that is removed when
                                      the last of them has ended */
};

/* NULL: out of memory. */
struct left *left_new(const struct config *config);
void left_free(struct left *left);

/* From now on; who is there stays. */
void left_set_limits(struct left *left, const struct config *config);

/* How many of these may stay, the first ones; they are counted, and those that this job had before
 * no more. Where that is not all, *limit says why not, and *most how many there may be. */
size_t left_settle(struct left *left, const struct left_job *whose,
                   const struct family_member *members, size_t count, enum counter *limit,
                   uint64_t *most);

/* How many there are now. */
size_t left_count(struct left *left);

#endif
