/* Finds the credentials: by option, else the environment, else in ~/.config/afar.
 *
 * Owns:    the paths (credential_paths_close).
 * Threads: one.
 * Blocks:  as long as looking for a file does.
 * Limits:  none. */
#ifndef AFAR_PATHS_H
#define AFAR_PATHS_H

#include <stdbool.h>

#include <afar/keygen.h>

#include "afar/options.h"

struct credential_paths {
    char *ca; /* NULL: none was given or found */
    char *cert;
    char *key;
    char pin[AFAR_PIN_BYTES]; /* the digits of --pin, else AFAR_PIN; "": none */
    /* The file of accepted keys, used if neither a CA nor a pin decides. NULL: not used, or no home
     * directory. */
    char *known_hosts;
    char *sessions;      /* the folder of TLS sessions; NULL: keep none */
    bool by_known_hosts; /* neither a CA nor a pin decides */
};

/* Makes the path of ~/.config/afar/FILE; "": the folder itself. The caller frees *path, which is
 * NULL if there is no home directory. False: out of memory. */
bool config_file_path(const char *file, char **path);

/* False only if certainly nothing exists at `path`. True also if that cannot be seen, as behind a
 * dangling link or in a folder without search permission: opening it then reports what is wrong. */
bool path_may_exist(const char *path);

/* A file in ~/.config/afar is used if path_may_exist, so that an unusable one is an error and not a
 * reason to trust something else. False, reported: AFAR_PIN is not a pin, or out of memory. */
bool credential_paths_find(struct credential_paths *paths, const struct options *options);
void credential_paths_close(struct credential_paths *paths);

#endif
