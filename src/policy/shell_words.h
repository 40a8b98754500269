/* Shell lines that can be run without a shell, as they contain only words and quotes.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  memory. Reserved words and builtins of the shell are not recognized. */
#ifndef POLICY_SHELL_WORDS_H
#define POLICY_SHELL_WORDS_H

#include <stdbool.h>

#include "policy/words.h"

/* Splits a line into words as sh(1) would, if it has only words, '…', "…" and backslashes: no
 * variable, substitution, operator, pattern, tilde, comment, assignment or newline. *simple:
 * whether that is so; if not, there are no words. The caller frees the words with words_close.
 * AFAR_ENOMEM. */
enum afar_status shell_words_split(const char *line, struct words *words, bool *simple,
                                   struct afar_error *err);

#endif
