#include "afard/variables.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "exec/environment.h"
#include "policy/words.h"

enum { KEY_BYTES = 64 }; /* longer than any key */

static const char prefix[] = "AFARD_";
static const char blanks[] = " \t\r\n";

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Variables with our prefix that are not keys. */
static bool is_foreign(const char *name)
{
    return begins(name, "CONFIG=") || begins(name, "DEFAULTS=") || begins(name, "PORT=") ||
           begins(name, "PORT_") || begins(name, "SERVICE_");
}

void variables_trim(char **environment)
{
    for (; *environment != NULL; environment++) {
        char *value = begins(*environment, prefix) ? strchr(*environment, '=') : NULL;
        size_t size = value != NULL ? strlen(value) : 0;
        while (size > 1 && strchr(blanks, value[size - 1]) != NULL)
            value[--size] = '\0';
        const size_t before = size > 1 ? strspn(value + 1, blanks) : 0;
        if (before > 0)
            memmove(value + 1, value + 1 + before, size - before);
    }
}

/* Several URLs, separated by blanks. */
static enum afar_status set_listeners(struct config *config, const char *value,
                                      struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    const char *at = value + strspn(value, blanks);
    config->listen_count = 0;
    while (*at != '\0' && status == AFAR_OK) {
        struct words url = {0};
        size_t size = strcspn(at, blanks);
        status = words_add(&url, at, size, err);
        if (status == AFAR_OK)
            status = config_set(config, "listen", url.at[0], err);
        words_close(&url);
        at += size;
        at += strspn(at, blanks);
    }
    return status;
}

/* `name` is the part after AFARD_. */
static enum afar_status apply(struct config *config, const char *name, struct afar_error *err)
{
    char key[KEY_BYTES] = "";
    size_t size = strcspn(name, "=");
    const char *value = name + size + 1;
    if (name[size] == '\0' || *value == '\0')
        return AFAR_OK;
    for (size_t i = 0; i < size && i < sizeof key - 1; i++)
        key[i] = (char)tolower((unsigned char)name[i]);
    enum afar_status status = strcmp(key, "listen") == 0 ? set_listeners(config, value, err)
                                                         : config_set(config, key, value, err);
    if (status != AFAR_OK)
        (void)afar_prefix(err, "%s%.*s in the environment", prefix, (int)size, name);
    return status;
}

enum afar_status variables_apply(struct config *config, char *const *environment,
                                 struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    for (; *environment != NULL && status == AFAR_OK; environment++) {
        const char *name = *environment + sizeof prefix - 1;
        if (begins(*environment, prefix) && !is_foreign(name))
            status = apply(config, name, err);
    }
    return status;
}

static const char *file_of(char *const *environment, const char *name)
{
    const char *file = environment_get(environment, name);
    return file != NULL && file[0] != '\0' ? file : NULL;
}

const char *variables_config_file(char *const *environment)
{
    return file_of(environment, "AFARD_CONFIG");
}

const char *variables_defaults_file(char *const *environment)
{
    return file_of(environment, "AFARD_DEFAULTS");
}
