/* What bad input gets: an error frame that names what was wrong, a closed connection where framing
 * is lost, one line in the log, and nothing for anybody else. */
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

static struct afard server;

static int set_up(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "kill_grace_ms=200", NULL};
    afard_start(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

static void expect_well(void)
{
    struct program program;
    const char *argv[] = {"afar", "run", server.url[0], "--", "true", NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    program_close(&program);
}

static void expect_header(int fd, const char *const *parts)
{
    char *header = raw_read_header(fd, NULL);
    assert_non_null(header);
    for (; *parts != NULL; parts++) {
        if (strstr(header, *parts) == NULL)
            fail_msg("%s is not in %s", *parts, header);
    }
    free(header);
}

static void expect_closed(int fd)
{
    size_t size = 0;
    char *rest = raw_read_rest(fd, &size);
    assert_int_equal(size, 0);
    free(rest);
    (void)close(fd);
}

static void lost_framing(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *word;
    } cases[] = {
        {"\xff\xff\xff\xff", 4, "header of"},   /* negative as an int32 */
        {"\x00\x00\x00\x80", 4, "header of"},   /* the most negative */
        {"\x01\x00\x01\x00", 4, "header of"},   /* 65,537 */
        {"\x00\x00\x00\x00", 4, "header of"},   /* empty */
        {"\x01\x00\x00\x00{", 5, "header of"},  /* too short for {} */
        {"\x05\x00\x00\x00{\"a\":", 9, "JSON"}, /* broken */
        {"\x02\x00\x00\x00[]", 6, "object"},    /* no object */
        {"\x04\x00\x00\x00"
         "true",
         8, "object"},
        {"\x0a\x00\x00\x00[[[[[[[[[[", 14, "deep"},
        {"\x0d\x00\x00\x00{\"a\":1,\"a\":1}", 17, "twice"},
        {"\x0e\x00\x00\x00{\"a\":\"\\u0000\"}", 18, "NUL"},
        {"\x07\x00\x00\x00{\"\xff\":1}", 11, "UTF-8"},
        {"\x10\x00\x00\x00{\"size\":2000000}", 20, "payload of"},
        {"\x0b\x00\x00\x00{\"size\":-1}", 15, "size"},
        {"GET / HTTP/1.1\r\n\r\n", 18, "HTTP"},
        {"\x16\x03\x01\x02\x00\x01\x00\x01", 8, "TLS"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = raw_connect(afard_port(&server, 0));
        raw_send(fd, cases[i].bytes, cases[i].size);
        const char *parts[] = {"\"type\":\"error\"", "\"code\":\"bad_request\"", cases[i].word,
                               NULL};
        expect_header(fd, parts);
        expect_closed(fd);
        expect_well();
    }
}

/* The framing is sound, so the connection goes on. */
static void bad_messages(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        const char *code;
        const char *word;
    } cases[] = {
        {"{\"type\":\"dance\",\"id\":1}", "bad_request", "type"},
        {"{\"id\":1}", "bad_request", "type"},
        {"{\"type\":7,\"id\":1}", "bad_request", "type"},
        {"{\"type\":\"exec\",\"v\":1,\"argv\":[\"true\"]}", "bad_request", "id"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1.5,\"argv\":[\"true\"]}", "bad_request", "id"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":9007199254740992,\"argv\":[\"true\"]}", "bad_request",
         "id"},
        {"{\"type\":\"exec\",\"id\":1,\"argv\":[\"true\"]}", "bad_request", "\\\"v\\\""},
        {"{\"type\":\"exec\",\"v\":2,\"id\":1,\"argv\":[\"true\"]}", "unsupported", "version"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1}", "bad_request", "argv"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[]}", "bad_request", "argv"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[1]}", "bad_request", "argv"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":\"true\"}", "bad_request", "argv"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"shell\":\"b\"}", "bad_request",
         "shell"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"env\":[\"=x\"]}", "bad_request",
         "env"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"timeout_ms\":-5}", "bad_request",
         "timeout_ms"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"stdin\":true}", "bad_request",
         "stdin"},
        {"{\"type\":\"kill\",\"id\":1,\"job\":\"x\",\"name\":\"NOPE\"}", "bad_request", "signal"},
        {"{\"type\":\"kill\",\"id\":1,\"job\":\"x\",\"name\":\"TERM\"}", "not_found", "job"},
        {"{\"type\":\"started\",\"id\":1,\"job\":\"x\",\"window\":1}", "bad_request", "server"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"pty\":1}", "bad_request", "pty"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"pty\":{\"rows\":70000}}",
         "bad_request", "pty.rows"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"pty\":{\"term\":\"../x\"}}",
         "bad_request", "pty.term"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"user\":\"nosuch\"}", "denied",
         "user"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"key\":\"k\"}", "unsupported",
         "key"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"keep\":true}", "unsupported",
         "keep"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"leave\":1}", "bad_request",
         "leave"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"when_full\":\"cut\"}",
         "unsupported", "cut"},
        {"{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"a\"],\"must\":[\"sandbox\"]}",
         "unsupported", "sandbox"},
        {"{\"type\":\"attach\",\"id\":1,\"job\":\"x\",\"holder\":\"0123456789abcdef\",\"attempt\":"
         "1}",
         "not_found", "no such job"},
        {"{\"type\":\"attach\",\"id\":1,\"job\":\"x\",\"holder\":\"0123456789abcdef\",\"attempt\":"
         "1,\"watch\":true}",
         "unsupported", "watch"},
        {"{\"type\":\"attach\",\"id\":1,\"job\":\"x\"}", "bad_request", "holder"},
        {"{\"type\":\"forget\",\"id\":1,\"job\":\"x\"}", "unsupported", "forget"},
        {"{\"type\":\"jobs\",\"id\":1}", "unsupported", "jobs"},
    };
    int fd = raw_connect(afard_port(&server, 0));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char code[64];
        (void)snprintf(code, sizeof code, "\"code\":\"%s\"", cases[i].code);
        const char *parts[] = {"\"type\":\"error\"", code, cases[i].word, NULL};
        raw_send_frame(fd, cases[i].header);
        expect_header(fd, parts);
    }
    raw_send_frame(fd, "{\"type\":\"ping\",\"id\":77}");
    const char *pong[] = {"\"type\":\"pong\"", "\"id\":77", NULL};
    expect_header(fd, pong);
    (void)close(fd);
    expect_well();
}

