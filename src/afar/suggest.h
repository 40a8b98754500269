/* The word that somebody may have meant.
 *
 * Owns nothing; one thread; never blocks.
 * Limits:  SUGGEST_MAX_BYTES: longer words resemble nothing. */
#ifndef AFAR_SUGGEST_H
#define AFAR_SUGGEST_H

#include <stddef.h>

enum { SUGGEST_MAX_BYTES = 32 };

/* The best of several candidates so far. */
struct suggestion {
    const char *word; /* NULL: none resembles it */
    unsigned wrong;   /* letters that would have to be changed */
};

/* Looks at one more candidate (borrowed). Start with {0}. */
void suggest(struct suggestion *best, const char *written, const char *candidate);

#endif
