/* A web page can make a browser post to loopback, and the tutorial's protocols take plain text for
 * a shell command: what begins like an HTTP request, or holds what only one has, runs nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/raw.h"

enum { SIZED, HEADED, UNIX_HEADED, NATIVE, LISTENERS };

static struct afard server;
static char folder[64];
static char path[80];   /* what the body would make */
static char local[100]; /* the Unix listener's file */

static int set_up(void **state)
{
    (void)state;
    char url[160];
    (void)snprintf(folder, sizeof folder, "/tmp/afar-http-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/pwned", folder);
    (void)snprintf(local, sizeof local, "%s/socket", folder);
    (void)snprintf(url, sizeof url, "unix://%s?protocol=headed", local);
    const char *args[] = {"--listen", "tcp://127.0.0.1:0?protocol=sized",
                          "--listen", "tcp://127.0.0.1:0?protocol=headed",
                          "--listen", url,
                          "--listen", "tcp://127.0.0.1:0",
                          NULL};
    afard_start(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(afard_stop(&server), 0);
    return rmdir(folder);
}

static int connect_to(unsigned listener)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (listener != UNIX_HEADED)
        return raw_connect(afard_port(&server, listener));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", local);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* The connection is closed without a reply, but for a word where the protocol has one; and whatever
 * would have come of the body has not: a command that was sent after it has run. */
static void expect_nothing_ran(int fd)
{
    static const char after[] = "echo after";
    char reply[4 + 6];
    size_t size = 0;
    char *rest = raw_read_rest(fd, &size);
    if (rest != NULL)
        assert_null(strstr(rest, "total_size"));
    free(rest);
    (void)close(fd);
    fd = connect_to(SIZED);
    raw_send(fd, after, sizeof after - 1);
    assert_true(raw_read(fd, reply, sizeof reply));
    (void)close(fd);
    assert_memory_equal(reply + 4, "after\n", 6);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void of_all_methods(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "POST / HTTP/1.1",   "GET /x HTTP/1.1",  "PUT / HTTP/1.1",      "OPTIONS * HTTP/1.1",
        "DELETE / HTTP/1.1", "PATCH / HTTP/1.0", "HEAD / HTTP/1.1",     "CONNECT x:1 HTTP/1.1",
        "TRACE / HTTP/1.1",  "post / http/1.1",  "WHATEVER / HTTP/1.1", "PRI * HTTP/2.0",
    };
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char request[512];
        int fd = connect_to(i % LISTENERS);
        int length = snprintf(request, sizeof request,
                              "%s\r\nHost: localhost\r\nContent-Type: text/plain\r\n\r\n"
                              "touch %s\n",
                              lines[i], path);
        raw_send(fd, request, (size_t)length);
        expect_nothing_ran(fd);
    }
    afard_expect_log(&server, "refused: the client speaks HTTP");
}

static int make_request(char request[512])
{
    return snprintf(request, 512,
                    "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\r\n"
                    "touch %s\n",
                    path);
}

static void byte_by_byte(void **state)
{
    (void)state;
    char request[512];
    int length = make_request(request);
    for (unsigned listener = 0; listener < LISTENERS; listener++) {
        int fd = connect_to(listener);
        for (int i = 0; i < length; i++)
            raw_send(fd, request + i, 1);
        expect_nothing_ran(fd);
    }
}

/* The server takes silence for the end of a request. So the beginning of a method may be a command
 * by itself; what follows is known all the same. */
static void with_a_silence_in_the_middle(void **state)
{
    (void)state;
    char request[512];
    char first[4];
    int length = make_request(request);
    for (int cut = 1; cut < length; cut += cut < 30 ? 1 : 7) {
        int fd = connect_to(SIZED);
        raw_send(fd, request, (size_t)cut);
        /* A reply ("P: not found"), or the end: either way the silence has been noticed. */
        if (raw_read(fd, first, sizeof first))
            raw_send(fd, request + cut, (size_t)(length - cut));
        expect_nothing_ran(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_all_methods),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(with_a_silence_in_the_middle),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
