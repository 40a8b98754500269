#include "support/seeded.h"

/* splitmix64, by Sebastiano Vigna: works with any seed, also 0, 1, 2, … */
uint64_t seeded_next(struct seeded *seeded)
{
    seeded->state += 0x9e3779b97f4a7c15U;
    uint64_t mixed = seeded->state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31);
}

unsigned seeded_below(struct seeded *seeded, unsigned below)
{
    return (unsigned)(seeded_next(seeded) % below);
}

unsigned seeded_size(struct seeded *seeded, unsigned most)
{
    unsigned bits = 0;
    while ((most >> (bits + 1)) != 0)
        bits++;
    unsigned scale = 1U << seeded_below(seeded, bits + 1);
    return 1 + seeded_below(seeded, scale);
}

void seeded_fill(struct seeded *seeded, void *data, size_t size)
{
    uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)seeded_next(seeded);
}
