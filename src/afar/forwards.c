#include "afar/forwards.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "afar/forward_channel.h"
#include "afar/report.h"

enum { BACKLOG = 128, PAUSE_MS = 100, ACCEPTS_AT_ONCE = 16, PLACE_BYTES = 320 };

void forwards_init(struct forwards *forwards)
{
    *forwards = (struct forwards){.control = -1};
}

struct forward_spec *forwards_next(struct forwards *forwards)
{
    return forwards->count < FORWARDS_MAX ? &forwards->specs[forwards->count] : NULL;
}

/* ---- listening ------------------------------------------------------------------------------- */

static void add_listener(struct forwards *forwards, int fd, const struct forward_spec *spec)
{
    forwards->listeners[forwards->listener_count++] =
        (struct forward_listener){.fd = fd, .spec = spec};
}

static bool is_full(const struct forwards *forwards)
{
    return forwards->listener_count == FORWARD_LISTENERS_MAX;
}

/* Listens at a Unix socket that only its owner can connect to. -1: see errno; EADDRINUSE if the
 * path exists, even if no process listens there. */
static int listen_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    (void)stpcpy(address.sun_path, path);
    mode_t before = umask(0177);
    int result = bind(fd, (struct sockaddr *)&address, sizeof address);
    int failed = errno;
    (void)umask(before);
    if (result == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    failed = result == 0 ? errno : failed;
    (void)close(fd);
    errno = failed;
    return -1;
}

/* -1: see errno. */
static int listen_address(const struct addrinfo *at)
{
    const int yes = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (at->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int failed = errno;
    (void)close(fd);
    errno = failed;
    return -1;
}

static unsigned port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address = {.in6 = {0}};
    socklen_t size = sizeof address;
    if (getsockname(fd, &address.any, &size) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.in6.sin6_port : address.in.sin_port);
}

/* The address to listen at; NULL: all. */
static const char *host_of(const struct forwards *forwards, const struct forward_spec *spec)
{
    if (!spec->has_bind)
        return forwards->everywhere ? NULL : "localhost";
    return spec->bind[0] == '\0' || strcmp(spec->bind, "*") == 0 ? NULL : spec->bind;
}

/* Listens at all addresses of the host, with the same port: if the kernel chooses it, the first
 * address decides. A missing address family is not a failure if the other one works. */
static bool listen_host(struct forwards *forwards, struct forward_spec *spec)
{
    char port[8];
    const char *host = host_of(forwards, spec);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    size_t before = forwards->listener_count;
    int failed = 0;
    (void)snprintf(port, sizeof port, "%u", spec->port);
    int wrong = getaddrinfo(host, port, &hints, &list);
    if (wrong != 0) {
        report("bind [%s]:%s: %s", spec->bind, port, gai_strerror(wrong));
        return false;
    }
    for (struct addrinfo *at = list; at != NULL && !is_full(forwards); at = at->ai_next) {
        in_port_t *number = at->ai_family == AF_INET6
                                ? &((struct sockaddr_in6 *)at->ai_addr)->sin6_port
                                : &((struct sockaddr_in *)at->ai_addr)->sin_port;
        *number = htons(spec->port);
        int fd = listen_address(at);
        if (fd < 0) {
            failed = errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT ? failed : errno;
            continue;
        }
        spec->port = (uint16_t)port_of(fd);
        add_listener(forwards, fd, spec);
    }
    freeaddrinfo(list);
    if (failed == 0 && forwards->listener_count > before)
        return true;
    report("bind [%s]:%s: %s", host != NULL ? host : "*", port,
           strerror(failed != 0 ? failed : EADDRNOTAVAIL));
    return forwards->listener_count > before;
}

static void tell_listener(const struct forwards *forwards, const struct forward_spec *spec)
{
    const char *host = host_of(forwards, spec);
    const char *to = spec->dynamic ? "where each client says (SOCKS)" : spec->target;
    if (spec->path[0] != '\0')
        report_plain("%s -> %s", spec->path, to);
    else
        report_plain("%s:%u -> %s", host != NULL ? host : "*", (unsigned)spec->port, to);
}

bool forwards_listen(struct forwards *forwards, bool tell)
{
    bool all = true;
    for (size_t i = 0; i < forwards->count; i++) {
        struct forward_spec *spec = &forwards->specs[i];
        const bool chosen = spec->port == 0;
        bool good = false;
        if (spec->path[0] != '\0') {
            int fd = listen_path(spec->path);
            good = fd >= 0;
            if (good)
                add_listener(forwards, fd, spec);
            else
                report("bind %s: %s", spec->path, strerror(errno));
        } else {
            good = listen_host(forwards, spec);
        }
        all = all && good;
        if (good && (tell || (chosen && spec->path[0] == '\0')))
            tell_listener(forwards, spec);
    }
    return all;
}

static void close_listeners(struct forwards *forwards)
{
    for (size_t i = 0; i < forwards->listener_count; i++)
        (void)close(forwards->listeners[i].fd);
    forwards->listener_count = 0;
}

/* ---- serving --------------------------------------------------------------------------------- */

struct serving {
    struct forwards *forwards;
    struct remote *remote;
    int control;
    int signals; /* a signalfd for SIGCHLD */
    sigset_t before;
    size_t channels;
    bool ending;    /* accept no more */
    bool exhausted; /* out of descriptors or processes: pause */
};

