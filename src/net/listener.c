#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/socket.h"

/* A server holds the lock for three system calls. */
enum { LOCK_MS = 1000, LOCK_PAUSE_MS = 5 };

struct listener {
    int fd;
    struct endpoint endpoint;
    bool is_local;
    bool is_private;
    bool has_file; /* unix: bind(2) has made a file, which these identify: */
    dev_t file_dev;
    ino_t file_ino;
};

int listener_fd(const struct listener *listener)
{
    return listener->fd;
}

const struct endpoint *listener_endpoint(const struct listener *listener)
{
    return &listener->endpoint;
}

bool listener_is_local(const struct listener *listener)
{
    return listener->is_local;
}

bool listener_is_private(const struct listener *listener)
{
    return listener->is_private;
}

void listener_free(struct listener *listener)
{
    struct stat now;

    if (listener == NULL)
        return;
    if (listener->has_file && lstat(listener->endpoint.path, &now) == 0 &&
        now.st_dev == listener->file_dev && now.st_ino == listener->file_ino)
        (void)unlink(listener->endpoint.path);
    if (listener->fd >= 0)
        (void)close(listener->fd);
    free(listener);
}

static int socket_type(const struct endpoint *endpoint)
{
    int kind = endpoint->scheme == ENDPOINT_UDP ? SOCK_DGRAM : SOCK_STREAM;
    return kind | SOCK_NONBLOCK | SOCK_CLOEXEC;
}

/* ---- Unix sockets ---------------------------------------------------------------------------- */

/* True if a server may be listening there; only a refused connection proves the opposite. */
static bool is_served(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true; /* unknown: leave the file alone */
    bool refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   errno == ECONNREFUSED;
    (void)close(fd);
    return !refused;
}

/* Binds, and replaces a file that a dead server left behind, unless it is `locked` by somebody else:
 * it may be that of a server that is just starting, and does not listen yet. */
static enum afar_status bind_unix(int fd, const struct sockaddr_un *address, bool locked,
                                  struct afar_error *err)
{
    struct stat file;

