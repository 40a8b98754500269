/* Pseudo-random numbers: the same for the same seed.
 *
 * Owns:    nothing.
 * Threads: one owner.
 * Blocks:  never.
 * Limits:  not for secrets. */
#ifndef SUPPORT_SEEDED_H
#define SUPPORT_SEEDED_H

#include <stddef.h>
#include <stdint.h>

struct seeded {
    uint64_t state; /* at first the seed */
};

uint64_t seeded_next(struct seeded *seeded);

/* 0 to below - 1. */
unsigned seeded_below(struct seeded *seeded, unsigned below);

/* 1 to most; each order of magnitude is equally likely. `most` must be a power of two. */
unsigned seeded_size(struct seeded *seeded, unsigned most);

void seeded_fill(struct seeded *seeded, void *data, size_t size);

#endif
