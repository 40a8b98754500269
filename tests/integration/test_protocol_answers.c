/* What PROTOCOL.md says of requests at the edge: a version that is not known, what a server offers,
 * directories and variables that are odd, an id used again, and errors that belong to no request.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/raw.h"

enum { TEXT_BYTES = 8192 };

static struct afard server;

static int set_up(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    afard_start(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

/* Reads frames to the first with `end` in its header: all headers and payloads, a line each. */
static void read_to(int fd, const char *end, char text[TEXT_BYTES])
{
    size_t used = 0;
    bool ended = false;
    text[0] = '\0';
    while (!ended) {
        char *payload = NULL;
        char *header = raw_read_header(fd, &payload);
        if (header == NULL)
            fail_msg("the connection has ended behind %s", text);
        ended = strstr(header, end) != NULL;
        int length = snprintf(text + used, TEXT_BYTES - used, "%s %s\n", header,
                              payload != NULL ? payload : "");
        assert_true(length > 0 && used + (size_t)length < TEXT_BYTES);
        used += (size_t)length;
        free(payload);
        free(header);
    }
}

static void ask(int fd, const char *frame, const char *end, char text[TEXT_BYTES])
{
    raw_send_frame(fd, frame);
    read_to(fd, end, text);
}

static void expect(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("'%s' is not in %s", part, text);
}

/* A stream that its client closes before the command has begun is closed when it begins. */
static void a_close_that_is_early(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"yes\"]}");
    ask(fd, "{\"type\":\"close\",\"id\":1,\"stream\":\"stdout\"}", "exit", text);
    expect(text, "\"signal\":\"PIPE\"");
    expect(text, "\"stdout\":0");
    (void)close(fd);
}

/* What is odd about it does not matter to a client of another version. */
static void a_version_that_is_not_known(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    int fd = raw_connect(afard_port(&server, 0));
    ask(fd, "{\"type\":\"exec\",\"v\":2,\"id\":1,\"argv\":{\"new\":[]}}", "error", text);
    expect(text, "\"id\":1,\"code\":\"unsupported\"");
    expect(text, "version 1");
    ask(fd, "{\"type\":\"exec\",\"v\":1,\"id\":2,\"argv\":[\"true\"]}", "exit", text);
    (void)close(fd);
}

static void expect_features(uint16_t port, const char *features)
{
    char text[TEXT_BYTES];
    int fd = raw_connect(port);
    ask(fd, "{\"type\":\"ping\",\"id\":1}", "pong", text);
    expect(text, features);
    ask(fd, "{\"type\":\"exec\",\"v\":1,\"id\":2,\"argv\":[\"true\"]}", "exit", text);
    expect(text, features);
    /* Once is enough. */
    ask(fd, "{\"type\":\"exec\",\"v\":1,\"id\":3,\"argv\":[\"true\"]}", "exit", text);
    expect(text, "\"type\":\"started\"");
    assert_null(strstr(text, "features"));
    (void)close(fd);
}

static void what_a_server_offers(void **state)
{
    (void)state;
    expect_features(afard_port(&server, 0),
                    "\"features\":[\"detach\",\"digest\",\"home\",\"kill\",\"pty\",\"resume\","
                    "\"start_within_ms\",\"subsystem\",\"user\",\"leave\",\"forward\"]}");

    struct afard other;
    char file[] = "/tmp/afar-features-XXXXXX";
    int fd = mkstemp(file);
    static const char rules[] = "[allow all]\nclient = anonymous\ncommand = **\n";
    assert_true(fd >= 0 && write(fd, rules, sizeof rules - 1) == sizeof rules - 1);
    (void)close(fd);
    const char *args[] = {"-c", file, "--listen", "tcp://127.0.0.1:0", NULL};
    afard_start(&other, args);
    expect_features(afard_port(&other, 0),
                    "\"features\":[\"detach\",\"digest\",\"home\",\"kill\",\"pty\",\"resume\","
                    "\"start_within_ms\",\"subsystem\",\"user\",\"leave\",\"forward\"]}");
    assert_int_equal(afard_stop(&other), 0);
    (void)unlink(file);
}

