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

enum { BACKLOG = 128, PAUSE_MS = 100, ACCEPTS_AT_ONCE = 16, FIRST_LISTENER = 3 };

void forwards_init(struct forwards *forwards)
{
    *forwards = (struct forwards){.control = -1};
}

struct forward_spec *forwards_next(struct forwards *forwards)
{
    return forwards->count < FORWARDS_MAX ? &forwards->specs[forwards->count] : NULL;
}

/* ---- signals --------------------------------------------------------------------------------- */

/* Holds back the signals that end this program: it must remove its sockets first. They stay
 * pending, and have their usual effect once let_signals_through is called. Ignored ones stay
 * ignored. */
static void hold_signals(struct forwards *forwards)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    if (forwards->holds_signals)
        return;
    (void)sigemptyset(&forwards->ends);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            (void)sigaddset(&forwards->ends, numbers[i]);
    }
    forwards->holds_signals = sigprocmask(SIG_BLOCK, &forwards->ends, &forwards->before) == 0;
}

static void let_signals_through(struct forwards *forwards)
{
    if (forwards->holds_signals)
        (void)sigprocmask(SIG_SETMASK, &forwards->before, NULL);
    forwards->holds_signals = false;
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

/* Notes which file the path leads to, so that no other file is removed in the end. */
static void note_socket(struct forward_spec *spec)
{
    struct stat info;
    spec->made = lstat(spec->path, &info) == 0 && S_ISSOCK(info.st_mode);
    spec->device = spec->made ? info.st_dev : 0;
    spec->inode = spec->made ? info.st_ino : 0;
}

/* Removes the names of the Unix sockets that we have made, if they still lead there. */
static void remove_sockets(struct forwards *forwards)
{
    struct stat info;
    for (size_t i = 0; i < forwards->count; i++) {
        struct forward_spec *spec = &forwards->specs[i];
        if (spec->made && lstat(spec->path, &info) == 0 && info.st_dev == spec->device &&
            info.st_ino == spec->inode)
            (void)unlink(spec->path);
        spec->made = false;
    }
}

/* Listens at a Unix socket that only its owner can connect to. -1: see errno; EADDRINUSE if the
 * path exists, even if no process listens there. */
static int listen_path(struct forward_spec *spec)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    (void)stpcpy(address.sun_path, spec->path);
    mode_t before = umask(0177);
    int result = bind(fd, (struct sockaddr *)&address, sizeof address);
    int failed = errno;
    (void)umask(before);
    if (result == 0)
        note_socket(spec);
    if (result == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    failed = result == 0 ? errno : failed;
    (void)close(fd);
    errno = failed;
    return -1;
}

/* Reports why there is no socket. One that nobody listens at any more is not replaced, as with
 * StreamLocalBindUnlink=no of ssh_config(5): another program may need it. */
static void tell_no_socket(const char *path, int failed)
{
    struct stat info;
    const char *more = "";
    if (failed == EADDRINUSE && lstat(path, &info) == 0)
        more = S_ISSOCK(info.st_mode) ? "; if nobody listens there any more, remove it"
                                      : "; a file that is not a socket is there";
    report("bind %s: %s%s", path, strerror(failed), more);
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
            hold_signals(forwards);
            int fd = listen_path(spec);
            good = fd >= 0;
            if (good)
                add_listener(forwards, fd, spec);
            else
                tell_no_socket(spec->path, errno);
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
    int ends;    /* one for the signals that end this program; never read, so they stay pending */
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
    (void)sigprocmask(SIG_SETMASK, &serving->forwards->before, NULL);
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
    remove_sockets(serving->forwards);
    return true;
}

/* Serves for one poll(2). False: end. */
static bool serve_once(struct serving *serving)
{
    struct pollfd waiting[FORWARD_LISTENERS_MAX + FIRST_LISTENER];
    struct forwards *forwards = serving->forwards;
    const bool takes = !serving->exhausted && serving->channels < FORWARD_CHANNELS_MAX;
    waiting[0] = (struct pollfd){.fd = serving->control, .events = POLLIN};
    waiting[1] = (struct pollfd){.fd = serving->signals, .events = POLLIN};
    waiting[2] = (struct pollfd){.fd = serving->ends, .events = POLLIN};
    for (size_t i = 0; i < forwards->listener_count; i++)
        waiting[FIRST_LISTENER + i] =
            (struct pollfd){.fd = takes ? forwards->listeners[i].fd : -1, .events = POLLIN};
    int ready = poll(waiting, forwards->listener_count + FIRST_LISTENER,
                     serving->exhausted ? PAUSE_MS : -1);
    serving->exhausted = false;
    if (ready < 0)
        return errno == EINTR;
    if (waiting[2].revents != 0)
        return false;
    if (waiting[1].revents != 0)
        reap(serving);
    for (size_t i = 0; i < forwards->listener_count; i++) {
        if (waiting[FIRST_LISTENER + i].revents != 0)
            take_connections(serving, &forwards->listeners[i]);
    }
    if (waiting[0].revents != 0 && !take_control(serving))
        return false;
    return !serving->ending || serving->channels > 0;
}

void forwards_serve(struct forwards *forwards, struct remote *remote, int control)
{
    struct serving serving = {.forwards = forwards, .remote = remote, .control = control};
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    /* Our parent may have left SIGCHLD ignored; then children cannot be waited for. */
    (void)signal(SIGCHLD, SIG_DFL);
    hold_signals(forwards);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    (void)sigdelset(&forwards->before, SIGCHLD);
    serving.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    serving.ends = signalfd(-1, &forwards->ends, SFD_CLOEXEC | SFD_NONBLOCK);
    if (serving.signals < 0 || serving.ends < 0)
        report("signalfd: %s", strerror(errno));
    while (serving.signals >= 0 && serving.ends >= 0 && serve_once(&serving))
        continue;
    if (serving.signals >= 0)
        (void)close(serving.signals);
    if (serving.ends >= 0)
        (void)close(serving.ends);
}

/* ---- in a process of its own ----------------------------------------------------------------- */

/* The terminal's signals are for the command. TERM is still held back. */
static void ignore_terminal(struct forwards *forwards)
{
    static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGPIPE};
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        (void)signal(ignored[i], SIG_IGN);
        (void)sigaddset(&set, ignored[i]);
        if (forwards->holds_signals)
            (void)sigdelset(&forwards->ends, ignored[i]);
    }
    /* A signalfd would also tell an ignored signal that is blocked. */
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* In the child. The end of the control pipe ends this process, however our parent ends; so this
 * process removes the sockets. */
