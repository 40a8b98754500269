#include "afar/jump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "afar/channel.h"
#include "afar/options.h"
#include "afar/remote.h"
#include "afar/report.h"
#include "base/clock.h"

/* GRACE_MS: what the process has beyond the time to connect, so that it says itself what is
 * wrong. READY_FD: its descriptor to say that the server is connected. */
enum { HOST_BYTES = 600, SAID_TRIES = 100, GRACE_MS = 500, READY_FD = STDERR_FILENO + 1 };

static const char default_port[] = ":7420";

bool jump_target(const char *url, char target[FORWARD_TEXT_BYTES])
{
    const char *scheme = strstr(url, "://");
    const char *host = scheme != NULL ? scheme + 3 : url;
    size_t size = strcspn(host, "?/");
    const char *close = memrchr(host, ']', size);
    const char *colon = memrchr(host, ':', size);
    const bool has_port = colon != NULL && (close == NULL || colon > close);
    struct forward_target parsed;
    char text[FORWARD_TEXT_BYTES];
    if (strncasecmp(url, "unix:", 5) == 0 ||
        snprintf(text, sizeof text, "%.*s%s", (int)size, host, has_port ? "" : default_port) >=
            (int)sizeof text ||
        forward_target_parse(&parsed, text, NULL) != AFAR_OK)
        return false;
    forward_target_format(&parsed, target);
    return true;
}

/* Splits "ssh://[USER@]HOST[:PORT][/]" or "[USER@]HOST[:PORT]" into what `afar run` calls HOST, and
 * USER (NULL: none). Afar's own URLs are left as they are. */
static const char *split_user(char host[HOST_BYTES], char *word)
{
    const char *user = NULL;
    const bool is_ssh = strncmp(word, "ssh://", 6) == 0;
    char *at = is_ssh ? word + 6 : word;
    if (is_ssh)
        at[strcspn(at, "/")] = '\0';
    char *last = strstr(at, "://") == NULL ? strrchr(at, '@') : NULL;
    if (last != NULL) {
        *last = '\0';
        user = at;
        at = last + 1;
    }
    /* In ssh(1) an IPv6 address without a port has no brackets, and a name may have some. */
    const bool bare =
        at[0] != '[' && strchr(at, ':') != strrchr(at, ':') && strstr(at, "://") == NULL;
    const char *close = at[0] == '[' ? strchr(at, ']') : NULL;
    const bool is_name = close != NULL && (close[1] == '\0' || close[1] == ':') &&
                         memchr(at, ':', (size_t)(close - at)) == NULL;
    if (is_name)
        (void)snprintf(host, HOST_BYTES, "%.*s%s", (int)(close - at - 1), at + 1, close + 1);
    else
        (void)snprintf(host, HOST_BYTES, bare ? "[%s]" : "%s", at);
    return user;
}

/* What split_user makes of it is HOST, HOST:PORT or a URL. */
static bool is_host(const char *host)
{
    const char *rest = host + strcspn(host, ":");
    if (strstr(host, "://") != NULL)
        return true;
    if (host[0] == '[')
        rest = strchr(host, ']') != NULL ? strchr(host, ']') + 1 : "?";
    const char *digits = rest + (rest[0] == ':' ? 1 : 0);
    const size_t size = strspn(digits, "0123456789");
    return host[0] != '\0' && host[0] != ':' && host[0] != '-' && strchr(host, ' ') == NULL &&
           (rest[0] == '\0' || (rest[0] == ':' && size > 0 && digits[size] == '\0'));
}

/* Checks each host's form, before the first one is connected to. False: reported. */
static bool check_hosts(const char *server, const char *list)
{
    char words[JUMP_LIST_BYTES];
    char host[HOST_BYTES];
    char *next = words;
    (void)snprintf(words, sizeof words, "%s", list);
    while (next != NULL) {
        char *word = strsep(&next, ",");
        const char *user = split_user(host, word);
        if (is_host(host) && (user == NULL || user[0] != '\0'))
            continue;
        report("%s: '%s' is not a list of jump hosts, each [USER@]HOST[:PORT], with commas between",
               server, list);
        return false;
    }
    return true;
}

/* Counts the jump hosts, following the file of hosts, in which a jump host can name others and so
 * lead back to the first. False: too many, or the file is bad; reported. */
static bool check_length(const char *server, const char *list)
{
    char words[JUMP_LIST_BYTES];
    char host[HOST_BYTES];
    unsigned count = 0;
    (void)snprintf(words, sizeof words, "%s", list);
    for (;;) {
        struct host entry = {.file = NULL};
        for (const char *at = words; at != NULL; at = strchr(at + 1, ','))
            count++;
        words[strcspn(words, ",")] = '\0';
        (void)split_user(host, words);
        if (count > JUMPS_MAX) {
            report("%s: more than %d jump hosts: does one of them lead to another, and back?",
                   server, JUMPS_MAX);
            return false;
        }
        bool found = strstr(host, "://") != NULL || host_find(&entry, host);
        const char *via = entry.value[HOST_VIA].text;
        const bool more = found && via != NULL && strcasecmp(via, "none") != 0;
        if (more)
            (void)snprintf(words, sizeof words, "%s", via);
        host_close(&entry);
        if (!more)
            return found;
    }
}

