/* afard --explain: prints what the rules say about a command, without running it.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  on the file system, when it looks for the program.
 * Limits:  none of its own. */
#ifndef AFARD_EXPLAIN_H
#define AFARD_EXPLAIN_H

#include <stdbool.h>
#include <stdio.h>

#include "policy/config.h"

enum { EXPLAIN_NAMES_MAX = 64 };

struct explain_question {
    const char *identity; /* its names, separated by commas: "cn:ann,email:ann@example.com" */
    const char *from;     /* its address; NULL: 127.0.0.1 */
    const char *user;     /* the requested user; NULL: none */
    const char *files;    /* "read" or "write": words[0] is a path; NULL: not about files */
    bool forward;         /* words[0] is a "host:port" to connect to */
    bool tty;             /* on a terminal */
    bool shell;           /* the words, joined by blanks, are a line for /bin/sh */
    char **words;         /* NULL-terminated, at least one */
};

/* Prints the decision, the rule, and how the command would run. AFAR_OK: it would run.
 * AFAR_EREFUSED: it would not; the reason has been printed. AFAR_EINVAL: no such client name;
 * AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status explain(const struct config *config, const struct explain_question *question,
                         FILE *out, struct afar_error *err);

#endif