static void directories(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    char frame[512];
    char here[256];
    int fd = raw_connect(afard_port(&server, 0));
    assert_non_null(getcwd(here, sizeof here)); /* the server's too */
    ask(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"pwd\"],\"cwd\":\"src/wire\"}", "exit",
        text);
    (void)snprintf(frame, sizeof frame, " %s/src/wire\n", here);
    expect(text, frame);
    ask(fd, "{\"type\":\"exec\",\"v\":1,\"id\":2,\"argv\":[\"pwd\"],\"cwd\":\"\"}", "exit", text);
    expect(text, "\"outcome\":\"spawn_failed\"");
    expect(text, "\"error\":{\"errno\":\"ENOENT\",\"stage\":\"chdir\"}");
    (void)close(fd);
}

static void variables(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    int fd = raw_connect(afard_port(&server, 0));
    ask(fd,
        "{\"type\":\"exec\",\"v\":1,\"id\":1,\"shell\":\"echo [$A] [${B-unset}] [$AFAR_JOB]\","
        "\"env\":[\"A=1\",\"B=\",\"A=2\",\"AFAR_JOB=mine\"]}",
        "exit", text);
    expect(text, " [2] [] [");
    assert_null(strstr(text, "mine"));
    (void)close(fd);
}

static void an_id_used_again(void **state)
{
    (void)state;
    static const char sleeps[] =
        "{\"type\":\"exec\",\"v\":1,\"id\":1,\"stdin\":\"stream\",\"argv\":[\"sleep\",\"1000\"]}";
    static const char echoes[] =
        "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"echo\",\"again\"]}";
    char text[TEXT_BYTES];
    int fd = raw_connect(afard_port(&server, 0));
    ask(fd, echoes, "exit", text);
    ask(fd, echoes, "exit", text);
    expect(text, "\"seq\":0,\"size\":6} again\n");

    /* The error to the second is the first one's end too. */
    ask(fd, sleeps, "started", text);
    ask(fd, echoes, "error", text);
    expect(text, "\"id\":1,\"code\":\"bad_request\"");
    ask(fd, echoes, "exit", text);
    expect(text, " again\n");
    (void)close(fd);
}

static void errors_that_belong_to_no_request(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    int fd = raw_connect(afard_port(&server, 0));
    ask(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"stdin\":\"stream\",\"argv\":[\"cat\"]}",
        "started", text);
    ask(fd, "{\"type\":\"signal\",\"id\":1,\"name\":\"DANCE\"}", "error", text);
    expect(text, "{\"type\":\"error\",\"code\":\"bad_request\"");
    ask(fd, "{\"type\":\"resize\",\"id\":1,\"rows\":1,\"columns\":1}", "error", text);
    expect(text, "{\"type\":\"error\",\"code\":\"bad_request\"");
    ask(fd, "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"eof\":true}", "exit", text);
    expect(text, "\"outcome\":\"exited\",\"code\":0");
    (void)close(fd);
}

/* The least that every server takes, before it has said anything. */
static void stdin_before_started(void **state)
{
    (void)state;
    enum { FRAME = 65536, CREDIT = 262144 };
    static char piece[FRAME];
    char text[TEXT_BYTES];
    char frame[128];
    struct afard small;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "payload_bytes=65536", NULL};
    afard_start(&small, args);
    int fd = raw_connect(afard_port(&small, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"stdin\":\"stream\","
                       "\"argv\":[\"wc\",\"-c\"]}");
    for (unsigned offset = 0; offset < CREDIT; offset += FRAME) {
        (void)snprintf(frame, sizeof frame,
                       "{\"type\":\"stdin\",\"id\":1,\"offset\":%u,\"size\":%d}", offset, FRAME);
        raw_send_frame_with(fd, frame, piece, FRAME);
    }
    (void)snprintf(frame, sizeof frame, "{\"type\":\"stdin\",\"id\":1,\"offset\":%d,\"eof\":true}",
                   CREDIT);
    ask(fd, frame, "exit", text);
    expect(text, " 262144\n");
    assert_null(strstr(text, "credit"));
    (void)close(fd);
    assert_int_equal(afard_stop(&small), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_close_that_is_early),
        cmocka_unit_test(a_version_that_is_not_known),
        cmocka_unit_test(what_a_server_offers),
        cmocka_unit_test(directories),
        cmocka_unit_test(variables),
        cmocka_unit_test(an_id_used_again),
        cmocka_unit_test(errors_that_belong_to_no_request),
        cmocka_unit_test(stdin_before_started),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
