/* The bytes of a command on a terminal, with pipes at this side: all of them, both ways, and the end
 * of its input. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "support/afard.h"
#include "support/pane.h"
#include "support/person.h"

enum { RUNS = 100, LONG_BYTES = 20000 };

static struct afard server; /* tcp, and tls */

/* All of it over the one, and then over the other. */
static unsigned way;

static int set_up(void **state)
{
    (void)state;
    person_serve(&server);
    return 0;
}

static int calm(void **state)
{
    (void)state;
    afard_expect_calm(&server);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* AFAR_TERMINAL_RUNS times. */
static void the_last_bytes_are_there(void **state)
{
    (void)state;
    const char *wanted = getenv("AFAR_TERMINAL_RUNS");
    const long runs = wanted != NULL ? strtol(wanted, NULL, 10) : RUNS;
    for (long i = 0; i < runs; i++) {
        struct program program;
        person_run(server.url[way], "head -c 20000 /dev/zero | tr '\\0' x", "", 0, 0, &program);
        if (program.stdout_size != LONG_BYTES ||
            strspn(program.stdout_data, "x") != (size_t)LONG_BYTES)
            fail_msg("run %ld has given %zu bytes", i, program.stdout_size);
        program_close(&program);
    }
}

/* Much more than a terminal holds, and the receipt says what it was. */
static void the_receipt_has_the_digest(void **state)
{
    (void)state;
    struct digest *digest = NULL;
    struct program program;
    char hex[DIGEST_HEX_BYTES];
    char line[32];
    char expected[128];
    size_t size = 0;
    assert_int_equal(digest_new(&digest, "sha256", NULL), AFAR_OK);
    const char *plain[] = {"afar", "run", "-t",     "--digest", server.url[way],
                           "--",   "seq", "200000", NULL};
    assert_int_equal(program_run(&program, plain, "", 0), 0);
    for (int i = 1; i <= 200000; i++) {
        const size_t length = (size_t)snprintf(line, sizeof line, "%d\r\n", i);
        if (size + length > program.stdout_size ||
            memcmp(program.stdout_data + size, line, length) != 0)
            fail_msg("after %zu bytes: not %d", size, i);
        size += length;
        assert_int_equal(digest_update(digest, line, length, NULL), AFAR_OK);
    }
    assert_int_equal(program.stdout_size, size);
    program_close(&program);
    assert_int_equal(digest_finish(digest, hex, NULL), AFAR_OK);
    digest_free(digest);
    const char *json[] = {"afar",          "run", "-t",  "--digest", "--json",
                          server.url[way], "--",  "seq", "200000",   NULL};
    assert_int_equal(program_run(&program, json, "", 0), 0);
    (void)snprintf(expected, sizeof expected, "\"sha256\":{\"stdout\":\"%s\"", hex);
    const char *receipt = strstr(program.stdout_data, "{\"type\":\"exit\"");
    if (receipt == NULL || strstr(receipt, expected) == NULL)
        fail_msg("%s is not in %s", expected, receipt != NULL ? receipt : "what has come");
    program_close(&program);
}

static void all_bytes_both_ways(void **state)
{
    (void)state;
    char bytes[256];
    struct program program;
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    /* What comes before the terminal is raw is taken as keys: so it waits for "go". */
    const char *argv[] = {"afar", "run", "-t", server.url[way],
                          "--",   "sh",  "-c", "stty raw -echo; printf go; exec head -c 256",
                          NULL};
    program_start(&program, argv, NULL);
    program_expect(&program, 1, "go");
    program_finish(&program, bytes, sizeof bytes);
    assert_int_equal(program.stdout_size, 2 + sizeof bytes);
    assert_memory_equal(program.stdout_data + 2, bytes, sizeof bytes);
    program_close(&program);
}

/* A large paste into a program that is slow to begin reading. */
static void a_large_paste(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    char *bytes = malloc(SIZE);
    struct program program;
    assert_non_null(bytes);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 7 % 251);
    const char *argv[] = {
        "afar", "run", "-t", server.url[way],
        "--",   "sh",  "-c", "stty raw -echo; printf go; sleep 0.3; head -c 1048576 | cksum",
        NULL};
    program_start(&program, argv, NULL);
    program_expect(&program, 1, "go");
    program_finish(&program, bytes, SIZE);
    struct program local;
    assert_int_equal(program_run(&local, (const char *const[]){"cksum", NULL}, bytes, SIZE), 0);
    local.stdout_data[strcspn(local.stdout_data, "\n")] = '\0';
    if (strstr(program.stdout_data, local.stdout_data) == NULL)
        fail_msg("%s, not %s", program.stdout_data, local.stdout_data);
    program_close(&local);
    program_close(&program);
    free(bytes);
}