static void reap(struct serving *serving)
{
    struct signalfd_siginfo info;
    while (read(serving->signals, &info, sizeof info) > 0)
        continue;
    while (serving->channels > 0 && waitpid(-1, NULL, WNOHANG) > 0)
        serving->channels--;
}

/* In the child: serves one connection. Closes all other descriptors. */
static void be_channel(struct serving *serving, const struct forward_spec *spec, int fd,
                       pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGTERM, 0UL, 0UL, 0UL);
    (void)sigprocmask(SIG_SETMASK, &serving->before, NULL);
    if (getppid() != parent || dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0 ||
        close_range(STDERR_FILENO + 1, ~0U, 0) != 0)
        _exit(EXIT_FAILURE);
    _exit(forward_channel(serving->remote, spec->dynamic ? NULL : spec->target,
                          serving->forwards->user));
}

static void take_connections(struct serving *serving, const struct forward_listener *listener)
{
    for (int i = 0; i < ACCEPTS_AT_ONCE && serving->channels < FORWARD_CHANNELS_MAX; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            serving->exhausted =
                errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
            return;
        }
        pid_t parent = getpid();
        pid_t child = fork();
        if (child == 0)
            be_channel(serving, listener->spec, fd, parent);
        if (child > 0)
            serving->channels++;
        else
            report("no process for a connection: %s", strerror(errno));
        serving->exhausted = child < 0;
        (void)close(fd);
    }
}

/* Acts on what the control pipe says. False: end. */
static bool take_control(struct serving *serving)
{
    char byte = 0;
    ssize_t got = read(serving->control, &byte, 1);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (got <= 0 && !serving->ending)
        return false;
    serving->ending = true;
    serving->control = -1;
    close_listeners(serving->forwards);
    return true;
}

/* Serves for one poll(2). False: end. */
static bool serve_once(struct serving *serving)
{
    struct pollfd waiting[FORWARD_LISTENERS_MAX + 2];
    struct forwards *forwards = serving->forwards;
    const bool takes = !serving->exhausted && serving->channels < FORWARD_CHANNELS_MAX;
    waiting[0] = (struct pollfd){.fd = serving->control, .events = POLLIN};
    waiting[1] = (struct pollfd){.fd = serving->signals, .events = POLLIN};
    for (size_t i = 0; i < forwards->listener_count; i++)
        waiting[i + 2] =
            (struct pollfd){.fd = takes ? forwards->listeners[i].fd : -1, .events = POLLIN};
    int ready = poll(waiting, forwards->listener_count + 2, serving->exhausted ? PAUSE_MS : -1);
    serving->exhausted = false;
    if (ready < 0)
        return errno == EINTR;
    if (waiting[1].revents != 0)
        reap(serving);
    for (size_t i = 0; i < forwards->listener_count; i++) {
        if (waiting[i + 2].revents != 0)
            take_connections(serving, &forwards->listeners[i]);
    }
    if (waiting[0].revents != 0 && !take_control(serving))
        return false;
    return !serving->ending || serving->channels > 0;
}

void forwards_serve(struct forwards *forwards, struct remote *remote, int control)
{
    struct serving serving = {.forwards = forwards, .remote = remote, .control = control};
    sigset_t mask;
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGCHLD);
    /* Our parent may have left SIGCHLD ignored; then children cannot be waited for. */
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigprocmask(SIG_BLOCK, &mask, &serving.before);
    (void)sigdelset(&serving.before, SIGCHLD);
    serving.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (serving.signals < 0) {
        report("signalfd: %s", strerror(errno));
        return;
    }
    while (serve_once(&serving))
        continue;
    (void)close(serving.signals);
}

/* ---- in a process of its own ----------------------------------------------------------------- */

/* In the child: ignores the terminal's signals, which are for the command. The end of the control
 * pipe ends this process. */
static void be_server(struct forwards *forwards, struct remote *remote, int control)
{
    static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGPIPE};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        (void)signal(ignored[i], SIG_IGN);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        (forwards->is_silent && dup2(null, STDERR_FILENO) < 0))
        _exit(EXIT_FAILURE);
    remote_forget_connection(remote);
    forwards_serve(forwards, remote, control);
    _exit(0);
}

bool forwards_start(struct forwards *forwards, struct remote *remote)
{
    int ends[2];
    if (forwards->listener_count == 0)
        return true;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        report("pipe: %s", strerror(errno));
        return false;
    }
    forwards->pid = fork();
    if (forwards->pid == 0) {
        (void)close(ends[1]);
        be_server(forwards, remote, ends[0]);
    }
    (void)close(ends[0]);
    forwards->control = ends[1];
    close_listeners(forwards);
    if (forwards->pid > 0)
        return true;
    report("fork: %s", strerror(errno));
    return false;
}

void forwards_end(struct forwards *forwards)
{
    if (forwards->control < 0 || write(forwards->control, "e", 1) != 1)
        return;
    while (waitpid(forwards->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* Also removes the Unix sockets' names. */
void forwards_close(struct forwards *forwards)
{
    close_listeners(forwards);
    if (forwards->control >= 0)
        (void)close(forwards->control);
    for (size_t i = 0; i < forwards->count; i++) {
        if (forwards->specs[i].path[0] != '\0')
            (void)unlink(forwards->specs[i].path);
    }
    forwards_init(forwards);
}
