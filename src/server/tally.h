/* Counts by name: connections by address, jobs by identity.
 *
 * Owns:    an entry for each name whose count is not 0; a name is copied.
 * Threads: one at a time; the owner locks.
 * Blocks:  never.
 * Limits:  none of its own: an entry lives while something holds it, and the owner limits what may
 *          hold it. Names of up to TALLY_NAME_BYTES. */
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
    size_t count;  /* the number of holders */
    size_t places; /* for the owner's use, at first 0 … */
    size_t spawns; /* … likewise … */
    struct list members;
    struct list rank; /* … as these two, at first empty */
    size_t size;
    uint8_t name[];
};

void tally_init(struct tally *tally);

/* All entries must have been dropped. */
void tally_close(struct tally *tally);

/* The entry of a name. NULL: nothing holds it. */
struct tally_entry *tally_find(const struct tally *tally, const void *name, size_t size);

/* How many hold the name now. */
size_t tally_count(const struct tally *tally, const void *name, size_t size);

/* Counts one more holder of the name. Give back with tally_drop. NULL: out of memory, or the name
 * is too long. */
struct tally_entry *tally_hold(struct tally *tally, const void *name, size_t size);

/* Counts one holder less; the last one frees the entry. NULL is fine. */
void tally_drop(struct tally_entry *entry);

#endif
