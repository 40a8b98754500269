#include "afar/ssh/proxy.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "afar/report.h"

static const char *value_of(const struct proxy *proxy, char letter)
{
    switch (letter) {
    case '%':
        return "%";
    case 'h':
        return proxy->host;
    case 'p':
        return proxy->port;
    case 'r':
        return proxy->user;
    case 'n':
        return proxy->name;
    default:
        return NULL;
    }
}

/* True if a shell takes it as a plain word, and a program does not take it for an option. A name
 * may come from others, as in a URL that git is to clone. */
static bool is_plain(const char *value)
{
    for (const char *at = value; *at != '\0'; at++) {
        if (strchr("'`\"$\\;&<>|(){}", *at) != NULL || (unsigned char)*at <= ' ' || *at == 127)
            return false;
    }
    return value[0] != '-';
}

bool proxy_expand(const struct proxy *proxy, char line[PROXY_LINE_BYTES])
{
    size_t used = (size_t)snprintf(line, PROXY_LINE_BYTES, "exec ");
    for (const char *at = proxy->command; *at != '\0'; at++) {
        char plain[2] = {*at, '\0'};
        const bool is_letter = *at == '%';
        const char *value = is_letter ? value_of(proxy, *++at) : plain;
        if (value == NULL || used + strlen(value) >= PROXY_LINE_BYTES) {
            (void)snprintf(line, PROXY_LINE_BYTES,
                           "'%.200s': too long, or a %% that is not %%h, %%p, %%r, %%n or %%%%",
                           proxy->command);
            return false;
        }
        if (is_letter && !is_plain(value)) {
            (void)snprintf(line, PROXY_LINE_BYTES,
                           "'%.200s' has characters that a shell would obey", value);
            return false;
        }
        used += (size_t)snprintf(line + used, PROXY_LINE_BYTES - used, "%s", value);
    }
    return true;
}

/* In the child: runs the line by the user's shell. */
static void run_it(const char *line, int fd)
{
    const char *shell = getenv("SHELL");
    if (shell == NULL || shell[0] != '/')
        shell = "/bin/sh";
    (void)signal(SIGPIPE, SIG_DFL);
    if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
        _exit(127);
    (void)execl(shell, shell, "-c", line, (char *)NULL);
    report("cannot execute '%s': %s", shell, strerror(errno));
    _exit(127);
}

int proxy_open(void *user)
{
    struct proxy *proxy = user;
    char line[PROXY_LINE_BYTES];
    int ends[2] = {-1, -1};
    proxy_close(proxy);
    if (!proxy_expand(proxy, line)) {
        report("ProxyCommand: %s", line);
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        report("ProxyCommand: %s", strerror(errno));
        return -1;
    }
    pid_t child = fork();
    if (child == 0)
        run_it(line, ends[1]);
    (void)close(ends[1]);
    if (child > 0) {
        proxy->pid = child;
        return ends[0];
    }
    report("ProxyCommand: %s", strerror(errno));
    (void)close(ends[0]);
    return -1;
}

void proxy_close(struct proxy *proxy)
{
    if (proxy->pid > 0)
        (void)kill(proxy->pid, SIGHUP);
    proxy->pid = 0;
}
