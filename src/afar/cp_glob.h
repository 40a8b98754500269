/* Patterns in the path of a source on a server, matched here: '*', '?' and '[...]' in each
 * component. A file of that very name wins.
 *
 * Owns:    the paths (cp_glob_close).
 * Threads: one.
 * Blocks:  until the server has answered.
 * Limits:  CP_GLOB_MAX paths. */
#ifndef AFAR_CP_GLOB_H
#define AFAR_CP_GLOB_H

#include "afar/cp_run.h"

enum { CP_GLOB_MAX = 65536 };

struct cp_glob {
    char **paths;
    size_t count;
};

/* No paths: the path is to be taken as it is. False: it has been said why. */
bool cp_glob(struct cp_glob *glob, struct cp_run *run, struct cp_host *host, const char *path);
void cp_glob_close(struct cp_glob *glob);

#endif
