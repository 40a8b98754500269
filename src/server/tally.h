/* How many there are of each name: connections by address, jobs by identity.
 *
 * Owns:    an entry for each name that is counted at all; a name is copied.
 * Threads: one at a time; the owner locks.
 * Blocks:  never.
 * Limits:  none of its own: an entry lives while something holds it, and what may hold it is
 *          limited. Names of up to TALLY_NAME_BYTES. */
#ifndef SERVER_TALLY_H
#define SERVER_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

enum { TALLY_BUCKETS = 1024, TALLY_NAME_BYTES = 512 };

struct tally {
    struct list buckets[TALLY_BUCKETS];
};

struct tally_entry {
    struct list link;
    size_t count;  /* as many as hold it; the owner reads it under its lock */
    size_t places; /* the owner's own, 0 in the beginning … */
    size_t spawns; /* … likewise … */
    struct list members;
    struct list rank; /* … as these two, which are empty */
    size_t size;
    uint8_t name[];
};

void tally_init(struct tally *tally);

/* All must have been dropped. */
void tally_close(struct tally *tally);

/* NULL: nothing holds the name. */
struct tally_entry *tally_find(const struct tally *tally, const void *name, size_t size);

/* The number of those that hold the name now. */
size_t tally_count(const struct tally *tally, const void *name, size_t size);

/* Counts one more. NULL: out of memory, or the name is too long. */
struct tally_entry *tally_hold(struct tally *tally, const void *name, size_t size);

/* One fewer; the last takes the entry with it. NULL is fine. */
void tally_drop(struct tally_entry *entry);

#endif
