/* Where the real afard can be reached, and from when on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/raw.h"

static struct afard server;
enum { NAME_BYTES = 96 }; /* of a file in it */

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-listeners-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder); /* fails where a socket's file was left behind */
}

static int stop(void **state)
{
    (void)state;
    return afard_stop(&server);
}

static void name(char path[NAME_BYTES], const char *file)
{
    (void)snprintf(path, NAME_BYTES, "%s/%s", folder, file);
}

/* Runs `before`, and then afard with `rest` as its arguments. */
static void start_by_shell(struct program *program, const char *before, const char *rest)
{
    char afard[PROGRAM_TEXT_BYTES];
    char script[PROGRAM_TEXT_BYTES + 512];
    const char *argv[] = {"sh", "-c", script, NULL};
    (void)snprintf(script, sizeof script, "%s; exec '%s' --print-endpoints %s", before,
                   program_path("afard", afard), rest);
    program_start(program, argv, NULL);
}

/* ---- ready before anybody can ask ------------------------------------------------------------ */

/* A pipe with a name that nobody reads and that has no more room; the descriptor keeps it open. */
static int full_pipe(const char *path)
{
    static const char byte;
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    assert_true(fd >= 0);
    while (write(fd, &byte, 1) == 1) {
    }
    assert_int_equal(errno, EAGAIN);
    return fd;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* The page as it is; to be freed. */
static char *readyz(const char *socket_path)
{
    static const char request[] = "GET /readyz HTTP/1.0\r\n\r\n";
    size_t size = 0;
    int fd = connect_unix(socket_path);
    raw_send(fd, request, sizeof request - 1);
    char *answer = raw_read_rest(fd, &size);
    (void)close(fd);
    return answer;
}

/* It cannot print its endpoints yet: so whoever has read them comes later than this. */
static void ready_before_the_endpoints_are_known(void **state)
{
    (void)state;
    char fifo[NAME_BYTES];
    char http[NAME_BYTES];
    char rest[2 * NAME_BYTES + 64];
    struct program program;
    name(fifo, "fifo");
    name(http, "http");
    int fd = full_pipe(fifo);
    (void)snprintf(rest, sizeof rest, "--listen tcp://127.0.0.1:0 --http unix://%s >%s", http,
                   fifo);
    start_by_shell(&program, ":", rest);
    /* What it says last before it prints them. */
    program_expect(&program, 2, "health and metrics over HTTP");
    char *answer = readyz(http);
    assert_int_equal(strncmp(answer, "HTTP/1.1 200 ", 13), 0);
    free(answer);
    (void)close(fd); /* no reader any more: it cannot print, and ends */
    program_finish(&program, NULL, 0);
    program_close(&program);
    (void)unlink(http);
    assert_int_equal(unlink(fifo), 0);
}

/* ---- the mode of a socket -------------------------------------------------------------------- */

static void usable_whatever_the_umask(void **state)
{
    (void)state;
    char path[NAME_BYTES];
    char audit[NAME_BYTES];
    char rest[2 * NAME_BYTES + 64];
    char url[NAME_BYTES + 16];
    struct program program;
    struct program client;
    struct stat file;
    name(path, "socket");
    name(audit, "audit");
    (void)snprintf(url, sizeof url, "unix://%s", path);
    (void)snprintf(rest, sizeof rest, "--listen %s --set audit_log=%s", url, audit);
    start_by_shell(&program, "umask 777", rest);
    program_expect(&program, 1, "listening ");
    assert_int_equal(lstat(path, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    assert_int_equal(lstat(audit, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    /* Commands have the umask that it was started with. */
    const char *run[] = {"afar", "run", url, "--", "sh", "-c", "umask", NULL};
    assert_int_equal(program_run(&client, run, NULL, 0), 0);
    assert_string_equal(client.stdout_data, "0777\n");
    program_close(&client);
    assert_int_equal(kill(program.pid, SIGTERM), 0);
    program_finish(&program, NULL, 0);
    program_close(&program);
    assert_int_equal(unlink(audit), 0);
}

/* ---- both families --------------------------------------------------------------------------- */

/* A port that is free now, in either family. */
static uint16_t free_port(void)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    socklen_t size = sizeof any;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&any, size) != 0) {
        print_message("skipped: no IPv6 here\n");
        skip();
    }
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &size), 0);
    (void)close(fd);
    return ntohs(any.sin6_port);
}

static void expect_ping(const char *host, uint16_t port, int status)
{
    char url[64];
    struct program client;
    const char *argv[] = {"afar", "ping", url, NULL};
    (void)snprintf(url, sizeof url, "tcp://%s:%u", host, port);
    assert_int_equal(program_run(&client, argv, NULL, 0), status);
    program_close(&client);
}

static void every_address_of_both_families(void **state)
{
    (void)state;
    uint16_t port = free_port();
    char v4[64];
    char v6[64];
    (void)snprintf(v4, sizeof v4, "tcp://0.0.0.0:%u", port);
    (void)snprintf(v6, sizeof v6, "tcp://[::]:%u", port);
    const char *one[] = {"--allow-plaintext", "--listen", v6, NULL};
    afard_start(&server, one);
    assert_string_equal(server.url[0], v6);
    expect_ping("127.0.0.1", port, 0);
    expect_ping("[::1]", port, 0);
    assert_int_equal(afard_stop(&server), 0);

    /* As one had to write it before, in either order. */
    for (int i = 0; i < 2; i++) {
        const char *two[] = {"--allow-plaintext", "--listen",       i == 0 ? v4 : v6,
                             "--listen",          i == 0 ? v6 : v4, NULL};
        afard_start(&server, two);
        assert_non_null(strstr(server.url[i == 0 ? 1 : 0], "]:"));
        assert_non_null(strstr(server.url[i == 0 ? 1 : 0], "?ipv6only=yes"));
        expect_ping("127.0.0.1", port, 0);
        expect_ping("[::1]", port, 0);
        assert_int_equal(afard_stop(&server), 0);
    }
    (void)strncat(v6, "?ipv6only=yes", sizeof v6 - strlen(v6) - 1);
    afard_start(&server, one);
    expect_ping("127.0.0.1", port, 125);
    expect_ping("[::1]", port, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ready_before_the_endpoints_are_known),
        cmocka_unit_test(usable_whatever_the_umask),
        cmocka_unit_test_teardown(every_address_of_both_families, stop),
    };
    return cmocka_run_group_tests_name("listeners", tests, set_up, tear_down);
}
