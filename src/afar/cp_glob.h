/* Expands '*', '?' and '[...]' in each component of a source's path on a server. If a file of
 * exactly that name exists, it is meant. What stands behind a pattern must exist, as in a shell.
 *
 * Owns:    the paths (cp_glob_close).
 * Threads: one.
 * Blocks:  until the server has answered.
 * Limits:  CP_GLOB_MAX paths; QUERY_LISTED_MAX names looked at for them. */
#ifndef AFAR_CP_GLOB_H
#define AFAR_CP_GLOB_H

#include "afar/cp_run.h"

enum { CP_GLOB_MAX = 65536 };

struct cp_glob {
    char **paths;
    size_t count;
    size_t listed; /* names looked at */
};

/* `glob` is zeroed. True with count 0: use the path itself; it has no pattern, is a file's name, or
 * nothing matches. False: the reason was reported. */
bool cp_glob(struct cp_glob *glob, struct cp_run *run, struct cp_host *host, const char *path);
void cp_glob_close(struct cp_glob *glob);

#endif
