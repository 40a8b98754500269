#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "base/error.h"

/* True for "localhost" and names that end in ".localhost", with or without the root's dot. */
static bool is_localhost(const char *host)
{
    static const char name[] = "localhost";
    size_t size = strlen(host);
    if (size > 0 && host[size - 1] == '.')
        size--;
    if (size < sizeof name - 1 ||
        strncasecmp(host + size - (sizeof name - 1), name, sizeof name - 1) != 0)
        return false;
    return size == sizeof name - 1 || host[size - sizeof name] == '.';
}

bool address_needs_resolver(const char *host)
{
    struct in_addr address;
    return strchr(host, ':') == NULL && inet_aton(host, &address) == 0 && !is_localhost(host);
}

/* Lists the loopback addresses in the order of RFC 6724. Returns 0 or getaddrinfo's error. */
static int loopback(const char *port, const struct addrinfo *hints, struct addrinfo **list)
{
    static const char *const hosts[] = {"::1", "127.0.0.1"};
    struct addrinfo **tail = list;
    int rc = 0;
    for (size_t i = 0; i < 2 && rc == 0; i++) {
        rc = getaddrinfo(hosts[i], port, hints, tail);
        if (rc == 0)
            tail = &(*tail)->ai_next;
    }
    if (rc != 0 && tail != list) {
        freeaddrinfo(*list);
        *list = NULL;
    }
    return rc;
}

enum afar_status address_resolve(const struct endpoint *endpoint, bool passive,
                                 struct addrinfo **list, struct afar_error *err)
{
    char port[8];
    struct addrinfo hints = {0};

    /* No AI_ADDRCONFIG: in a container that has only a loopback interface it would hide ::1. */
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = endpoint->scheme == ENDPOINT_UDP ? SOCK_DGRAM : SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
    (void)snprintf(port, sizeof port, "%u", endpoint->port);

    *list = NULL;
    if (endpoint->scheme == ENDPOINT_UNIX)
        return afar_fail(err, AFAR_EBUG, "a Unix socket has no host to resolve");
    if (endpoint->host[0] == '\0' && !passive)
        return afar_fail(err, AFAR_EINVAL, "no host is given");

    const char *host = endpoint->host[0] == '\0' ? NULL : endpoint->host;
    bool local = host != NULL && is_localhost(host);
    int rc = local && !passive ? EAI_NONAME : getaddrinfo(host, port, &hints, list);
    if (rc != 0 && local)
        rc = loopback(port, &hints, list);
    int saved = errno;
    if (rc == 0)
        return AFAR_OK;
    *list = NULL;
    if (rc == EAI_MEMORY)
        return afar_fail(err, AFAR_ENOMEM, "out of memory while resolving '%s'", endpoint->host);
    if (rc == EAI_SYSTEM)
        return afar_fail_errno(err, saved, "cannot resolve '%s'", endpoint->host);
    return afar_fail(err, AFAR_ESYSTEM, "cannot resolve '%s': %s", endpoint->host,
                     gai_strerror(rc));
}

/* A socket that serves both families reports an IPv4 peer as ::ffff:a.b.c.d. */
static bool unmap(const struct sockaddr *address, struct sockaddr_in *plain)
{
    if (address->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6); /* `address` may not be aligned for it */
    if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return false;
    memset(plain, 0, sizeof *plain);
    plain->sin_family = AF_INET;
    plain->sin_port = v6.sin6_port;
    memcpy(&plain->sin_addr, &v6.sin6_addr.s6_addr[12], sizeof plain->sin_addr);
    return true;
}

