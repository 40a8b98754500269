/* Where the credentials are: an option, else the environment, else ~/.config/afar.
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
    char pin[AFAR_PIN_BYTES]; /* the digits of --pin, else of AFAR_PIN; "": none */
    /* Servers whose keys were accepted once, where neither a CA nor a pin decides. NULL: they do,
     * or there is no home. */
    char *known_hosts;
    char *sessions;      /* the folder of TLS sessions; NULL: none are kept */
    bool by_known_hosts; /* neither a CA nor a pin decides */
};

/* ~/.config/afar/FILE, the caller's; "": the folder itself. *path is NULL where there is no home.
 * False: out of memory. */
bool config_file_path(const char *file, char **path);

/* False only where there is surely nothing at `path`. True also where that cannot be seen: a link
 * that leads nowhere, a folder that may not be searched. The code that opens it then says what is
 * wrong.
 */
bool path_may_exist(const char *path);

/* Files in ~/.config/afar count if path_may_exist, so that one which cannot be used is an error and
 * not a reason to trust others. False: it has been said why: AFAR_PIN is not a pin, or memory is
 * out.
 */
bool credential_paths_find(struct credential_paths *paths, const struct options *options);
void credential_paths_close(struct credential_paths *paths);

#endif
