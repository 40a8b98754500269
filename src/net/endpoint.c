#include "net/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"

static const char *const scheme_names[] = {
    [ENDPOINT_TLS] = "tls",
    [ENDPOINT_TCP] = "tcp",
    [ENDPOINT_UNIX] = "unix",
    [ENDPOINT_UDP] = "udp",
};

static const char *const protocol_names[] = {
    [PROTOCOL_AFAR] = "afar",
    [PROTOCOL_HEADED] = "headed",
    [PROTOCOL_SIZED] = "sized",
    [PROTOCOL_UPPER] = "upper",
};

enum {
    SCHEMES = sizeof scheme_names / sizeof scheme_names[0],
    PROTOCOLS = sizeof protocol_names / sizeof protocol_names[0],
    SHOWN_BYTES = 120 /* of a text quoted in a message */
};

static enum endpoint_protocol default_protocol(enum endpoint_scheme scheme)
{
    return scheme == ENDPOINT_UDP ? PROTOCOL_UPPER : PROTOCOL_AFAR;
}

const char *endpoint_protocol_name(enum endpoint_protocol protocol)
{
    return protocol_names[protocol];
}

static enum afar_status protocol_parse(const char *name, size_t size,
                                       enum endpoint_protocol *protocol, struct afar_error *err)
{
    for (unsigned i = 0; i < PROTOCOLS; i++) {
        if (strlen(protocol_names[i]) == size && memcmp(protocol_names[i], name, size) == 0) {
            *protocol = (enum endpoint_protocol)i;
            return AFAR_OK;
        }
    }
    int shown = size > SHOWN_BYTES ? SHOWN_BYTES : (int)size;
    return afar_fail(err, AFAR_EINVAL,
                     "unknown protocol '%.*s': expected afar, headed, sized or upper", shown, name);
}

enum afar_status endpoint_protocol_parse(const char *name, enum endpoint_protocol *protocol,
                                         struct afar_error *err)
{
    return protocol_parse(name, strlen(name), protocol, err);
}

static enum afar_status set_protocol(struct endpoint *endpoint, const char *value, size_t size,
                                     struct afar_error *err)
{
    return protocol_parse(value, size, &endpoint->protocol, err);
}

/* The suffix of a scheme for a socket that is passed to us. */
static const char handed_over[] = "+fd";

/* Parses "scheme://" or "scheme+fd://", if there is one, and moves *rest behind it. */
static enum afar_status parse_scheme(struct endpoint *endpoint, const char **rest,
                                     struct afar_error *err)
{
    const char *text = *rest;
    const char *mark = strstr(text, "://");
    if (mark == NULL) {
        if (text[0] == '/')
            return afar_fail(err, AFAR_EINVAL, "a Unix socket is written unix://%.*s", SHOWN_BYTES,
                             text);
        endpoint->scheme = ENDPOINT_TLS;
        return AFAR_OK;
    }

    size_t size = (size_t)(mark - text);
    const size_t suffix = sizeof handed_over - 1;
    endpoint->inherited = size > suffix && strncasecmp(mark - suffix, handed_over, suffix) == 0;
    if (endpoint->inherited)
        size -= suffix;
    for (unsigned i = 0; i < SCHEMES; i++) {
        if (strlen(scheme_names[i]) == size && strncasecmp(scheme_names[i], text, size) == 0) {
            endpoint->scheme = (enum endpoint_scheme)i;
            *rest = mark + 3;
            return AFAR_OK;
        }
    }
    size = (size_t)(mark - text);
    int shown = size > SHOWN_BYTES ? SHOWN_BYTES : (int)size;
    return afar_fail(err, AFAR_EINVAL, "unknown scheme '%.*s': expected tls, tcp, unix or udp",
                     shown, text);
}

bool endpoint_is_any6(const struct endpoint *endpoint)
{
    struct in6_addr address;
    return inet_pton(AF_INET6, endpoint->host, &address) == 1 && IN6_IS_ADDR_UNSPECIFIED(&address);
}

static enum afar_status set_ipv6_only(struct endpoint *endpoint, const char *value, size_t size,
                                      struct afar_error *err)
{
    bool yes = size == 3 && memcmp(value, "yes", size) == 0;
    if (!yes && (size != 2 || memcmp(value, "no", size) != 0))
        return afar_fail(err, AFAR_EINVAL, "ipv6only is yes or no");
    if (endpoint->scheme == ENDPOINT_UNIX || endpoint->inherited ||
        (endpoint->host[0] != '\0' && !endpoint_is_any6(endpoint)))
        return afar_fail(err, AFAR_EINVAL, "ipv6only needs the host [::] or none");
    endpoint->ipv6_only = yes;
    return AFAR_OK;
}

static const struct parameter {
    const char *key; /* with its '=' */
    enum afar_status (*set)(struct endpoint *, const char *value, size_t size, struct afar_error *);
} parameter_list[] = {{"protocol=", set_protocol}, {"ipv6only=", set_ipv6_only}};

