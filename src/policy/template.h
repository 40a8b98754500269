/* `command =` of a rule: words, of which "*" matches any one word and "**", as the last, any number
 * of words.
 *
 *     command = /usr/bin/systemctl restart "my service"
 *     command = /usr/bin/git fetch *
 *
 * The words are compared byte by byte with the program's argv: no shell is involved, so the client
 * cannot change their meaning by quoting.
 *
 * Owns:    its words.
 * Threads: read-only once parsed; then any.
 * Blocks:  never.
 * Limits:  a line of the configuration. */
#ifndef POLICY_TEMPLATE_H
#define POLICY_TEMPLATE_H

#include <stdbool.h>

#include "policy/words.h"

struct template
{
    struct words words; /* without the "**" */
    bool *any;          /* for each word: it is an unquoted "*", which matches any word */
    bool rest;          /* "**": any words may follow */
};

/* Words are separated by blanks; a word with blanks, quotes, backslashes or literal stars must
 * stand in "…", where \" and \\ are the only escapes. AFAR_EINVAL: no words, an unfinished quote, a
 * star as a part of a word, or a "**" that is not the last. AFAR_ENOMEM. Call template_close in any
 * case. */
enum afar_status template_parse(struct template *template, const char *text,
                                struct afar_error *err);
void template_close(struct template *template);

/* Splits `text` in the same way, with stars as ordinary characters, and adds the words to `words`.
 * AFAR_EINVAL, AFAR_ENOMEM: the words before the error were added. */
enum afar_status template_split(struct words *words, const char *text, struct afar_error *err);

/* Whether the words after the first match. The caller compares the first, the program. */
bool template_match_arguments(const struct template *template, char *const *argv);

/* Whether the first word is "*" or "**": any program. */
bool template_any_program(const struct template *template);

#endif
