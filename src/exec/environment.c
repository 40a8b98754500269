#include "exec/environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    const char *text;
    size_t name_length;
    size_t place; /* of entries with the same name, the one with the highest place is used */
};

struct entries {
    struct entry *at; /* with room for all */
    size_t count;
    size_t text_bytes;
};

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

static bool server_only(const char *entry)
{
    static const char *const prefixes[] = {
        "AFARD_",           "AFAR_SERVER=",    "LISTEN_FDS=",    "LISTEN_FDNAMES=",
        "LISTEN_PID=",      "LISTEN_PIDFDID",  "NOTIFY_SOCKET=", "WATCHDOG_",
        "INVOCATION_ID=",   "JOURNAL_STREAM=", "MANAGERPID",     "CREDENTIALS_DIRECTORY=",
        "SYSTEMD_EXEC_PID="};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (entry[0] == prefixes[i][0] && strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

static void add(struct entries *entries, const char *text)
{
    entries->at[entries->count] = (struct entry){text, name_length(text), entries->count};
    entries->count++;
    entries->text_bytes += strlen(text) + 1;
}

static bool has_name(const struct entries *entries, const char *name)
{
    const size_t length = strlen(name);
    for (size_t i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->at[i];
        if (entry->name_length == length && memcmp(entry->text, name, length) == 0)
            return true;
    }
    return false;
}

static int compare_names(const struct entry *a, const struct entry *b)
{
    if (a->name_length != b->name_length)
        return a->name_length < b->name_length ? -1 : 1;
    return memcmp(a->text, b->text, a->name_length);
}

static int compare(const void *a, const void *b)
{
    const struct entry *first = a;
    const struct entry *second = b;
    int order = compare_names(first, second);
    if (order == 0)
        order = first->place < second->place ? -1 : 1;
    return order;
}

/* Makes the result; of entries with the same name, it gets the last one. All is in one block, to
 * call malloc only once. Sorts, so that thousands of entries do not take quadratic time. NULL: out
 * of memory. */
static char **pack(struct entries *entries)
{
    char **environment = malloc((entries->count + 1) * sizeof *environment + entries->text_bytes);
    if (environment == NULL)
        return NULL;
    char *text = (char *)(environment + entries->count + 1);
    size_t used = 0;
    qsort(entries->at, entries->count, sizeof *entries->at, compare);
    for (size_t i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->at[i];
        if (i + 1 < entries->count && compare_names(entry, entry + 1) == 0)
            continue;
        environment[used++] = text;
        text = stpcpy(text, entry->text) + 1;
    }
    environment[used] = NULL;
    return environment;
}

enum afar_status environment_build(char ***result, char *const *base, char *const *extra,
                                   char *const *last, struct afar_error *err)
{
    struct entries entries = {0};
    *result = NULL;
    entries.at = calloc(count(base) + count(extra) + count(last) + 1, sizeof *entries.at);
    if (entries.at == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for an environment");
    for (size_t i = 0; base != NULL && base[i] != NULL; i++) {
        if (!server_only(base[i]))
            add(&entries, base[i]);
    }
    for (size_t i = 0; extra != NULL && extra[i] != NULL; i++)
        add(&entries, extra[i]);
    if (!has_name(&entries, "PATH"))
        add(&entries, "PATH=" ENVIRONMENT_DEFAULT_PATH);
    for (size_t i = 0; last != NULL && last[i] != NULL; i++)
        add(&entries, last[i]);
    *result = pack(&entries);
    free(entries.at);
    if (*result == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for an environment");
    return AFAR_OK;
}

void environment_free(char **environment)
{
    free(environment);
}

const char *environment_get(char *const *environment, const char *name)
{
    size_t length = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++) {
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return *environment + length + 1;
    }
    return NULL;
}