enum { PARAMETERS = sizeof parameter_list / sizeof parameter_list[0] };

/* Parses "name=value&…" after the question mark; `text` may be NULL. */
static enum afar_status parse_parameters(struct endpoint *endpoint, const char *text,
                                         struct afar_error *err)
{
    unsigned seen = 0;
    enum afar_status status = AFAR_OK;

    while (text != NULL && status == AFAR_OK) {
        size_t size = strcspn(text, "&");
        unsigned i = 0;
        while (i < PARAMETERS &&
               strncmp(text, parameter_list[i].key, strlen(parameter_list[i].key)) != 0)
            i++;
        if (i == PARAMETERS) {
            int shown = size > SHOWN_BYTES ? SHOWN_BYTES : (int)size;
            return afar_fail(err, AFAR_EINVAL, "unknown parameter '%.*s': expected ?protocol=NAME",
                             shown, text);
        }
        size_t key = strlen(parameter_list[i].key);
        if ((seen & 1U << i) != 0)
            return afar_fail(err, AFAR_EINVAL, "%.*s is given twice", (int)key - 1, text);
        seen |= 1U << i;
        status = parameter_list[i].set(endpoint, text + key, size - key, err);
        text = text[size] == '&' ? text + size + 1 : NULL;
    }
    if (status == AFAR_OK && endpoint->scheme == ENDPOINT_UDP &&
        endpoint->protocol != PROTOCOL_UPPER)
        return afar_fail(err, AFAR_EINVAL, "udp carries only the protocol upper, not %s",
                         protocol_names[endpoint->protocol]);
    return status;
}

static enum afar_status parse_path(struct endpoint *endpoint, const char *path, size_t size,
                                   struct afar_error *err)
{
    if (size < 2 || path[0] != '/')
        return afar_fail(err, AFAR_EINVAL,
                         "a Unix socket needs an absolute path: unix:///path/to/socket");
    if (size >= sizeof endpoint->path)
        return afar_fail(err, AFAR_EINVAL, "a Unix socket's path has at most %zu bytes, not %zu",
                         sizeof endpoint->path - 1, size);
    memcpy(endpoint->path, path, size);
    return AFAR_OK;
}

static enum afar_status check_address6(const char *host, struct afar_error *err)
{
    char bare[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    size_t size = strcspn(host, "%"); /* getaddrinfo checks a scope, as in fe80::1%eth0 */

    if (size < sizeof bare) {
        memcpy(bare, host, size);
        bare[size] = '\0';
        if (inet_pton(AF_INET6, bare, &parsed) == 1)
            return AFAR_OK;
    }
    return afar_fail(err, AFAR_EINVAL, "'%.*s' is not an IPv6 address", SHOWN_BYTES, host);
}

static enum afar_status copy_host(struct endpoint *endpoint, const char *host, size_t size,
                                  struct afar_error *err)
{
    if (size >= sizeof endpoint->host)
        return afar_fail(err, AFAR_EINVAL, "a host name has at most %zu bytes, not %zu",
                         sizeof endpoint->host - 1, size);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)host[i];
        if (c == '@')
            return afar_fail(err, AFAR_EINVAL,
                             "an address has no user name: write host:port, without '@'");
        if (c <= ' ' || c == 0x7f || strchr("/\\[]#\"'<>", c) != NULL)
            return afar_fail(err, AFAR_EINVAL, "a host name cannot contain the byte 0x%02x", c);
    }
    memcpy(endpoint->host, host, size);
    return AFAR_OK;
}

static enum afar_status parse_number(const char *text, size_t size, unsigned min, unsigned max,
                                     const char *what, uint16_t *number, struct afar_error *err)
{
    char digits[8] = ""; /* a longer text stays "", which is rejected below */
    uint64_t value = 0;
    if (size < sizeof digits)
        memcpy(digits, text, size);
    if (number_parse(digits, min, max, &value, NULL) != AFAR_OK)
        return afar_fail(err, AFAR_EINVAL, "'%.*s' is not %s from %u to %u",
                         size > SHOWN_BYTES ? SHOWN_BYTES : (int)size, text, what, min, max);
    *number = (uint16_t)value;
    return AFAR_OK;
}

/* Parses "NAME" or "NAME:N". A name is as sd_listen_fds(3) allows, but without blanks. */
static enum afar_status parse_inherited(struct endpoint *endpoint, const char *text, size_t size,
                                        struct afar_error *err)
{
    const char *colon = memchr(text, ':', size);
    size_t name_size = colon == NULL ? size : (size_t)(colon - text);
    if (name_size == 0)
        return afar_fail(err, AFAR_EINVAL,
                         "no name: expected %s+fd://NAME, a name in LISTEN_FDNAMES",
                         scheme_names[endpoint->scheme]);
    if (name_size >= sizeof endpoint->host)
        return afar_fail(err, AFAR_EINVAL, "a socket's name has at most %zu bytes, not %zu",
                         sizeof endpoint->host - 1, name_size);
    for (size_t i = 0; i < name_size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f)
            return afar_fail(err, AFAR_EINVAL, "a socket's name cannot contain the byte 0x%02x", c);
    }
    memcpy(endpoint->host, text, name_size);
    endpoint->port = 1;
    return colon == NULL ? AFAR_OK
                         : parse_number(colon + 1, size - name_size - 1, 1, ENDPOINT_INHERITED_MAX,
                                        "the number of a socket", &endpoint->port, err);
}