    if (bind(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return AFAR_OK;
    if (errno != EADDRINUSE)
        return afar_fail_errno(err, errno, "cannot make the socket's file");
    if (lstat(address->sun_path, &file) == 0 && !S_ISSOCK(file.st_mode))
        return afar_fail_errno(err, EEXIST, "there is a file that is not a socket");
    if (is_served(address))
        return afar_fail_errno(err, EADDRINUSE, "another server listens there");
    if (locked)
        return afar_fail_errno(err, EADDRINUSE,
                               "another process has locked the folder, so the socket that a dead "
                               "server left there is not removed");
    if (unlink(address->sun_path) != 0 && errno != ENOENT)
        return afar_fail_errno(err, errno, "cannot remove the socket that a dead server left");
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        return afar_fail_errno(err, errno, "cannot make the socket's file");
    return AFAR_OK;
}

/* Locks the folder, so that of two servers that start together neither takes the other's new socket
 * for a stale one. Returns the folder (-1: not opened). *by_another: it is locked for longer than a
 * server needs. Not locked either is what cannot be: not every file system has locks. */
static int lock_folder_of(const char *path, bool *by_another)
{
    char copy[ENDPOINT_PATH_BYTES];
    memcpy(copy, path, sizeof copy);
    *by_another = false;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fd;
    const int64_t deadline_ms = clock_deadline_ms(LOCK_MS);
    int locked = flock(fd, LOCK_EX | LOCK_NB);
    while (locked != 0 && (errno == EWOULDBLOCK || errno == EINTR) &&
           clock_now_ms() < deadline_ms) {
        (void)poll(NULL, 0, LOCK_PAUSE_MS);
        locked = flock(fd, LOCK_EX | LOCK_NB);
    }
    *by_another = locked != 0 && errno == EWOULDBLOCK;
    return fd;
}

static enum afar_status open_unix(struct listener *listener, int backlog, struct afar_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat file;
    int lock_fd = -1;
    bool locked = false;
    enum afar_status status = AFAR_OK;

    memcpy(address.sun_path, listener->endpoint.path, sizeof address.sun_path);
    listener->is_local = true;
    listener->fd = socket(AF_UNIX, socket_type(&listener->endpoint), 0);
    if (listener->fd < 0)
        return afar_fail_errno(err, errno, "socket");
    /* On Linux, bind(2) gives the file the mode of the socket, so it never has another. */
    if (fchmod(listener->fd, 0600) != 0)
        return afar_fail_errno(err, errno, "cannot set the socket's mode");

    lock_fd = lock_folder_of(address.sun_path, &locked);
    status = bind_unix(listener->fd, &address, locked, err);
    if (status != AFAR_OK)
        goto out;
    if (lstat(address.sun_path, &file) != 0) {
        status = afar_fail_errno(err, errno, "the socket's file has vanished");
        goto out;
    }
    listener->has_file = true;
    listener->is_private = true;
    listener->file_dev = file.st_dev;
    listener->file_ino = file.st_ino;
    if (listen(listener->fd, backlog) != 0)
        status = afar_fail_errno(err, errno, "listen");
out:
    if (lock_fd >= 0)
        (void)close(lock_fd);
    return status;
}

/* ---- TCP and UDP ----------------------------------------------------------------------------- */

/* Listening at every address includes IPv4, whatever the system's default is. */
static bool serves_ipv6_alone(const struct endpoint *endpoint)
{
    return endpoint->ipv6_only || (endpoint->host[0] != '\0' && !endpoint_is_any6(endpoint));
}

static enum afar_status bind_address(struct listener *listener, const struct addrinfo *address,
                                     int backlog, struct afar_error *err)
{
    const struct endpoint *endpoint = &listener->endpoint;
    int on = 1;
    int v6only = serves_ipv6_alone(endpoint);

    int fd = socket(address->ai_family, socket_type(endpoint), 0);
    if (fd < 0)
        return afar_fail_errno(err, errno, "socket");
    listener->fd = fd;
    /* Not for UDP: two servers could share the port, and each would get some of the datagrams. */
    if (endpoint->scheme != ENDPOINT_UDP &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return afar_fail_errno(err, errno, "SO_REUSEADDR");
    if (address->ai_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only) != 0)
        return afar_fail_errno(err, errno, "IPV6_V6ONLY");
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0) {
        int saved = errno;
        return saved == EACCES ? afar_fail_errno(err, saved, "ports below 1024 need a privilege")
                               : afar_fail_errno(err, saved, "bind");
    }
    /* Accepted connections inherit the options. */
    if (endpoint->scheme != ENDPOINT_UDP)
        socket_set_tcp_options(fd, (sa_family_t)address->ai_family);
    if (endpoint->scheme != ENDPOINT_UDP && listen(fd, backlog) != 0)
        return afar_fail_errno(err, errno, "listen");
    return AFAR_OK;
}

static enum afar_status note_address(struct listener *listener, struct afar_error *err)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;

    if (getsockname(listener->fd, (struct sockaddr *)&address, &size) != 0)
        return afar_fail_errno(err, errno, "getsockname");
    listener->endpoint.port = address_port((const struct sockaddr *)&address);
    listener->is_local = address_is_loopback((const struct sockaddr *)&address);
    return AFAR_OK;
}

/* Without a host, IPv6 is tried first, because that socket serves IPv4 as well; IPv4 only if the
 * machine has no IPv6. With a host all addresses are tried in one pass, in the resolver's order. */
static bool is_turn_of(const struct endpoint *endpoint, int family, unsigned pass)
{
    static const int any_host_families[] = {AF_INET6, AF_INET};
    if (endpoint->ipv6_only && family != AF_INET6)
        return false;
    return endpoint->host[0] != '\0' || family == any_host_families[pass];
}

static enum afar_status open_inet(struct listener *listener, int backlog, struct afar_error *err)
{
    struct addrinfo *list = NULL;
    bool bound = false;

