#include "afar/hosts.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

#include "afar/paths.h"
#include "afar/pin_text.h"
#include "afar/report.h"

#if INI_HANDLER_LINENO
#error "inih was built with INI_HANDLER_LINENO: its handler has another signature"
#endif

static const char *const names[] = {"endpoint", "ca",        "cert",  "key", "pin",
                                    "user",     "reconnect", "share", "via"};

struct reading {
    struct host *host;
    const char *name;
    FILE *stream;
    unsigned line;
    bool failed;
};

const char *host_key_name(enum host_key key)
{
    return names[key];
}

static void complain(struct reading *reading, const char *what, const char *text)
{
    report("%s:%u: %s '%s'", reading->host->file, reading->line, what, text);
    reading->failed = true;
}

static bool out_of_memory(void)
{
    report("out of memory");
    return false;
}

/* "~/x" is in the home directory, any other relative name in the file's folder. NULL: out of
 * memory. */
static char *file_name(const struct host *host, const char *text)
{
    char *made = NULL;
    const char *home = getenv("HOME");
    const char *slash = strrchr(host->file, '/');
    if (text[0] == '/' || text[0] == '\0')
        return strdup(text);
    int size = strncmp(text, "~/", 2) == 0 && home != NULL
                   ? asprintf(&made, "%s%s", home, text + 1)
                   : asprintf(&made, "%.*s%s", slash == NULL ? 0 : (int)(slash - host->file) + 1,
                              host->file, text);
    return size < 0 ? NULL : made;
}

/* Replaces each %h by the name. NULL: out of memory. */
static char *endpoint(const char *text, const char *name)
{
    size_t size = 1;
    for (const char *at = text; *at != '\0'; at++)
        size += at[0] == '%' && at[1] == 'h' ? strlen(name) : 1;
    char *made = malloc(size);
    char *end = made;
    for (const char *at = text; made != NULL && *at != '\0'; at++) {
        if (at[0] == '%' && at[1] == 'h') {
            end = stpcpy(end, name);
            at++;
        } else {
            *end++ = *at;
        }
    }
    if (made != NULL)
        *end = '\0';
    return made;
}

static int take(void *user, const char *section, const char *key, const char *text)
{
    struct reading *reading = user;
    struct host *host = reading->host;
    unsigned which = 0;
    if (reading->failed)
        return 1;
    while (which < HOST_KEYS && strcmp(names[which], key) != 0)
        which++;
    if (which == HOST_KEYS || section[0] == '\0') {
        complain(reading, which == HOST_KEYS ? "unknown key" : "no [HOST] before the key", key);
        return 1;
    }
    if (fnmatch(section, reading->name, 0) != 0 || host->value[which].text != NULL)
        return 1;
    bool is_file = which == HOST_CA || which == HOST_CERT || which == HOST_KEY;
    host->value[which].text = is_file                  ? file_name(host, text)
                              : which == HOST_ENDPOINT ? endpoint(text, reading->name)
                                                       : strdup(text);
    host->value[which].line = reading->line;
    reading->failed = host->value[which].text == NULL && !out_of_memory();
    return 1;
}

/* Counts lines, and removes blanks at their beginning, because inih would take such a line as a
 * continuation. */
static char *next_line(char *line, int size, void *user)
{
    struct reading *reading = user;
    char *read = NULL;
    if (reading->failed || (read = fgets(line, size, reading->stream)) == NULL)
        return NULL;
    reading->line++;
    size_t length = strlen(line);
    if (length + 1 == (size_t)size && line[length - 1] != '\n') {
        complain(reading, "too long a line:", line);
        return NULL;
    }
    size_t blanks = strspn(line, " \t");
    memmove(line, line + blanks, length - blanks + 1);
    return read;
}

/* AFAR_HOSTS names another file, or, if empty, none. False: out of memory. */
static bool find_file(char **path)
{
    const char *given = getenv("AFAR_HOSTS");
    if (given == NULL)
        return config_file_path("hosts", path);
    *path = given[0] != '\0' ? strdup(given) : NULL;
    return given[0] == '\0' || *path != NULL;
}

bool host_find(struct host *host, const char *name)
{
    struct reading reading = {.host = host, .name = name};
    *host = (struct host){0};
    if (!find_file(&host->file))
        return out_of_memory();
    if (host->file == NULL || !path_may_exist(host->file))
        return true;
    reading.stream = fopen(host->file, "re");
    if (reading.stream == NULL) {
        report("cannot read '%s': %s", host->file, strerror(errno));
        return false;
    }
    errno = 0;
    int bad_line = ini_parse_stream(next_line, &reading, take, &reading);
    if (ferror(reading.stream) != 0 && !reading.failed) { /* also: it is a directory */
        report("cannot read '%s': %s", host->file, strerror(errno));
        reading.failed = true;
    } else if (bad_line < 0 && !reading.failed) {
        reading.failed = !out_of_memory();
    } else if (bad_line > 0 && !reading.failed) {
        reading.line = (unsigned)bad_line;
        complain(&reading, "neither [HOST] nor KEY = VALUE, for the host", name);
    }
    (void)fclose(reading.stream);
    return !reading.failed;
}

void host_close(struct host *host)
{
    for (unsigned i = 0; i < HOST_KEYS; i++)
        free(host->value[i].text);
    free(host->file);
    *host = (struct host){0};
}

bool host_apply(const struct host *host, struct options *options)
{
    const char *pin = host->value[HOST_PIN].text;
    const char *reconnect = host->value[HOST_RECONNECT].text;
    if (host->value[HOST_ENDPOINT].text != NULL)
        options->host = host->value[HOST_ENDPOINT].text;
    if (reconnect != NULL && options->reconnect_ms < 0 &&
        !options_duration(reconnect, &options->reconnect_ms)) {
        report("%s:%u: reconnect: '%s' is not a duration such as 0, 10s or 5m", host->file,
               host->value[HOST_RECONNECT].line, reconnect);
        return false;
    }
    if (options->cert_file == NULL && options->key_file == NULL) {
        options->cert_file = host->value[HOST_CERT].text;
        options->key_file = host->value[HOST_KEY].text;
    }
    if (options->ca_file != NULL || options->pin[0] != '\0')
        return true;
    options->ca_file = host->value[HOST_CA].text;
    if (pin == NULL || pin_parse(pin, options->pin))
        return true;
    report("%s:%u: '%s' is not sha256: and 64 hex digits", host->file, host->value[HOST_PIN].line,
           pin);
    return false;
}