bool jump_init(struct jump *jump, const struct options *options, const char *list, const char *url)
{
    *jump = (struct jump){.options = options};
    if (snprintf(jump->list, sizeof jump->list, "%s", list) >= (int)sizeof jump->list) {
        report("%s: too long a list of jump hosts", options->host);
        return false;
    }
    if (!check_hosts(options->host, list) || !check_length(options->host, list))
        return false;
    /* TLS finds out by itself, and need not wait for an answer before it begins. */
    jump->waits = strncasecmp(url, "tcp://", 6) == 0;
    if (jump_target(url, jump->target))
        return true;
    report("%s: a jump host cannot lead there", url);
    return false;
}

/* The server is connected. */
static void say_ready(void *user)
{
    ssize_t written = write(READY_FD, "r", 1);
    (void)user;
    (void)written; /* our parent may have given up */
    (void)close(READY_FD);
}

/* In the child: carries the connection between standard input and output, which lead to our parent,
 * and the server. Returns the exit status. */
static int carry(const struct jump *jump)
{
    struct options options = *jump->options;
    struct remote remote;
    struct remote_route route = {.family = jump->family, .local_address = jump->local_address};
    struct channel channel = {.connected = jump->waits ? say_ready : NULL};
    struct jump before;
    char list[JUMP_LIST_BYTES];
    char host[HOST_BYTES];
    (void)stpcpy(list, jump->list);
    char *comma = strrchr(list, ',');
    const char *user = split_user(host, comma != NULL ? comma + 1 : list);
    if (comma != NULL)
        *comma = '\0';
    options.host = host;
    if (!remote_open(&remote, &options, NULL))
        return EXIT_FAILURE;
    const bool by_file = remote.route != NULL; /* its own entry has a `via` */
    if (comma != NULL) {
        if (!jump_init(&before, &options, list, remote.url))
            return EXIT_FAILURE;
        before.family = jump->family;
        before.local_address = jump->local_address;
        route =
            (struct remote_route){.open = jump_open, .has_said = jump_has_said, .user = &before};
    }
    if (comma != NULL || !by_file)
        remote.route = &route;
    if (user == NULL)
        user = remote.entry.value[HOST_USER].text;
    int status = channel_run(&remote, jump->target, user, &channel);
    remote_close(&remote);
    return status;
}

/* In the child. The terminal's signals are for the process that uses the connection; also HUP, which
 * that process may have to pass on over this connection. That process may go on in a child of its
 * own (-f), so its death does not end this one; the end of the stream does. */
static void be_child(const struct jump *jump, int fd, int ready)
{
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGQUIT, SIG_IGN);
    (void)signal(SIGTSTP, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0 ||
        (ready >= 0 && ready != READY_FD && dup3(ready, READY_FD, O_CLOEXEC) < 0) ||
        close_range(ready >= 0 ? READY_FD + 1 : READY_FD, ~0U, 0) != 0)
        _exit(EXIT_FAILURE);
    _exit(carry(jump));
}

/* Waits until the server is connected. The stream alone would not tell: it takes a request before
 * that, and its end could be the server's. False: reported, by the child or here. */
static bool wait_ready(struct jump *jump, int ready)
{
    const int64_t most_ms = jump->options->connect_timeout_ms;
    const int64_t deadline_ms = clock_deadline_ms(most_ms > 0 ? most_ms + GRACE_MS : 0);
    struct pollfd waiting = {.fd = ready, .events = POLLIN};
    char byte = 0;
    int polled = 0;
    do {
        polled = poll(&waiting, 1, clock_poll_timeout(deadline_ms));
    } while (polled < 0 && errno == EINTR);
    if (polled > 0 && read(ready, &byte, 1) == 1)
        return true;
    if (polled == 0)
        report("%s: cannot connect to %s: no answer in time", jump->list, jump->target);
    return false;
}

/* Starts the process. `ready`: the pipe on which it says that the server is connected, or -1. */
static int start(struct jump *jump, const int ready[2])
{
    int ends[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        report("%s: %s", jump->list, strerror(errno));
        return -1;
    }
    pid_t child = fork();
    if (child == 0)
        be_child(jump, ends[1], ready[1]);
    int failed = errno;
    (void)close(ends[1]);
    if (child > 0) {
        jump->pid = child;
        return ends[0];
    }
    report("%s: %s", jump->list, strerror(failed));
    (void)close(ends[0]);
    return -1;
}

int jump_open(void *user)
{
    struct jump *jump = user;
    int ready[2] = {-1, -1};
    jump_close(jump);
    if (jump->waits && pipe2(ready, O_CLOEXEC) != 0) {
        report("%s: %s", jump->list, strerror(errno));
        return -1;
    }
    int stream = start(jump, ready);
    if (!jump->waits)
        return stream;
    (void)close(ready[1]);
    if (stream >= 0 && !wait_ready(jump, ready[0])) {
        (void)close(stream);
        jump_close(jump);
        stream = -1;
    }
    (void)close(ready[0]);
    /* Only the first time: later, when a lost connection is to be had again, signals and keys must
     * not wait. */
    jump->waits = jump->waits && stream < 0;
    return stream;
}

bool jump_has_said(void *user)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    struct jump *jump = user;
    int status = 0;
    pid_t ended = 0;
    for (int i = 0; jump->pid > 0 && ended == 0 && i < SAID_TRIES; i++) {
        ended = waitpid(jump->pid, &status, WNOHANG);
        if (ended == 0)
            (void)nanosleep(&pause, NULL);
    }
    if (ended != 0)
        jump->pid = 0;
    return ended > 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void jump_close(struct jump *jump)
{
    if (jump->pid > 0) {
        (void)kill(jump->pid, SIGTERM);
        (void)waitpid(jump->pid, NULL, WNOHANG); /* if it has not ended yet, it stays a zombie */
    }
    jump->pid = 0;
}
