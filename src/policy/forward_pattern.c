#include "policy/forward_pattern.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"

enum { SHOWN_BYTES = 80, PORT_MAX = 65535, HOST_BYTES = 300 };

static bool parse_number(const char *text, size_t size, uint16_t *port)
{
    char digits[8];
    uint64_t number = 0;
    if (size == 0 || size >= sizeof digits)
        return false;
    memcpy(digits, text, size);
    digits[size] = '\0';
    bool good = number_parse(digits, 1, PORT_MAX, &number, NULL) == AFAR_OK;
    *port = (uint16_t)number;
    return good;
}

static bool parse_ports(struct forward_pattern *pattern, const char *text)
{
    size_t size = strcspn(text, "-");
    if (strcmp(text, "*") == 0) {
        pattern->first_port = 1;
        pattern->last_port = PORT_MAX;
        return true;
    }
    if (!parse_number(text, size, &pattern->first_port))
        return false;
    pattern->last_port = pattern->first_port;
    if (text[size] == '\0')
        return true;
    return parse_number(text + size + 1, strlen(text + size + 1), &pattern->last_port) &&
           pattern->first_port <= pattern->last_port;
}

/* Copies the host without brackets, and returns what follows its colon; NULL: bad syntax. */
static const char *split(const char *text, char host[HOST_BYTES])
{
    const bool bracket = text[0] == '[';
    const char *end = bracket ? strchr(text, ']') : strrchr(text, ':');
    const char *from = bracket ? text + 1 : text;
    const char *colon = end != NULL && bracket ? end + 1 : end;
    if (colon == NULL || *colon != ':' || end == from || end - from >= HOST_BYTES)
        return NULL;
    memcpy(host, from, (size_t)(end - from));
    host[end - from] = '\0';
    /* As in a target: an IPv6 address needs brackets, as its end could look like a port. */
    return bracket == (strchr(host, ':') != NULL) ? colon + 1 : NULL;
}

static bool is_name(const char *host)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*";
    return host[strspn(host, letters)] == '\0';
}

enum afar_status forward_pattern_parse(struct forward_pattern *pattern, const char *text,
                                       struct afar_error *err)
{
    char host[HOST_BYTES];
    char name[HOST_BYTES + 8];
    *pattern = (struct forward_pattern){.any = false};
    const char *ports = split(text, host);
    if (ports == NULL || !parse_ports(pattern, ports))
        return afar_fail(err, AFAR_EINVAL,
                         "'%.*s': HOST:PORT was expected, as localhost:5432, *.example.com:443, "
                         "10.0.0.0/8:22, [fd00::/8]:8000-8010 or **:*",
                         SHOWN_BYTES, text);
    pattern->any = strcmp(host, "**") == 0;
    if (pattern->any)
        return AFAR_OK;
    pattern->is_network =
        strpbrk(host, "/:") != NULL || network_parse(&pattern->network, host, NULL) == AFAR_OK;
    if (pattern->is_network)
        return network_parse(&pattern->network, host, err);
    if (!is_name(host))
        return afar_fail(err, AFAR_EINVAL, "'%.*s' is not the name of a host", SHOWN_BYTES, host);
    (void)snprintf(name, sizeof name, "dns:%s", host);
    return client_pattern_parse(&pattern->name, name, err);
}

void forward_pattern_close(struct forward_pattern *pattern)
{
    client_pattern_close(&pattern->name);
}

bool forward_pattern_match(const struct forward_pattern *pattern,
                           const struct forward_target *target)
{
    char text[FORWARD_TEXT_BYTES];
    char name[FORWARD_HOST_BYTES + 8];
    char *names[] = {name, NULL};
    if (target->port < pattern->first_port || target->port > pattern->last_port)
        return false;
    if (pattern->any)
        return true;
    forward_target_format(target, text);
    if (pattern->is_network)
        return target->is_address && network_has(&pattern->network, text);
    (void)snprintf(name, sizeof name, "dns:%s", target->host);
    return !target->is_address && client_pattern_match(&pattern->name, names);
}
