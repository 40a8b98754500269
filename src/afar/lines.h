/* The lines of 'afar repl': from a terminal, with prompt and history, or from a script.
 *
 * Owns:    what lines_open makes, until lines_close.
 * Threads: the program's only one.
 * Blocks:  lines_next, until there is a line.
 * Limits:  LINES_HISTORY. lines_open loads the line editor (libedit) at run time, so that other
 *          subcommands do not pay for it; if it is missing, lines are read without it. */
#ifndef AFAR_LINES_H
#define AFAR_LINES_H

#include <stdbool.h>
#include <stddef.h>

enum { LINES_HISTORY = 500 };

struct lines {
    bool interactive;
    struct line_editor *editor; /* owned; interactive only, and only if libedit is there */
    char *line;                 /* owned; without an editor */
    size_t line_bytes;
    size_t number; /* of the last line, from 1 */
    int failure;   /* errno of a read that failed; 0: none */
};

/* False: the reason was reported. */
bool lines_open(struct lines *lines);
void lines_close(struct lines *lines);

/* The next line, with its newline if it has one; NULL: the end, or see `failure`. Borrowed until
 * the next call. */
const char *lines_next(struct lines *lines, size_t *size);

#endif
