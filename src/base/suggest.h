/* Finds the word that a misspelt word may mean.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  never.
 * Limits:  SUGGEST_MAX_BYTES: longer words are not compared. */
#ifndef BASE_SUGGEST_H
#define BASE_SUGGEST_H

#include <stddef.h>

enum { SUGGEST_MAX_BYTES = 32 };

/* The best of several candidates so far. */
struct suggestion {
    const char *word; /* NULL: none is similar */
    unsigned wrong;   /* how many letters differ */
};

/* Compares one more candidate (borrowed). Start with {0}. */
void suggest(struct suggestion *best, const char *written, const char *candidate);

#endif