    enum afar_status status = address_resolve(&listener->endpoint, true, &list, err);
    if (status != AFAR_OK)
        return status;

    for (unsigned pass = 0; pass < 2 && !bound; pass++) {
        for (struct addrinfo *a = list; a != NULL && !bound; a = a->ai_next) {
            if (!is_turn_of(&listener->endpoint, a->ai_family, pass))
                continue;
            if (listener->fd >= 0)
                (void)close(listener->fd);
            listener->fd = -1;
            status = bind_address(listener, a, backlog, err);
            bound = status == AFAR_OK;
            if (status == AFAR_ESYSTEM && err != NULL && err->sys_errno == EADDRINUSE)
                goto out; /* in use: listening at another address would be a surprise */
        }
        if (listener->endpoint.host[0] != '\0')
            break;
    }
    if (bound)
        status = note_address(listener, err);
    else if (status == AFAR_OK)
        status = afar_fail(err, AFAR_ESYSTEM,
                           listener->endpoint.ipv6_only ? "the machine has no IPv6"
                                                        : "the machine has neither IPv6 nor IPv4");
out:
    freeaddrinfo(list);
    return status;
}

enum afar_status listener_open(struct listener **listener, const struct endpoint *endpoint,
                               int backlog, struct afar_error *err)
{
    char url[ENDPOINT_URL_BYTES];
    struct afar_error local;
    struct listener *made = calloc(1, sizeof *made);

    *listener = NULL;
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    made->fd = -1;
    made->endpoint = *endpoint;
    if (err == NULL) /* open_inet reads err->sys_errno */
        err = &local;

    enum afar_status status = endpoint->scheme == ENDPOINT_UNIX ? open_unix(made, backlog, err)
                                                                : open_inet(made, backlog, err);
    if (status != AFAR_OK) {
        endpoint_format(endpoint, url, sizeof url);
        (void)afar_prefix(err, "cannot listen at %s", url);
        listener_free(made);
        return status;
    }
    *listener = made;
    return AFAR_OK;
}

/* ---- sockets opened by another process ------------------------------------------------------- */

static bool option_is(int fd, int option, int wanted)
{
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

/* What is wrong with the socket; NULL: nothing. */
static const char *complaint(int fd, const struct endpoint *endpoint, sa_family_t family)
{
    if (endpoint->scheme == ENDPOINT_UNIX && family != AF_UNIX)
        return "it is not a Unix socket";
    if (endpoint->scheme != ENDPOINT_UNIX && family != AF_INET && family != AF_INET6)
        return family == AF_UNIX ? "it is a Unix socket: write unix+fd://"
                                 : "it is a socket of another family than IPv4 and IPv6";
    if (endpoint->scheme == ENDPOINT_UDP)
        return option_is(fd, SO_TYPE, SOCK_DGRAM) ? NULL : "it is not a datagram socket";
    if (!option_is(fd, SO_TYPE, SOCK_STREAM))
        return "it is not a stream socket";
    return option_is(fd, SO_ACCEPTCONN, 1)
               ? NULL
               : "it does not listen (a socket unit for a server has Accept=no)";
}

/* Replaces the endpoint's name by the socket's real address. */
static enum afar_status note_adopted(struct listener *listener, const struct sockaddr *address,
                                     socklen_t size, struct afar_error *err)
{
    struct endpoint *endpoint = &listener->endpoint;
    struct sockaddr_un local = {0};
    struct stat file;

    listener->is_local = address_is_loopback(address);
    if (address->sa_family != AF_UNIX) {
        int rc = getnameinfo(address, size, endpoint->host, sizeof endpoint->host, NULL, 0,
                             NI_NUMERICHOST);
        if (rc != 0)
            return afar_fail(err, AFAR_ESYSTEM, "getnameinfo: %s", gai_strerror(rc));
        endpoint->port = address_port(address);
        endpoint->inherited = false;
        return AFAR_OK;
    }
    memcpy(&local, address, size < sizeof local ? size : sizeof local);
    if (local.sun_path[0] != '/' || memchr(local.sun_path, '\0', sizeof local.sun_path) == NULL)
        return AFAR_OK; /* an abstract name of Linux */
    memset(endpoint->host, 0, sizeof endpoint->host);
    memcpy(endpoint->path, local.sun_path, sizeof endpoint->path);
    endpoint->port = 0;
    endpoint->inherited = false;
    listener->is_private =
        lstat(endpoint->path, &file) == 0 && (file.st_mode & (S_IWGRP | S_IWOTH)) == 0;
    return AFAR_OK;
}

static enum afar_status adopt(struct listener *listener, struct afar_error *err)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    const int fd = listener->fd;

    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return errno == ENOTSOCK ? afar_fail(err, AFAR_EINVAL, "it is not a socket")
                                 : afar_fail_errno(err, errno, "getsockname");
    const char *wrong = complaint(fd, &listener->endpoint, address.ss_family);
    if (wrong != NULL)
        return afar_fail(err, AFAR_EINVAL, "%s", wrong);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return afar_fail_errno(err, errno, "cannot make it non-blocking");
    if (listener->endpoint.scheme != ENDPOINT_UDP)
        socket_set_tcp_options(fd, address.ss_family);
    return note_adopted(listener, (const struct sockaddr *)&address, size, err);
}

