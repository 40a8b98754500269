/* What a rule says a command may look like: words, of which "*" stands for any one and "**", as the
 * last, for any rest.
 *
 *     command = /usr/bin/systemctl restart "my service"
 *     command = /usr/bin/git fetch *
 *
 * The words are compared byte by byte with what the program will get as its argv: there is no shell
 * between, and so nothing that quoting could change.
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
    struct words words; /* a "*" or "**" that stands for itself was quoted: see `any` */
    bool *any;          /* of each word: stands for any one */
    bool rest;          /* any words may follow */
};

/* Words are separated by blanks; one with blanks, quotes or stars in it stands in "…", where \" and
 * \\ are the only escapes. AFAR_EINVAL: an unfinished quote, a star that is a part of a word, a
 * "**" that is not the last. AFAR_ENOMEM. template_close in any case. */
enum afar_status template_parse(struct template *template, const char *text,
                                struct afar_error *err);
void template_close(struct template *template);

/* The same without stars: a list of words. AFAR_EINVAL, AFAR_ENOMEM; what was added stays. */
enum afar_status template_split(struct words *words, const char *text, struct afar_error *err);

/* Whether the words after the first are as it says. What program the first one means is for the
 * caller to find out. */
bool template_match_arguments(const struct template *template, char *const *argv);

/* Whether the first word may be any program. */
bool template_any_program(const struct template *template);

#endif
