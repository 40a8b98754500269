/* The keywords of ssh_config(5) that `afar ssh` knows, and their kinds.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef AFAR_SSH_KEYWORDS_H
#define AFAR_SSH_KEYWORDS_H

#include "afar/ssh/options.h"

enum ssh_kind {
    SSH_KIND_TEXT,   /* one value, taken as it is */
    SSH_KIND_YES_NO, /* one value, yes or no */
    SSH_KIND_NUMBER, /* one value, digits or "none" */
    SSH_KIND_TIME,   /* one value, as ssh_time_parse reads it, or "none" */
    SSH_KIND_PORT,   /* one value, 1 to 65535 */
    SSH_KIND_WORDS,  /* a list: each word of the value is an entry */
    SSH_KIND_LINE,   /* a list: the value is an entry */
    SSH_KIND_IGNORED /* accepted, does nothing */
};

struct ssh_keyword {
    const char *name; /* as in the manual */
    enum ssh_kind kind;
    unsigned which; /* enum ssh_value or enum ssh_list */
};

/* Finds a keyword, in upper or lower case. NULL: unknown. */
const struct ssh_keyword *ssh_keyword_find(const char *name, size_t length);

/* The name of a keyword that has one value; "": none. */
const char *ssh_keyword_name(enum ssh_value which);

#endif