enum afar_status listener_adopt(struct listener **listener, int fd, const struct endpoint *endpoint,
                                struct afar_error *err)
{
    char url[ENDPOINT_URL_BYTES];
    struct listener *made = calloc(1, sizeof *made);

    *listener = NULL;
    if (made == NULL) {
        (void)close(fd);
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    }
    made->fd = fd;
    made->endpoint = *endpoint;
    enum afar_status status = adopt(made, err);
    if (status != AFAR_OK) {
        endpoint_format(endpoint, url, sizeof url);
        (void)afar_prefix(err, "%s: the socket that was handed over cannot be used", url);
        listener_free(made);
        return status;
    }
    *listener = made;
    return AFAR_OK;
}

/* ---- connections ----------------------------------------------------------------------------- */

/* Errors of accept(2) about the waiting connection, not the listener: Linux reports errors that the
 * network has already signalled. EPERM comes from a firewall. */
static bool connection_vanished(int sys_errno)
{
    switch (sys_errno) {
    case EAGAIN:
    case ECONNABORTED:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPERM:
    case EPROTO:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

void listener_set_patience(struct listener *listener, uint64_t keepalive_ms,
                           uint64_t user_timeout_ms)
{
    socket_set_patience(listener->fd, keepalive_ms, user_timeout_ms);
}

/* Does not count root and the server's own user: they could take any resource of the server
 * anyway. */
static void group_user(int fd, struct address_group *group)
{
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    *group = (struct address_group){0};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid != 0 &&
        peer.uid != geteuid())
        address_group_user(peer.uid, group);
}

enum afar_status listener_accept(struct listener *listener, int *fd, char peer[ADDRESS_TEXT_BYTES],
                                 struct address_group *group, struct afar_error *err)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;

    *fd = -1;
    if (listener->endpoint.scheme == ENDPOINT_UDP)
        return afar_fail(err, AFAR_EBUG, "a datagram socket has no connections to accept");
    do {
        *fd =
            accept4(listener->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (*fd < 0 && errno == EINTR);

    if (*fd < 0) {
        int saved = errno;
        *fd = -1;
        if (connection_vanished(saved))
            return afar_fail(err, AFAR_EAGAIN, "no connection is waiting");
        (void)afar_fail_errno(err, saved, "cannot accept a connection");
        if (err != NULL)
            err->code = AFAR_ESYSTEM; /* also for ENOMEM: the caller pauses and does not give up */
        return AFAR_ESYSTEM;
    }
    address_format((const struct sockaddr *)&address, size, peer, ADDRESS_TEXT_BYTES);
    if (group != NULL && address.ss_family == AF_UNIX)
        group_user(*fd, group);
    else if (group != NULL)
        address_group((const struct sockaddr *)&address, group);
    return AFAR_OK;
}
