/* What `afar` does with a server that is not to be believed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/impostor.h"

static struct impostor server;

static int set_up(void **state)
{
    (void)state;
    impostor_open(&server);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    impostor_close(&server);
    return 0;
}

#define STARTED "{\"type\":\"started\",\"id\":1,\"job\":\"j\",\"window\":65536}"

/* ---- what a terminal would obey -------------------------------------------------------------- */

/* No control character but the newline, no DEL, no U+0080 to U+009F, and no mark of direction. */
static void expect_harmless(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const unsigned char *at = (const unsigned char *)text + i;
        if ((*at < ' ' && *at != '\n') || *at == 0x7F || (*at == 0xC2 && at[1] < 0xA0) ||
            (*at == 0xE2 && at[1] == 0x80 && at[2] >= 0xA8 && at[2] <= 0xAE))
            fail_msg("byte %zu of: %s", i, text);
    }
}

/* An escape sequence, written as JSON can: raw where that is allowed, else as an escape. */
#define EVIL                  \
    "\\u001b[31m\x7F\xC2\x9B" \
    "2J\xE2\x80\xAE"

static void test_escapes(void **state)
{
    static const char *const last[] = {
        "{\"type\":\"error\",\"id\":1,\"code\":\"" EVIL "\",\"message\":\"" EVIL "\"}",
        "{\"type\":\"error\",\"code\":\"" EVIL "\",\"message\":\"" EVIL "\"}",
        "{\"type\":\"closing\",\"reason\":\"" EVIL "\"}",
        "{\"type\":\"exit\",\"id\":1,\"seq\":0,\"outcome\":\"" EVIL "\"}",
        "{\"type\":\"exit\",\"id\":1,\"seq\":0,\"outcome\":\"spawn_failed\",\"message\":\"" EVIL
        "\","
        "\"error\":{\"errno\":\"" EVIL "\",\"stage\":\"" EVIL "\"}}",
        "{\"type\":\"exit\",\"id\":1,\"seq\":0,\"outcome\":\"spawn_failed\","
        "\"error\":{\"errno\":\"" EVIL "\",\"stage\":\"exec\"}}",
        "{\"type\":\"exit\",\"id\":1,\"seq\":0,\"outcome\":\"killed\",\"message\":\"" EVIL "\"}",
        "{\"" EVIL "\":1,\"" EVIL "\":1}",
        "{\"type\":\"" EVIL "\",\"size\":\"" EVIL "\"}",
    };
    static const char *const json[] = {"--json", NULL};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof last / sizeof last[0]; i++) {
        impostor_run(&server, i % 2 == 0 ? NULL : json);
        impostor_say(&server, last[i / 2]);
        assert_int_not_equal(impostor_finish(&server), 0);
        assert_true(server.program.stderr_size > 0);
        expect_harmless(server.program.stderr_data, server.program.stderr_size);
        expect_harmless(server.program.stdout_data != NULL ? server.program.stdout_data : "",
                        server.program.stdout_size);
        impostor_forget(&server);
    }
}

static void test_escapes_of_output_in_json(void **state)
{
    static const char *const json[] = {"--json", NULL};
    (void)state;
    impostor_run(&server, json);
    impostor_say(&server, STARTED);
    impostor_say_with(&server, "{\"type\":\"stdout\",\"id\":1,\"seq\":0,\"size\":4}",
                      "a\xC2\x9B\x7F");
    impostor_say(&server, "{\"type\":\"exit\",\"id\":1,\"seq\":1,\"outcome\":\"exited\",\"code\":3,"
                          "\"bytes\":{\"stdout\":4}}");
    assert_int_equal(impostor_finish(&server), 3);
    expect_harmless(server.program.stdout_data, server.program.stdout_size);
    assert_non_null(strstr(server.program.stdout_data, "\"data\":\"a\\u009b\\u007f\""));
    impostor_forget(&server);
}