/* ---- the end of input ------------------------------------------------------------------------ */

static void input_ends(void **state)
{
    (void)state;
    person_expect_output(server.url[way], "cat", "line\n", 0,
                         "line\r\nline\r\n"); /* it is shown, and then written */
    person_expect_output(server.url[way], "cat", "", 0, "");
    struct program program;
    /* Without a newline the first key only hands over what there is. */
    person_run(server.url[way], "cat >/dev/null; echo end", "abc", 3, 0, &program);
    assert_non_null(strstr(program.stdout_data, "end\r\n"));
    program_close(&program);
    /* -n, and closed. */
    const char *none[] = {"afar", "run", "-t", "-n", server.url[way], "--", "cat", NULL};
    assert_int_equal(program_run(&program, none, NULL, 0), 0);
    program_close(&program);
    const char *closed[] = {"sh",  "-c", "exec \"$@\" <&-", "sh", "afar",
                            "run", "-t", server.url[way],   "--", "cat",
                            NULL};
    char path[PROGRAM_TEXT_BYTES];
    closed[4] = program_path("afar", path);
    assert_int_equal(program_run(&program, closed, NULL, 0), 0);
    program_close(&program);
}

/* Within three seconds, of a machine that is not slowed down. */
static void expect_end(const char *const *argv, const char *input, int status)
{
    struct program program;
    const int64_t began_ms = clock_now_ms();
    const int64_t most_ms = test_deadline_ms() / 20;
    const int ended = program_run(&program, argv, input, strlen(input));
    const int64_t took_ms = clock_now_ms() - began_ms;
    if (ended != status || strstr(program.stdout_data, "42\r\n") == NULL || took_ms > most_ms)
        fail_msg("status %d after %lld ms: %s", ended, (long long)took_ms, program.stdout_data);
    program_close(&program);
}

/* A shell changes the terminal's mode, and what was typed before is lost: the end comes again. */
static void shells_end_by_themselves(void **state)
{
    (void)state;
    const char *bash[] = {"afar", "run", "-t", server.url[way], "--", "bash", "--norc", NULL};
    const char *python[] = {"afar", "run", "-t", server.url[way], "--", "python3", NULL};
    expect_end(bash, "echo $((6 * 7)); exit 3\n", 3);
    expect_end(bash, "echo $((6 * 7))\n", 0);
    if (!pane_has("python3"))
        print_message("python3 is not here\n");
    else
        expect_end(python, "print(6 * 7)\n", 0);
}

/* As cron starts it: in a session without a terminal, with nothing to read, a pipe, or nothing at
 * all. */
static void without_any_terminal_here(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *output;
    } table[] = {{"exec \"$@\" </dev/null", "tty\r\nend\r\n"},
                 {"exec \"$@\" <&-", "tty\r\nend\r\n"},
                 {"exec \"$@\"", "tty\r\nline\r\nline\r\nend\r\n"},
                 {"echo line | \"$@\"", "tty\r\nline\r\nline\r\nend\r\n"}};
    char path[PROGRAM_TEXT_BYTES];
    (void)program_path("afar", path);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct program program;
        const char *argv[] = {"setsid",      "-w",
                              "sh",          "-c",
                              table[i].from, "sh",
                              path,          "run",
                              "-t",          server.url[way],
                              "--",          "sh",
                              "-c",          "test -t 0 && test -t 1 && echo tty; cat; echo end",
                              NULL};
        const int status = program_run(&program, argv, "line\n", 5);
        /* What is typed is shown when it comes, which may be before or after the first line. */
        if (status != 0 || program.stdout_size != strlen(table[i].output) ||
            strstr(program.stdout_data, "tty\r\n") == NULL ||
            strstr(program.stdout_data, "end\r\n") == NULL || program.stderr_size != 0)
            fail_msg("%s: %d: %s %s", table[i].from, status, program.stdout_data,
                     program.stderr_data);
        program_close(&program);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_last_bytes_are_there, calm),
        cmocka_unit_test_teardown(the_receipt_has_the_digest, calm),
        cmocka_unit_test_teardown(all_bytes_both_ways, calm),
        cmocka_unit_test_teardown(a_large_paste, calm),
        cmocka_unit_test_teardown(input_ends, calm),
        cmocka_unit_test_teardown(shells_end_by_themselves, calm),
        cmocka_unit_test_teardown(without_any_terminal_here, calm),
    };
    int failed = 0;
    for (way = 0; way < 2; way++)
        failed += cmocka_run_group_tests_name(way == 0 ? "tcp" : "tls", tests, set_up, tear_down);
    return failed;
}
