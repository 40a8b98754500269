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
    char **at; /* NULL-terminated; NULL if the list is empty */
    size_t count;
};

/* Frees all words; the list is empty then and can be used again. */
void words_close(struct words *words);

/* Adds a copy of the first `size` bytes of `text`. AFAR_ENOMEM: nothing was added. */
enum afar_status words_add(struct words *words, const char *text, size_t size,
                           struct afar_error *err);

/* Joins the words to a line that a shell splits into the same words: "a 'b c' d". The caller frees
 * *text. AFAR_ENOMEM. */
enum afar_status words_quote(char *const *words, char **text, struct afar_error *err);

#endif