static int start_cat(void)
{
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd,
                   "{\"type\":\"exec\",\"v\":1,\"id\":5,\"stdin\":\"stream\",\"argv\":[\"sleep\","
                   "\"1000\"]}");
    const char *started[] = {"\"type\":\"started\"", "\"id\":5", "\"credit\":1048576", NULL};
    expect_header(fd, started);
    return fd;
}

/* A `sleep` reads nothing, so what the pipe has not taken stays unacknowledged. */
static void stdin_beyond_its_credit(void **state)
{
    (void)state;
    enum { PIECE = 65536, CREDIT = 1048576, PIPE = 262144 }; /* a full pipe is made larger, once */
    static char piece[PIECE];
    int fd = start_cat();
    size_t offset = 0;
    char header[128];
    /* Acknowledged: what the pipe took. So this much is allowed, whether we look or not … */
    for (; offset < CREDIT; offset += PIECE) {
        (void)snprintf(header, sizeof header,
                       "{\"type\":\"stdin\",\"id\":5,\"offset\":%zu,\"size\":%d}", offset, PIECE);
        raw_send_frame_with(fd, header, piece, PIECE);
    }
    for (bool all = false; !all;) {
        char *ack = raw_read_header(fd, NULL);
        assert_non_null(ack);
        assert_non_null(strstr(ack, "\"type\":\"ack\""));
        all = strstr(ack, "\"stdin\":262144") != NULL;
        free(ack);
    }
    for (; offset < CREDIT + PIPE; offset += PIECE) {
        (void)snprintf(header, sizeof header,
                       "{\"type\":\"stdin\",\"id\":5,\"offset\":%zu,\"size\":%d}", offset, PIECE);
        raw_send_frame_with(fd, header, piece, PIECE);
    }
    raw_send_frame(fd, "{\"type\":\"ping\",\"id\":6}");
    const char *pong[] = {"\"type\":\"pong\"", NULL};
    expect_header(fd, pong);
    /* … and one byte more is not. */
    (void)snprintf(header, sizeof header, "{\"type\":\"stdin\",\"id\":5,\"offset\":%zu,\"size\":1}",
                   offset);
    raw_send_frame_with(fd, header, piece, 1);
    const char *refused[] = {"\"type\":\"error\"", "\"id\":5", "credit", NULL};
    expect_header(fd, refused);
    (void)close(fd);
    expect_well();
}

static void stdin_out_of_order(void **state)
{
    (void)state;
    int fd = start_cat();
    raw_send_frame_with(fd, "{\"type\":\"stdin\",\"id\":5,\"offset\":10,\"size\":1}", "x", 1);
    const char *refused[] = {"\"type\":\"error\"", "\"id\":5", "gap", NULL};
    expect_header(fd, refused);
    /* The request has ended; the connection has not. */
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":8,\"argv\":[\"true\"]}");
    const char *started[] = {"\"type\":\"started\"", "\"id\":8", NULL};
    const char *ended[] = {"\"type\":\"exit\"", "\"id\":8", "\"code\":0", NULL};
    expect_header(fd, started);
    expect_header(fd, ended);
    (void)close(fd);
}

static void acknowledging_what_was_not_sent(void **state)
{
    (void)state;
    int fd = start_cat();
    raw_send_frame(fd, "{\"type\":\"ack\",\"id\":5,\"next\":1000}");
    const char *refused[] = {"\"type\":\"error\"", "\"id\":5", "ack", NULL};
    expect_header(fd, refused);
    (void)close(fd);
}

