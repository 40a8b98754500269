/* A list of strings that grows.
 *
 * Owns:    its strings and the array.
 * Threads: a value of one thread; read-only by any number.
 * Blocks:  never.
 * Limits:  memory. */
#ifndef POLICY_WORDS_H
#define POLICY_WORDS_H

#include <stddef.h>

#include "base/error.h"

struct words {
    char **at; /* NULL-terminated; NULL where there is none */
    size_t count;
};

void words_close(struct words *words);

/* Adds a copy of the first `size` bytes of `text`. AFAR_ENOMEM: nothing was added. */
enum afar_status words_add(struct words *words, const char *text, size_t size,
                           struct afar_error *err);

/* One word for a shell that reads "a 'b c' d" again as these words. *text is the caller's (free).
 * AFAR_ENOMEM. */
enum afar_status words_quote(char *const *words, char **text, struct afar_error *err);

#endif
