#include "afar/cp_name.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The ':' after the host, or after its port; NULL: none. */
static const char *end_of_host(const char *at)
{
    const char *colon = NULL;
    if (*at == '[') { /* IPv6 */
        const char *close = strchr(at, ']');
        colon = close != NULL && close[1] == ':' ? close + 1 : NULL;
    } else {
        size_t size = strcspn(at, ":/");
        colon = size > 0 && at[size] == ':' ? at + size : NULL;
    }
    if (colon == NULL)
        return NULL;
    /* Digits are a port if another ':' follows them. */
    const char *digits = colon + 1;
    while (isdigit((unsigned char)*digits))
        digits++;
    return digits > colon + 1 && *digits == ':' ? digits : colon;
}

static const char *find_path(const char *word)
{
    static const char unix_scheme[] = "unix://";
    if (strncmp(word, unix_scheme, strlen(unix_scheme)) == 0)
        return strchr(word + strlen(unix_scheme), ':');
    const char *scheme = strstr(word, "://");
    bool has_scheme = scheme != NULL && strcspn(word, ":/") == (size_t)(scheme - word);
    return end_of_host(has_scheme ? scheme + 3 : word);
}

bool cp_name_parse(struct cp_name *name, const char *word)
{
    *name = (struct cp_name){.is_stream = strcmp(word, "-") == 0};
    const char *colon = find_path(word);
    if (colon == NULL) {
        name->path = strdup(word);
        return name->path != NULL;
    }
    name->host = strndup(word, (size_t)(colon - word));
    name->path = strdup(colon[1] == '\0' ? "." : colon + 1);
    return name->host != NULL && name->path != NULL;
}

bool cp_name_set_path(struct cp_name *name, const char *path)
{
    free(name->path);
    name->path = strdup(path);
    return name->path != NULL;
}

void cp_name_close(struct cp_name *name)
{
    free(name->host);
    free(name->path);
    *name = (struct cp_name){.host = NULL};
}