static void frames_of_ended_requests_are_ignored(void **state)
{
    (void)state;
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"true\"]}");
    const char *started[] = {"\"type\":\"started\"", NULL};
    const char *ended[] = {"\"type\":\"exit\"", NULL};
    expect_header(fd, started);
    expect_header(fd, ended);
    raw_send_frame_with(fd, "{\"type\":\"stdin\",\"id\":1,\"offset\":99,\"size\":1}", "x", 1);
    raw_send_frame(fd, "{\"type\":\"ack\",\"id\":1,\"next\":1000}");
    raw_send_frame(fd, "{\"type\":\"signal\",\"id\":1,\"name\":\"KILL\"}");
    raw_send_frame(fd, "{\"type\":\"close\",\"id\":1,\"stream\":\"stdout\"}");
    raw_send_frame(fd, "{\"type\":\"ping\",\"id\":2}");
    const char *pong[] = {"\"type\":\"pong\"", "\"id\":2", NULL};
    expect_header(fd, pong);
    (void)close(fd);
}

static void kill_reaches_another_connections_job(void **state)
{
    (void)state;
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"sleep\",\"1000\"]}");
    char *started = raw_read_header(fd, NULL);
    const char *job = strstr(started, "\"job\":\"");
    assert_non_null(job);
    char request[160];
    (void)snprintf(request, sizeof request,
                   "{\"type\":\"kill\",\"id\":3,\"job\":\"%.32s\",\"name\":\"TERM\"}", job + 7);
    free(started);
    int other = raw_connect(afard_port(&server, 0));
    raw_send_frame(other, request);
    const char *done[] = {"\"type\":\"done\"", "\"id\":3", NULL};
    expect_header(other, done);
    (void)close(other);
    const char *ended[] = {"\"type\":\"exit\"", "\"outcome\":\"killed\"", "\"signal\":\"TERM\"",
                           NULL};
    expect_header(fd, ended);
    (void)close(fd);
}

/* Cut at every byte: nothing hangs, nothing stays behind. */
static void a_request_cut_at_every_byte(void **state)
{
    (void)state;
    static const char request[] = "\x2f\x00\x00\x00{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":["
                                  "\"true\"] }";
    for (size_t cut = 0; cut < sizeof request - 1; cut++) {
        int fd = raw_connect(afard_port(&server, 0));
        raw_send(fd, request, cut);
        if (cut % 2 == 0)
            raw_reset(fd);
        else
            (void)close(fd);
    }
    expect_well();
    afard_expect_calm(&server);
}

static void a_request_byte_by_byte(void **state)
{
    (void)state;
    static const char header[] = "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"echo\",\"hi\"]}";
    char prefix[4] = {(char)(sizeof header - 1), 0, 0, 0};
    int fd = raw_connect(afard_port(&server, 0));
    for (size_t i = 0; i < 4; i++)
        raw_send(fd, prefix + i, 1);
    for (size_t i = 0; i < sizeof header - 1; i++)
        raw_send(fd, header + i, 1);
    const char *started[] = {"\"type\":\"started\"", NULL};
    const char *output[] = {"\"type\":\"stdout\"", "\"seq\":0", NULL};
    const char *ended[] = {"\"type\":\"exit\"", "\"seq\":1", NULL};
    expect_header(fd, started);
    expect_header(fd, output);
    expect_header(fd, ended);
    (void)close(fd);
}

/* Pings whose answers nobody reads: the queue is bounded, and the flood is cut off. */
static void a_flood_of_pings(void **state)
{
    (void)state;
    int fd = raw_connect(afard_port(&server, 0));
    static char burst[64 * 1024];
    size_t size = 0;
    static const char ping[] = "\x16\x00\x00\x00{\"type\":\"ping\",\"id\":1}";
    while (size + sizeof ping < sizeof burst) {
        memcpy(burst + size, ping, sizeof ping - 1);
        size += sizeof ping - 1;
    }
    for (unsigned i = 0; i < 1000; i++)
        raw_send(fd, burst, size); /* fails silently once the server has closed */
    afard_expect_log(&server, "control_queue_bytes");
    (void)close(fd);
    expect_well();
    afard_expect_calm(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_framing),
        cmocka_unit_test(bad_messages),
        cmocka_unit_test(stdin_beyond_its_credit),
        cmocka_unit_test(stdin_out_of_order),
        cmocka_unit_test(acknowledging_what_was_not_sent),
        cmocka_unit_test(frames_of_ended_requests_are_ignored),
        cmocka_unit_test(kill_reaches_another_connections_job),
        cmocka_unit_test(a_request_cut_at_every_byte),
        cmocka_unit_test(a_request_byte_by_byte),
        cmocka_unit_test(a_flood_of_pings),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
