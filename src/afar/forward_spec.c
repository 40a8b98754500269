#include "afar/forward_spec.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"

enum { PARTS = 4, TEXT_BYTES = 1024, SHOWN_BYTES = 200, PORT_MAX = 65535 };

struct parts {
    char text[TEXT_BYTES]; /* cut into the parts */
    char *at[PARTS];
    size_t count;
};

/* The end of the next part. Removes the brackets of an IPv6 address. NULL: brackets do not
 * match. */
static char *end_of(char **part)
{
    char *at = *part;
    if (*at != '[')
        return at + strcspn(at, ":");
    char *close = strchr(at, ']');
    if (close == NULL || (close[1] != ':' && close[1] != '\0'))
        return NULL;
    *close = '\0';
    ++*part;
    return close + 1;
}

/* Splits at ':'. A blank also separates two parts, as in ssh_config(5). */
static bool split(struct parts *parts, const char *text)
{
    *parts = (struct parts){.count = 0};
    if (strlen(text) >= sizeof parts->text)
        return false;
    (void)stpcpy(parts->text, text);
    char *blank = parts->text + strcspn(parts->text, " \t");
    if (*blank != '\0') {
        size_t more = strspn(blank, " \t");
        *blank = ':';
        memmove(blank + 1, blank + more, strlen(blank + more) + 1);
    }
    char *at = parts->text;
    for (;;) {
        char *part = at;
        char *end = end_of(&part);
        if (end == NULL || parts->count == PARTS)
            return false;
        parts->at[parts->count++] = part;
        if (*end == '\0')
            return true;
        *end = '\0';
        at = end + 1;
    }
}

static enum afar_status bad(const char *text, const char *expected, struct afar_error *err)
{
    return afar_fail(err, AFAR_EINVAL, "'%.*s': %s was expected", SHOWN_BYTES, text, expected);
}

static bool take_port(struct forward_spec *spec, const char *text)
{
    uint64_t port = 0;
    bool good = number_parse(text, 0, PORT_MAX, &port, NULL) == AFAR_OK;
    spec->port = (uint16_t)port;
    return good;
}

static bool take_bind(struct forward_spec *spec, const char *text)
{
    spec->has_bind = true;
    return snprintf(spec->bind, sizeof spec->bind, "%s", text) < (int)sizeof spec->bind;
}

static enum afar_status take_target(struct forward_spec *spec, const char *host, const char *port,
                                    struct afar_error *err)
{
    struct forward_target target;
    enum afar_status status = forward_target_make(&target, host, strlen(host), port, err);
    if (status == AFAR_OK)
        forward_target_format(&target, spec->target);
    return status;
}

enum afar_status forward_spec_local(struct forward_spec *spec, const char *text, bool brief,
                                    struct afar_error *err)
{
    const char *expected = brief ? "[BIND:]PORT:HOST:PORT, PORT:PORT or PORT"
                                 : "[BIND:]PORT:HOST:PORT or PATH:HOST:PORT";
    struct parts parts;
    *spec = (struct forward_spec){.port = 0};
    if (!split(&parts, text))
        return bad(text, expected, err);
    const bool is_path = parts.at[0][0] == '/';
    if (parts.at[parts.count - 1][0] == '/')
        return afar_fail(err, AFAR_EINVAL,
                         "'%.*s': to a Unix socket of the server nothing can be forwarded",
                         SHOWN_BYTES, text);
    size_t at = parts.count == 4 ? 1 : 0;
    if (brief && parts.count <= 2 && !is_path) {
        if (!take_port(spec, parts.at[0]))
            return bad(text, expected, err);
        return take_target(spec, "localhost", parts.at[parts.count - 1], err);
    }
    if (parts.count < 3 || (is_path && parts.count != 3))
        return bad(text, expected, err);
    if (is_path) {
        if (snprintf(spec->path, sizeof spec->path, "%s", parts.at[0]) >= (int)sizeof spec->path)
            return afar_fail(err, AFAR_EINVAL, "'%.*s': the path of a socket has at most %zu bytes",
                             SHOWN_BYTES, text, sizeof spec->path - 1);
    } else if ((at == 1 && !take_bind(spec, parts.at[0])) || !take_port(spec, parts.at[at])) {
        return bad(text, expected, err);
    }
    return take_target(spec, parts.at[at + 1], parts.at[at + 2], err);
}

enum afar_status forward_spec_dynamic(struct forward_spec *spec, const char *text,
                                      struct afar_error *err)
{
    struct parts parts;
    *spec = (struct forward_spec){.dynamic = true};
    if (!split(&parts, text) || parts.count > 2 ||
        (parts.count == 2 && !take_bind(spec, parts.at[0])) ||
        !take_port(spec, parts.at[parts.count - 1]))
        return bad(text, "[BIND:]PORT", err);
    return AFAR_OK;
}

enum afar_status forward_spec_stdio(char target[FORWARD_TEXT_BYTES], const char *text,
                                    struct afar_error *err)
{
    struct forward_target parsed;
    const char *close = text[0] == '[' ? strchr(text, ']') : NULL;
    enum afar_status status =
        close != NULL && close[1] == ':'
            ? forward_target_make(&parsed, text + 1, (size_t)(close - text - 1), close + 2, err)
            : forward_target_parse(&parsed, text, err);
    if (status == AFAR_OK)
        forward_target_format(&parsed, target);
    return status;
}
