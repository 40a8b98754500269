#include "base/forward_target.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

enum { SHOWN_BYTES = 80, PORT_MAX = 65535 };

static const char localhost[] = "localhost";

static bool is_name(const char *host)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-._";
    return host[0] != '-' && host[strspn(host, letters)] == '\0';
}

/* "::1", and "fe80::1%eth0". */
static bool is_ipv6(const char *host, struct in6_addr *address)
{
    char plain[FORWARD_HOST_BYTES];
    size_t size = strcspn(host, "%");
    if (host[size] == '%' && !is_name(host + size + 1))
        return false;
    memcpy(plain, host, size);
    plain[size] = '\0';
    return host[size] != '\0' && host[size + 1] == '\0' ? false
                                                        : inet_pton(AF_INET6, plain, address) == 1;
}

/* True for "localhost" and names that end in ".localhost" (RFC 6761 §6.3). */
static bool is_localhost(const char *host)
{
    size_t size = strlen(host);
    const size_t own = sizeof localhost - 1;
    return size >= own && strcmp(host + size - own, localhost) == 0 &&
           (size == own || host[size - own - 1] == '.');
}

static bool judge_host(struct forward_target *target)
{
    struct in_addr ipv4;
    struct in6_addr ipv6;
    if (inet_pton(AF_INET, target->host, &ipv4) == 1) {
        target->is_address = true;
        target->is_loopback = ntohl(ipv4.s_addr) >> 24 == 127;
        return true;
    }
    if (is_ipv6(target->host, &ipv6)) {
        target->is_address = true;
        target->is_loopback =
            IN6_IS_ADDR_LOOPBACK(&ipv6) || (IN6_IS_ADDR_V4MAPPED(&ipv6) && ipv6.s6_addr[12] == 127);
        return true;
    }
    target->is_loopback = is_localhost(target->host);
    return is_name(target->host);
}

enum afar_status forward_target_make(struct forward_target *target, const char *host, size_t size,
                                     const char *port, struct afar_error *err)
{
    uint64_t number = 0;
    *target = (struct forward_target){.port = 0};
    if (size == 0 || size >= sizeof target->host)
        return afar_fail(err, AFAR_EINVAL, "a host has 1 to %d bytes", FORWARD_HOST_BYTES - 1);
    for (size_t i = 0; i < size; i++)
        target->host[i] = (char)tolower((unsigned char)host[i]);
    if (memchr(target->host, '\0', size) != NULL || !judge_host(target))
        return afar_fail(err, AFAR_EINVAL, "'%.*s' is not a host's name or address",
                         (int)(size < SHOWN_BYTES ? size : SHOWN_BYTES), host);
    if (number_parse(port, 1, PORT_MAX, &number, NULL) != AFAR_OK)
        return afar_fail(err, AFAR_EINVAL, "'%.*s' is not a port from 1 to %d", SHOWN_BYTES, port,
                         PORT_MAX);
    target->port = (uint16_t)number;
    return AFAR_OK;
}

enum afar_status forward_target_parse(struct forward_target *target, const char *text,
                                      struct afar_error *err)
{
    const bool bracket = text[0] == '[';
    const char *end = bracket ? strchr(text, ']') : strrchr(text, ':');
    const char *host = bracket ? text + 1 : text;
    const char *colon = end != NULL && bracket ? end + 1 : end;
    if (colon == NULL || *colon != ':')
        return afar_fail(err, AFAR_EINVAL, "'%.*s': host:port was expected", SHOWN_BYTES, text);
    enum afar_status status =
        forward_target_make(target, host, (size_t)(end - host), colon + 1, err);
    const bool is_ipv6_host = strchr(target->host, ':') != NULL;
    if (status == AFAR_OK && bracket != is_ipv6_host)
        return afar_fail(err, AFAR_EINVAL,
                         "'%.*s': write an IPv6 address, and only that, in brackets", SHOWN_BYTES,
                         text);
    return status;
}

void forward_target_format(const struct forward_target *target, char text[FORWARD_TEXT_BYTES])
{
    const bool bracket = strchr(target->host, ':') != NULL;
    (void)snprintf(text, FORWARD_TEXT_BYTES, bracket ? "[%s]:%u" : "%s:%u", target->host,
                   (unsigned)target->port);
}
