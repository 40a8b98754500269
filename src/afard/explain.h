/* afard --explain: what the rules say of a command, without running it.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  on the file system, where the program is looked for.
 * Limits:  EXPLAIN_NAMES_MAX names of a client. */
#ifndef AFARD_EXPLAIN_H
#define AFARD_EXPLAIN_H

#include <stdbool.h>
#include <stdio.h>

#include "policy/config.h"

enum { EXPLAIN_NAMES_MAX = 64 };

struct explain_question {
    const char *identity; /* its names with commas between: "cn:ann,email:ann@example.com" */
    const char *from;     /* its address; NULL: 127.0.0.1 */
    const char *user;     /* asked for; NULL: none */
    const char *files;    /* "read" or "write": words has a path; NULL: it is a command */
    bool forward;         /* words has a "host:port" to connect to */
    bool tty;             /* on a terminal */
    bool shell;           /* the words, with a blank between each, are a line for /bin/sh */
    char **words;         /* NULL-terminated, at least one */
};

/* Prints the decision, the rule, and how the command would run. AFAR_OK: it would. AFAR_EREFUSED:
 * it would not (which has been printed too). AFAR_EINVAL, AFAR_ENOMEM, AFAR_ESYSTEM. */
enum afar_status explain(const struct config *config, const struct explain_question *question,
                         FILE *out, struct afar_error *err);

#endif