static void be_server(struct forwards *forwards, struct remote *remote, int control)
{
    ignore_terminal(forwards);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        (forwards->is_silent && dup2(null, STDERR_FILENO) < 0))
        _exit(EXIT_FAILURE);
    remote_forget_connection(remote);
    forwards_serve(forwards, remote, control);
    remove_sockets(forwards);
    let_signals_through(forwards);
    _exit(0);
}

bool forwards_start(struct forwards *forwards, struct remote *remote)
{
    int ends[2];
    if (forwards->listener_count == 0) {
        let_signals_through(forwards);
        return true;
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        report("pipe: %s", strerror(errno));
        return false;
    }
    forwards->pid = fork();
    if (forwards->pid == 0) {
        (void)close(ends[1]);
        be_server(forwards, remote, ends[0]);
    }
    const int failed = errno;
    (void)close(ends[0]);
    forwards->control = ends[1];
    close_listeners(forwards);
    let_signals_through(forwards);
    if (forwards->pid > 0)
        return true;
    report("fork: %s", strerror(failed));
    remove_sockets(forwards);
    return false;
}

/* Waits for the process. True: it has ended well, and so has removed the sockets; or it is not our
 * child, because we have gone to the background, and removes them. */
static bool await(pid_t pid)
{
    int status = 0;
    pid_t ended = 0;
    do {
        ended = waitpid(pid, &status, 0);
    } while (ended < 0 && errno == EINTR);
    return ended < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void forwards_end(struct forwards *forwards)
{
    if (forwards->control < 0 || write(forwards->control, "e", 1) != 1)
        return;
    if (!await(forwards->pid))
        remove_sockets(forwards);
    forwards->pid = 0;
}

void forwards_close(struct forwards *forwards)
{
    close_listeners(forwards);
    if (forwards->control >= 0)
        (void)close(forwards->control);
    /* Only one process removes them: the other might find the next program's there. */
    if (forwards->control < 0 || (forwards->pid > 0 && !await(forwards->pid)))
        remove_sockets(forwards);
    let_signals_through(forwards);
    forwards_init(forwards);
}
