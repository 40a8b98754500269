#include "afar/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "afar/pin_text.h"
#include "afar/report.h"

/* XDG Base Directory Specification: a relative XDG_CONFIG_HOME is to be ignored. *path is NULL
 * where there is no home. */
bool config_file_path(const char *file, char **path)
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
    if (!config_file_path(file, path))
        return false;
    if (*path != NULL && access(*path, F_OK) != 0) {
        free(*path);
        *path = NULL;
    }
    return true;
}

/* What is said on the command line outdoes the environment, and a pin a CA: it says more. */
static bool find_pin(struct credential_paths *paths, const struct options *options)
{
    const char *given = getenv("AFAR_PIN");
    if (options->pin[0] != '\0') {
        memcpy(paths->pin, options->pin, sizeof paths->pin);
        return true;
    }
    if (given == NULL || given[0] == '\0' || options->ca_file != NULL)
        return true;
    if (pin_parse(given, paths->pin))
        return true;
    report("AFAR_PIN: '%s' is not sha256: and 64 hex digits", given);
    return false;
}

bool credential_paths_find(struct credential_paths *paths, const struct options *options)
{
    *paths = (struct credential_paths){0};
    if (!find_pin(paths, options))
        return false;
    bool found = find(&paths->ca, options->ca_file, "AFAR_CA", "ca.pem") &&
                 find(&paths->cert, options->cert_file, "AFAR_CERT", "cert.pem") &&
                 find(&paths->key, options->key_file, "AFAR_KEY", "key.pem");
    paths->by_known_hosts = paths->ca == NULL && paths->pin[0] == '\0';
    if (found && paths->by_known_hosts)
        found = config_file_path("known_hosts", &paths->known_hosts);
    if (found)
        return true;
    report("out of memory");
    credential_paths_close(paths);
    return false;
}

void credential_paths_close(struct credential_paths *paths)
{
    free(paths->ca);
    free(paths->cert);
    free(paths->key);
    free(paths->known_hosts);
    *paths = (struct credential_paths){0};
}