/* Parses "host", "host:port", "[v6]", "[v6]:port", ":port", "*" or "*:port", all of the `size`
 * bytes. The star is no host, as in other servers: the resolver of some systems takes it for
 * this machine, that of others for an unknown name. */
static enum afar_status parse_authority(struct endpoint *endpoint, const char *text, size_t size,
                                        struct afar_error *err)
{
    const char *end = text + size;
    const char *host = text;
    const char *host_end = NULL;
    enum afar_status status = AFAR_OK;

    if (size == 0)
        return afar_fail(err, AFAR_EINVAL, "no host: expected host, host:port or [IPv6]:port");
    bool bracketed = text[0] == '[';
    if (bracketed) {
        host = text + 1;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (host_end == NULL)
            return afar_fail(err, AFAR_EINVAL, "']' is missing after the IPv6 address");
        text = host_end + 1;
        if (text < end && *text != ':')
            return afar_fail(err, AFAR_EINVAL, "expected ':' and a port after ']'");
    } else {
        host_end = memchr(host, ':', size);
        if (host_end == NULL)
            host_end = end;
        text = host_end;
        if (text < end && memchr(text + 1, ':', (size_t)(end - text - 1)) != NULL)
            return afar_fail(
                err, AFAR_EINVAL, "an IPv6 address needs brackets, as in [::1]:%d: '%.*s'",
                ENDPOINT_DEFAULT_PORT, size > SHOWN_BYTES ? SHOWN_BYTES : (int)size, host);
    }

    if (!bracketed && host_end - host == 1 && *host == '*')
        host++;
    status = copy_host(endpoint, host, (size_t)(host_end - host), err);
    if (status == AFAR_OK && bracketed)
        status = check_address6(endpoint->host, err);
    if (status != AFAR_OK || text == end)
        return status;

    return parse_number(text + 1, (size_t)(end - text - 1), 0, 65535, "a port", &endpoint->port,
                        err);
}

enum afar_status endpoint_parse(struct endpoint *endpoint, const char *url, struct afar_error *err)
{
    const char *rest = url;
    memset(endpoint, 0, sizeof *endpoint);

    enum afar_status status = parse_scheme(endpoint, &rest, err);
    if (status != AFAR_OK)
        goto out;
    endpoint->protocol = default_protocol(endpoint->scheme);

    size_t size = strcspn(rest, "?");
    const char *parameters = rest[size] == '?' ? rest + size + 1 : NULL;
    if (endpoint->inherited) {
        status = parse_inherited(endpoint, rest, size, err);
    } else if (endpoint->scheme == ENDPOINT_UNIX) {
        status = parse_path(endpoint, rest, size, err);
    } else {
        endpoint->port = ENDPOINT_DEFAULT_PORT;
        if (size > 1 && rest[size - 1] == '/') /* browsers show tcp://host:port/ */
            size--;
        status = parse_authority(endpoint, rest, size, err);
    }
    if (status == AFAR_OK)
        status = parse_parameters(endpoint, parameters, err);
out:
    if (status != AFAR_OK)
        (void)afar_prefix(err, "'%.*s'", SHOWN_BYTES, url);
    return status;
}

void endpoint_format(const struct endpoint *endpoint, char *url, size_t size)
{
    char where[ENDPOINT_URL_BYTES];
    bool is_default = endpoint->protocol == default_protocol(endpoint->scheme);

    if (endpoint->inherited && endpoint->port == 1) {
        (void)snprintf(where, sizeof where, "%s", endpoint->host);
    } else if (endpoint->inherited) {
        (void)snprintf(where, sizeof where, "%s:%u", endpoint->host, endpoint->port);
    } else if (endpoint->scheme == ENDPOINT_UNIX) {
        (void)snprintf(where, sizeof where, "%s", endpoint->path);
    } else {
        bool v6 = strchr(endpoint->host, ':') != NULL;
        (void)snprintf(where, sizeof where, "%s%s%s:%u", v6 ? "[" : "", endpoint->host,
                       v6 ? "]" : "", endpoint->port);
    }
    (void)snprintf(url, size, "%s%s://%s%s%s%s", scheme_names[endpoint->scheme],
                   endpoint->inherited ? handed_over : "", where, is_default ? "" : "?protocol=",
                   is_default ? "" : protocol_names[endpoint->protocol],
                   !endpoint->ipv6_only ? ""
                   : is_default         ? "?ipv6only=yes"
                                        : "&ipv6only=yes");
}