/* An id is printed as it is, and other programs go on with it. */
static void test_escapes_of_job_ids(void **state)
{
    static const char *const ways[][2] = {{"-d", NULL}, {"--json", NULL}, {"-n", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        impostor_run(&server, ways[i]);
        impostor_say(&server,
                     "{\"type\":\"started\",\"id\":1,\"job\":\"" EVIL "\",\"window\":65536}");
        assert_int_equal(impostor_finish(&server), 125);
        assert_non_null(strstr(server.program.stderr_data, "must be letters and digits"));
        expect_harmless(server.program.stderr_data, server.program.stderr_size);
        expect_harmless(server.program.stdout_data != NULL ? server.program.stdout_data : "",
                        server.program.stdout_size);
        impostor_forget(&server);
    }
}

static void test_escapes_in_lists(void **state)
{
    const char *ps[][4] = {{"afar", "ps", server.url, NULL}, {"afar", "ps", "--json", server.url}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *argv[] = {ps[i][0], ps[i][1], ps[i][2], ps[i][3], NULL};
        impostor_start(&server, argv);
        impostor_expect(&server, "\"type\":\"jobs\"");
        impostor_say(&server,
                     "{\"type\":\"jobs\",\"id\":1,\"jobs\":[{\"job\":\"j1\",\"state\":\"ended\","
                     "\"age_ms\":1,\"kept\":true,\"key\":\"" EVIL "\",\"owner\":\"" EVIL
                     "\",\"command\":\"" EVIL "\",\"outcome\":\"signaled\",\"signal\":\"" EVIL
                     "\"}]}");
        assert_int_equal(impostor_finish(&server), 0);
        assert_true(server.program.stdout_size > 0);
        expect_harmless(server.program.stdout_data, server.program.stdout_size);
        impostor_forget(&server);
    }
}

/* Also what we are told to connect to, and what a health page says. */
static void test_escapes_elsewhere(void **state)
{
    const char *host[] = {"afar", "ping", "\x1b[31m\xC2\x9B", NULL};
    struct program program;
    (void)state;
    assert_int_equal(program_run(&program, host, NULL, 0), 125);
    expect_harmless(program.stderr_data, program.stderr_size);
    program_close(&program);
    const char *subcommand[] = {"afar", "\x1b[31m\xFF\nx", NULL};
    assert_int_equal(program_run(&program, subcommand, NULL, 0), 125);
    expect_harmless(program.stderr_data, program.stderr_size);
    assert_non_null(strstr(program.stderr_data, "\\u001b[31m\\xff\\nx"));
    program_close(&program);
    const char *ping[] = {"afar", "ping", "--json", server.url, NULL};
    impostor_start(&server, ping);
    impostor_expect(&server, "\"type\":\"ping\"");
    impostor_say(&server, "{\"type\":\"pong\",\"id\":1,\"version\":\"\\\"\\\\" EVIL "\"}");
    assert_int_equal(impostor_finish(&server), 0);
    expect_harmless(server.program.stdout_data, server.program.stdout_size);
    assert_non_null(strstr(server.program.stdout_data, "\"server_version\":\"\\\"\\\\"));
    impostor_forget(&server);
}

/* ---- receipts that are not true -------------------------------------------------------------- */

static void test_receipts(void **state)
{
    static const struct {
        const char *started; /* NULL: not */
        const char *fields;
        int status;
        const char *words;
    } cases[] = {
        {STARTED, "\"seq\":1,\"outcome\":\"exited\",\"code\":0,\"bytes\":{\"stdout\":6}", 0, ""},
        {STARTED, "\"seq\":1,\"outcome\":\"exited\",\"code\":0,\"bytes\":{\"stdout\":5}", 125,
         "counts 5 bytes of stdout"},
        {STARTED, "\"seq\":1,\"outcome\":\"exited\",\"code\":0,\"bytes\":{\"stdout\":7}", 125,
         "counts 7 bytes of stdout"},
        {STARTED,
         "\"seq\":1,\"outcome\":\"exited\",\"code\":0,\"bytes\":{\"stdout\":6,\"stderr\":1}", 125,
         "counts 1 bytes of stderr"},
        {NULL, "\"seq\":0,\"outcome\":\"exited\",\"code\":0", 125, "had not started"},
        {STARTED,
         "\"seq\":1,\"outcome\":\"exited\",\"code\":0,\"signal\":\"KILL\",\"bytes\":{\"stdout\":6}",
         125, "\"code\" and \"signal\" exclude each other"},
        {STARTED,
         "\"seq\":1,\"outcome\":\"signaled\",\"code\":0,\"signal\":\"KILL\",\"bytes\":{\"stdout\":"
         "6}",
         125, "\"code\" and \"signal\" exclude each other"},
    };
    static const char *const json[] = {"--json", NULL};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        char header[256];
        impostor_run(&server, i % 2 == 0 ? NULL : json);
        if (cases[i / 2].started != NULL) {
            impostor_say(&server, STARTED);
            impostor_say_with(&server, "{\"type\":\"stdout\",\"id\":1,\"seq\":0,\"size\":6}",
                              "hello\n");
        }
        (void)snprintf(header, sizeof header, "{\"type\":\"exit\",\"id\":1,%s}",
                       cases[i / 2].fields);
        impostor_say(&server, header);
        assert_int_equal(impostor_finish(&server), cases[i / 2].status);
        if (cases[i / 2].status != 0) {
            assert_non_null(strstr(server.program.stderr_data, cases[i / 2].words));
            assert_null(strstr(server.program.stdout_data == NULL ? "" : server.program.stdout_data,
                               "\"exit\""));
        }
        impostor_forget(&server);
    }
}

