#include "afar/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "afar/pin_text.h"
#include "afar/report.h"

/* XDG Base Directory Specification: ignore a relative XDG_CONFIG_HOME. *path is NULL if there is no
 * home directory. False: out of memory. */
static bool folder_path(const char *variable, const char *in_home, const char *file, char **path)
{
    const char *folder = getenv(variable);
    const char *home = getenv("HOME");
    int length = 0;
    *path = NULL;
    if (folder != NULL && folder[0] == '/')
        length = asprintf(path, "%s/afar/%s", folder, file);
    else if (home != NULL && home[0] != '\0')
        length = asprintf(path, "%s/%s/afar/%s", home, in_home, file);
    if (length >= 0)
        return true;
    *path = NULL;
    return false;
}

bool config_file_path(const char *file, char **path)
{
    return folder_path("XDG_CONFIG_HOME", ".config", file, path);
}

/* AFAR_SESSIONS names another folder, or, if empty, none. False: out of memory. */
static bool find_sessions(char **path)
{
    const char *given = getenv("AFAR_SESSIONS");
    if (given == NULL)
        return folder_path("XDG_CACHE_HOME", ".cache", "sessions", path);
    *path = given[0] != '\0' ? strdup(given) : NULL;
    return given[0] == '\0' || *path != NULL;
}

/* True if the nearest existing ancestor is a folder that we can see into, so that the rest
 * certainly does not exist; or if it is the home directory, which may be a file such as
 * /dev/null. */
static bool is_absent_below(char *path)
{
    const char *home = getenv("HOME");
    struct stat info;
    for (char *slash = strrchr(path, '/'); slash != NULL; slash = strrchr(path, '/')) {
        slash[slash == path ? 1 : 0] = '\0';
        if (lstat(path, &info) == 0)
            return (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) ||
                   (!S_ISLNK(info.st_mode) && home != NULL && strcmp(path, home) == 0);
        if ((errno != ENOENT && errno != ENOTDIR) || slash == path)
            return false;
    }
    return true; /* it is below the working directory */
}

bool path_may_exist(const char *path)
{
    struct stat info;
    if (lstat(path, &info) == 0 || (errno != ENOENT && errno != ENOTDIR))
        return true;
    char *copy = strdup(path);
    bool absent = copy != NULL && is_absent_below(copy);
    free(copy);
    return !absent;
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
    if (*path != NULL && !path_may_exist(*path)) {
        free(*path);
        *path = NULL;
    }
    return true;
}

/* The command line overrides the environment, and a pin overrides a CA because it is more
 * specific. */
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
    const bool by_pin = paths->pin[0] != '\0';
    bool found = (by_pin || find(&paths->ca, options->ca_file, "AFAR_CA", "ca.pem")) &&
                 find(&paths->cert, options->cert_file, "AFAR_CERT", "cert.pem") &&
                 find(&paths->key, options->key_file, "AFAR_KEY", "key.pem") &&
                 find_sessions(&paths->sessions);
    paths->by_known_hosts = paths->ca == NULL && !by_pin;
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
    free(paths->sessions);
    *paths = (struct credential_paths){0};
}