static void format_unix(const struct sockaddr *address, socklen_t size, char *text,
                        size_t text_size)
{
    struct sockaddr_un local = {0};
    size_t path_size = 0;
    size_t header = offsetof(struct sockaddr_un, sun_path);

    if (size > header)
        path_size = size - header;
    if (path_size > sizeof local.sun_path)
        path_size = sizeof local.sun_path;
    memcpy(local.sun_path, (const char *)address + header, path_size);

    if (path_size == 0) /* a socket without a name, as those of most clients */
        (void)snprintf(text, text_size, "unix");
    else if (local.sun_path[0] == '\0') /* Linux's abstract names: a NUL, then any bytes */
        (void)snprintf(text, text_size, "unix:@%.*s", (int)path_size - 1, local.sun_path + 1);
    else
        (void)snprintf(text, text_size, "unix:%.*s", (int)path_size, local.sun_path);
}

void address_format(const struct sockaddr *address, socklen_t size, char *text, size_t text_size)
{
    struct sockaddr_in plain;
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];

    if (size < sizeof(sa_family_t)) {
        (void)snprintf(text, text_size, "unknown");
        return;
    }
    if (address->sa_family == AF_UNIX) {
        format_unix(address, size, text, text_size);
        return;
    }
    if (size >= sizeof(struct sockaddr_in6) && unmap(address, &plain)) {
        address = (const struct sockaddr *)&plain;
        size = sizeof plain;
    }
    int rc = getnameinfo(address, size, host, sizeof host, port, sizeof port,
                         NI_NUMERICHOST | NI_NUMERICSERV);
    if (rc != 0)
        (void)snprintf(text, text_size, "unknown");
    else
        (void)snprintf(text, text_size, address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
                       port);
}

bool address_is_loopback(const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    switch (address->sa_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        memcpy(&v4, address, sizeof v4);
        break;
    case AF_INET6:
        if (unmap(address, &v4))
            break;
        memcpy(&v6, address, sizeof v6);
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    default:
        return false;
    }
    return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
}

uint16_t address_port(const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    switch (address->sa_family) {
    case AF_INET:
        memcpy(&v4, address, sizeof v4);
        return ntohs(v4.sin_port);
    case AF_INET6:
        memcpy(&v6, address, sizeof v6);
        return ntohs(v6.sin6_port);
    default:
        return 0;
    }
}

void address_group(const struct sockaddr *address, struct address_group *group)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    *group = (struct address_group){0};
    switch (address->sa_family) {
    case AF_INET:
        memcpy(&v4, address, sizeof v4);
        break;
    case AF_INET6:
        if (unmap(address, &v4))
            break;
        memcpy(&v6, address, sizeof v6);
        group->size = ADDRESS_GROUP_BYTES;
        memcpy(group->bytes, &v6.sin6_addr, ADDRESS_GROUP_BYTES);
        return;
    default:
        return;
    }
    group->size = sizeof v4.sin_addr;
    memcpy(group->bytes, &v4.sin_addr, sizeof v4.sin_addr);
}

enum { USER_BYTES = sizeof(uid_t) + 1 }; /* differs from the size of an IPv4 address */

void address_group_user(uid_t user, struct address_group *group)
{
    *group = (struct address_group){.size = USER_BYTES};
    memcpy(group->bytes, &user, sizeof user);
}

void address_group_format(const struct address_group *group, char *text, size_t size)
{
    char address[INET6_ADDRSTRLEN] = "";
    struct in6_addr whole = {0};
    uid_t user = 0;
    memcpy(&whole, group->bytes, sizeof group->bytes);
    memcpy(&user, group->bytes, sizeof user);
    switch (group->size) {
    case sizeof(struct in_addr):
        (void)inet_ntop(AF_INET, group->bytes, address, sizeof address);
        (void)snprintf(text, size, "%s", address);
        break;
    case ADDRESS_GROUP_BYTES:
        (void)inet_ntop(AF_INET6, &whole, address, sizeof address);
        (void)snprintf(text, size, "%s/64", address);
        break;
    case USER_BYTES:
        (void)snprintf(text, size, "uid %lu", (unsigned long)user);
        break;
    default:
        (void)snprintf(text, size, "unix");
    }
}
