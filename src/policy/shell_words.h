/* Shell lines that mean the same without a shell: words, and quotes around them.
 *
 * Owns nothing; any thread; never blocks. */
#ifndef POLICY_SHELL_WORDS_H
#define POLICY_SHELL_WORDS_H

#include <stdbool.h>

#include "policy/words.h"

/* Splits a line into the words that sh(1) would run, if it is made of words, '…', "…" and
 * backslashes alone: no variable, substitution, operator, pattern, tilde, comment, assignment or
 * newline. *simple false: it is not, and there are no words. AFAR_ENOMEM. The words are the
 * caller's (words_close). */
enum afar_status shell_words_split(const char *line, struct words *words, bool *simple,
                                   struct afar_error *err);

#endif
