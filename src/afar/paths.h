/* Where the credentials are: an option, else the environment, else ~/.config/afar.
 *
 * Owns:    the paths (credential_paths_close).
 * Threads: one.
 * Blocks:  as long as looking for a file does.
 * Limits:  none. */
#ifndef AFAR_PATHS_H
#define AFAR_PATHS_H

#include <stdbool.h>

#include <afar/afar.h>

#include "afar/options.h"

struct credential_paths {
    char *ca; /* NULL: none was given or found */
    char *cert;
    char *key;
};

/* False: out of memory. */
bool credential_paths_find(struct credential_paths *paths, const struct options *options);
void credential_paths_close(struct credential_paths *paths);

#endif
