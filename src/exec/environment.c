#include "exec/environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static size_t count(char *const *strings)
{
    size_t n = 0;
    while (strings != NULL && strings[n] != NULL)
        n++;
    return n;
}

static size_t name_length(const char *entry)
{
    return strcspn(entry, "=");
}

static bool same_name(const char *a, const char *b)
{
    size_t length = name_length(a);
    return length == name_length(b) && memcmp(a, b, length) == 0;
}

static bool server_only(const char *entry)
{
    static const char *const prefixes[] = {"AFARD_",
                                           "LISTEN_FDS=",
                                           "LISTEN_FDNAMES=",
                                           "LISTEN_PID=",
                                           "LISTEN_PIDFDID",
                                           "NOTIFY_SOCKET=",
                                           "WATCHDOG_",
                                           "INVOCATION_ID=",
                                           "JOURNAL_STREAM=",
                                           "MANAGERPID",
                                           "CREDENTIALS_DIRECTORY=",
                                           "SYSTEMD_EXEC_PID="};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

/* Replaces the entry of that name or adds one; there is room for it. False: out of memory. */
static bool put(char **environment, size_t *used, const char *entry)
{
    char *copy = strdup(entry);
    if (copy == NULL)
        return false;
    for (size_t i = 0; i < *used; i++) {
        if (same_name(environment[i], entry)) {
            free(environment[i]);
            environment[i] = copy;
            return true;
        }
    }
    environment[(*used)++] = copy;
    return true;
}

enum afar_status environment_build(char ***result, char *const *base, char *const *extra,
                                   char *const *last, struct afar_error *err)
{
    *result = NULL;
    size_t used = 0;
    char **environment = calloc(count(base) + count(extra) + count(last) + 2, sizeof *environment);
    bool ok = environment != NULL;
    for (size_t i = 0; ok && base != NULL && base[i] != NULL; i++) {
        if (!server_only(base[i]))
            ok = put(environment, &used, base[i]);
    }
    for (size_t i = 0; ok && extra != NULL && extra[i] != NULL; i++)
        ok = put(environment, &used, extra[i]);
    if (ok && environment_get(environment, "PATH") == NULL)
        ok = put(environment, &used, "PATH=" ENVIRONMENT_DEFAULT_PATH);
    for (size_t i = 0; ok && last != NULL && last[i] != NULL; i++)
        ok = put(environment, &used, last[i]);
    if (!ok) {
        environment_free(environment);
        return afar_fail(err, AFAR_ENOMEM, "out of memory for an environment");
    }
    *result = environment;
    return AFAR_OK;
}

void environment_free(char **environment)
{
    if (environment == NULL)
        return;
    for (char **at = environment; *at != NULL; at++)
        free(*at);
    free(environment);
}

const char *environment_get(char *const *environment, const char *name)
{
    size_t length = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++) {
        if (name_length(*environment) == length && memcmp(*environment, name, length) == 0 &&
            (*environment)[length] == '=')
            return *environment + length + 1;
    }
    return NULL;
}
