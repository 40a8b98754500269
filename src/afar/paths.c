#include "afar/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* XDG Base Directory Specification: a relative XDG_CONFIG_HOME is to be ignored. *path is NULL
 * where there is no home. */
static bool config_path(const char *file, char **path)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int length = 0;
    *path = NULL;
    if (config != NULL && config[0] == '/')
        length = asprintf(path, "%s/afar/%s", config, file);
    else if (home != NULL && home[0] != '\0')
        length = asprintf(path, "%s/.config/afar/%s", home, file);
    if (length >= 0)
        return true;
    *path = NULL;
    return false;
}

static bool find(char **path, const char *option, const char *variable, const char *file)
{
    const char *given = option != NULL ? option : getenv(variable);
    if (given != NULL && given[0] != '\0') {
        *path = strdup(given);
        return *path != NULL;
    }
    if (!config_path(file, path))
        return false;
    if (*path != NULL && access(*path, F_OK) != 0) {
        free(*path);
        *path = NULL;
    }
    return true;
}

bool credential_paths_find(struct credential_paths *paths, const struct options *options)
{
    *paths = (struct credential_paths){0};
    if (find(&paths->ca, options->ca_file, "AFAR_CA", "ca.pem") &&
        find(&paths->cert, options->cert_file, "AFAR_CERT", "cert.pem") &&
        find(&paths->key, options->key_file, "AFAR_KEY", "key.pem"))
        return true;
    credential_paths_close(paths);
    return false;
}

void credential_paths_close(struct credential_paths *paths)
{
    free(paths->ca);
    free(paths->cert);
    free(paths->key);
    *paths = (struct credential_paths){0};
}
