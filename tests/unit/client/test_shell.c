#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"

/* The server's end of a socket pair; what it says is written before the client asks, except that
 * the client refuses what comes before it has asked: so `answer` is written by another process. */
static struct afar_client *connect_pair(enum endpoint_protocol protocol, const void *answer,
                                        size_t size, size_t piece, const char *expected_request)
{
    int pair[2];
    struct transport *transport = NULL;
    struct afar_client *client = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char request[256] = "";
        (void)close(pair[0]);
        ssize_t got = read(pair[1], request, sizeof request - 1);
        bool right = got > 0 && strcmp(request, expected_request) == 0;
        for (size_t at = 0; right && at < size; at += piece) {
            size_t left = size - at;
            if (write(pair[1], (const char *)answer + at, left < piece ? left : piece) < 0)
                break;
        }
        /* Ends the connection, and with it a client that waits for more. */
        _exit(0);
    }
    (void)close(pair[1]);
    assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(transport_plain_new(&transport, pair[0], NULL), AFAR_OK);
    assert_int_equal(afar_client_new_on_transport(&client, transport, "pair", NULL), AFAR_OK);
    client->protocol = protocol;
    return client;
}

static void on_output(void *user, const void *data, size_t size)
{
    (void)strncat(user, data, size);
}

struct expectation {
    enum endpoint_protocol protocol;
    const char *answer;
    size_t size;
    enum afar_status status;
    const char *output;
    const char *md5;
    bool verified;
};

static void check(const struct expectation *expected)
{
    for (size_t piece = 1; piece <= expected->size + 1; piece++) {
        struct afar_shell_reply reply = AFAR_SHELL_REPLY_INIT();
        struct afar_error err = {0};
        char output[256] = "";
        struct afar_client *client =
            connect_pair(expected->protocol, expected->answer, expected->size, piece, "ls -l");
        enum afar_status status =
            afar_shell_run(client, "ls -l", on_output, output, 10000, &reply, &err);
        assert_int_equal(status, expected->status);
        if (status == AFAR_OK) {
            assert_string_equal(output, expected->output);
            assert_int_equal(reply.output_bytes, strlen(expected->output));
            assert_string_equal(reply.md5, expected->md5);
            assert_int_equal(reply.md5_verified, expected->verified);
        } else {
            assert_non_null(strstr(err.message, "pair"));
            assert_int_equal(afar_shell_run(client, "ls", NULL, NULL, 10, &reply, NULL), status);
        }
        afar_close(client);
    }
}

static void test_sized(void **state)
{
    (void)state;
    check(&(struct expectation){PROTOCOL_SIZED, "\x03\0\0\0abc", 7, AFAR_OK, "abc", "", false});
    check(&(struct expectation){PROTOCOL_SIZED, "\0\0\0\0", 4, AFAR_OK, "", "", false});
}

#define HEAD_RIGHT \
    "{\"filename\": \"a.txt\", \"total_size\": 3, \"md5\": \"900150983cd24fb0d6963f7d28e17f72\"}"
#define HEAD_WRONG \
    "{\"filename\": \"a.txt\", \"total_size\": 3, \"md5\": \"900150983cd24fb0d6963f7d28e17f73\"}"
#define HEAD_TUTORIAL "{\"filename\": \"a.txt\", \"total_size\": 3, \"md5\": \"xxxxxx\"}"

static void check_headed(const char *header, const char *md5, bool verified)
{
    char answer[256];
    int size =
        snprintf(answer, sizeof answer, "%c%c%c%c%sabc", (int)strlen(header), 0, 0, 0, header);
    check(&(struct expectation){PROTOCOL_HEADED, answer, (size_t)size, AFAR_OK, "abc", md5,
                                verified});
}

static void test_headed(void **state)
{
    (void)state;
    check_headed(HEAD_RIGHT, "900150983cd24fb0d6963f7d28e17f72", true);
    check_headed(HEAD_WRONG, "900150983cd24fb0d6963f7d28e17f73", false);
    check_headed(HEAD_TUTORIAL, "xxxxxx", false);
}

static void test_replies_that_are_cut(void **state)
{
    (void)state;
    for (size_t size = 0; size < 7; size++)
        check(&(struct expectation){PROTOCOL_SIZED, "\x03\0\0\0abc", size, AFAR_ECLOSED, NULL, NULL,
                                    false});
}

static void test_replies_that_are_none(void **state)
{
    (void)state;
    check(&(struct expectation){PROTOCOL_SIZED, "\xff\xff\xff\xff", 4, AFAR_EPEER, NULL, NULL,
                                false});
    check(&(struct expectation){PROTOCOL_HEADED, "\x02\0\0\0[]", 6, AFAR_EPEER, NULL, NULL, false});
}

static void test_what_cannot_be_asked(void **state)
{
    (void)state;
    struct afar_shell_reply reply = AFAR_SHELL_REPLY_INIT();
    struct afar_error err;
    struct afar_client *client = connect_pair(PROTOCOL_SIZED, "", 0, 1, "");
    assert_int_equal(afar_shell_run(client, "", NULL, NULL, 0, &reply, &err), AFAR_EINVAL);
    assert_int_equal(afar_shell_run(client, NULL, NULL, NULL, 0, &reply, &err), AFAR_EINVAL);
    client->protocol = PROTOCOL_AFAR;
    assert_int_equal(afar_shell_run(client, "ls", NULL, NULL, 0, &reply, &err), AFAR_EINVAL);
    client->protocol = PROTOCOL_SIZED;
    assert_int_equal(afar_process(client, &err), AFAR_EINVAL);
    afar_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sized),
        cmocka_unit_test(test_headed),
        cmocka_unit_test(test_replies_that_are_cut),
        cmocka_unit_test(test_replies_that_are_none),
        cmocka_unit_test(test_what_cannot_be_asked),
    };
    (void)signal(SIGCHLD, SIG_IGN); /* the children need no waiting for */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
