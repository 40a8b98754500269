#include "support/echo_server.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/raw.h"

static bool send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

static void serve(int fd, enum echo_kind kind)
{
    static char data[65536];
    ssize_t got = 1;
    if (kind == ECHO_DEAF)
        (void)pause();
    while (kind == ECHO_FLOOD && send_all(fd, data, sizeof data))
        continue;
    if (kind == ECHO_GREETING) {
        (void)send_all(fd, "hello\n", 6);
        (void)shutdown(fd, SHUT_WR);
    }
    while (got > 0) {
        got = recv(fd, data, sizeof data, 0);
        if (kind == ECHO_RESET && got > 0) {
            raw_reset(fd);
            return;
        }
        if (kind == ECHO_PLAIN && got > 0 && !send_all(fd, data, (size_t)got))
            return;
    }
}

static void run(int listener, enum echo_kind kind)
{
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 && fork() == 0) {
            (void)close(listener);
            serve(fd, kind);
            _exit(0);
        }
        if (fd >= 0)
            (void)close(fd);
    }
}

bool echo_server_start(struct echo_server *server, enum echo_kind kind, bool ipv6)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *address = ipv6 ? (void *)&in6 : (void *)&in;
    socklen_t size = ipv6 ? sizeof in6 : sizeof in;
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, address, size) != 0) {
        if (fd >= 0)
            (void)close(fd);
        assert_true(ipv6);
        return false;
    }
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, address, &size), 0);
    server->port = ntohs(ipv6 ? in6.sin6_port : in.sin_port);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        run(fd, kind);
    }
    (void)setpgid(server->pid, server->pid);
    (void)close(fd);
    return true;
}

void echo_server_stop(struct echo_server *server)
{
    (void)kill(-server->pid, SIGKILL);
    (void)waitpid(server->pid, NULL, 0);
}