/* Runs a line by the protocol headed, whose reply "hello" has this sum. */
static void expect_headed(const char *md5, int status, const char *words)
{
    const char *argv[] = {"afar", "run", "--protocol", "headed", server.url, "true", NULL};
    char reply[256];
    impostor_start(&server, argv);
    assert_int_equal(read(server.fd, reply, 4), 4); /* "true" */
    const int size = snprintf(reply + 4, sizeof reply - 4,
                              "{\"filename\": \"a.txt\", \"total_size\": 5, \"md5\": \"%s\"}", md5);
    const uint32_t header = htole32((uint32_t)size);
    memcpy(reply, &header, sizeof header);
    memcpy(reply + 4 + size, "hello", 5);
    assert_int_equal(write(server.fd, reply, (size_t)size + 9), size + 9);
    program_finish(&server.program, NULL, 0);
    assert_string_equal(server.program.stdout_data, "hello");
    assert_int_equal(program_exit_status(&server.program), status);
    if (strstr(server.program.stderr_data, words) == NULL)
        fail_msg("%s", server.program.stderr_data);
    impostor_forget(&server);
}

/* The tutorial's own server has none. */
static void test_the_sum_of_headed(void **state)
{
    (void)state;
    expect_headed("5d41402abc4b2a76b9719d911017c592", 0, "");
    expect_headed("xxxxxx", 0, "");
    expect_headed("5d41402abc4b2a76b9719d911017c593", 125,
                  "the output is damaged: its MD5 is not 5d41402abc4b2a76b9719d911017c593");
}

/* ---- ends that cross the request ------------------------------------------------------------- */

/* The server has said that it closes when the request arrives: it was not read, so that it may be
 * sent again, once. */
static void test_a_request_that_crosses_closing(void **state)
{
    (void)state;
    const char *argv[] = {"afar", "repl", server.url, NULL};
    impostor_start(&server, argv);
    assert_int_equal(write(server.program.in, "true\n", 5), 5);
    impostor_expect(&server, "\"type\":\"exec\"");
    impostor_say(&server, "{\"type\":\"closing\",\"reason\":\"draining\"}");
    impostor_accept(&server);
    impostor_expect(&server, "\"type\":\"exec\"");
    impostor_say(&server, STARTED);
    impostor_say(&server,
                 "{\"type\":\"exit\",\"id\":1,\"seq\":0,\"outcome\":\"exited\",\"code\":4}");
    program_finish(&server.program, NULL, 0);
    assert_int_equal(impostor_finish(&server), 4);
    impostor_forget(&server);
}

/* A bare end leaves it open whether the command ran: never a second time. */
static void test_a_request_that_meets_the_end(void **state)
{
    (void)state;
    const char *argv[] = {"afar", "repl", server.url, NULL};
    impostor_start(&server, argv);
    assert_int_equal(write(server.program.in, "true\n", 5), 5);
    impostor_expect(&server, "\"type\":\"exec\"");
    assert_int_equal(impostor_finish(&server), 125);
    assert_null(strstr(server.program.stderr_data, "not begun"));
    impostor_forget(&server);
}

/* ---- what is missing at an older one ----------------------------------------------------------- */

static void it_is_older(void **state)
{
    (void)state;
    struct impostor older;
    impostor_open(&older);
    static const char *const pongs[] = {
        "{\"type\":\"pong\",\"version\":\"0.0.1\"}",
        "{\"type\":\"pong\",\"version\":\"0.0.1\",\"features\":[\"keep\"]}"};
    for (size_t i = 0; i < sizeof pongs / sizeof pongs[0]; i++) {
        impostor_run(&older, (const char *const[]){"-t", NULL});
        impostor_say(&older, "{\"type\":\"error\",\"id\":1,\"code\":\"bad_request\",\"message\":"
                             "\"pty is unknown\"}");
        impostor_expect(&older, "\"type\":\"ping\"");
        impostor_say(&older, pongs[i]);
        program_expect(&older.program, 2, "offers no terminal (its afard is older)\n");
        assert_int_equal(impostor_finish(&older), 125);
        impostor_forget(&older);
    }
    impostor_close(&older);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_escapes_of_output_in_json),
        cmocka_unit_test(test_escapes_of_job_ids),
        cmocka_unit_test(test_escapes_in_lists),
        cmocka_unit_test(test_escapes_elsewhere),
        cmocka_unit_test(test_receipts),
        cmocka_unit_test(test_the_sum_of_headed),
        cmocka_unit_test(test_a_request_that_crosses_closing),
        cmocka_unit_test(test_a_request_that_meets_the_end),
        cmocka_unit_test(it_is_older),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
