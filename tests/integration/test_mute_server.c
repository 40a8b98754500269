/* A TCP port that accepts and never answers, or by half: --connect-timeout bounds every verb. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "support/impostor.h"
#include "support/raw.h"

enum { LIMIT_MS = 300 };

/* Well below the 3 s for which a lost server that never answered is tried again. */
static int64_t most_ms(void)
{
    return LIMIT_MS + test_deadline_ms() / 10;
}

struct words {
    const char *verb;
    const char *protocol; /* NULL: afar */
    const char *word;     /* after the URL */
};

/* The kernel accepts connections that nobody takes from the listener. */
static void expect_end(const struct impostor *mute, const struct words *words)
{
    const char *argv[10] = {"afar", words->verb, "--connect-timeout", "300ms"};
    struct program program;
    size_t count = 4;
    if (words->protocol != NULL) {
        argv[count++] = "--protocol";
        argv[count++] = words->protocol;
    }
    argv[count++] = mute->url;
    argv[count] = words->word;
    const int64_t began_ms = clock_now_ms();
    int status = program_run(&program, argv, "true\n", 5);
    const int64_t took_ms = clock_now_ms() - began_ms;
    print_message("%s %s: %lld ms: %s", words->verb, words->protocol ? words->protocol : "",
                  (long long)took_ms, program.stderr_data);
    assert_int_equal(status, 125);
    assert_in_range(took_ms, LIMIT_MS - 50, most_ms());
    assert_non_null(strstr(program.stderr_data, mute->url)); /* which host */
    assert_non_null(strstr(program.stderr_data, "tls://"));  /* what to do */
    program_close(&program);
}

static void every_verb_ends_in_time(void **state)
{
    static const struct words all[] = {
        {"run", NULL, "true"},     {"run", "sized", "true"}, {"run", "headed", "true"},
        {"repl", NULL, NULL},      {"repl", "sized", NULL},  {"echo", NULL, "hello"},
        {"ping", NULL, NULL},      {"ps", NULL, NULL},       {"kill", NULL, "0123456789abcdef"},
        {"attach", NULL, "a-job"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct impostor mute;
        impostor_open(&mute);
        expect_end(&mute, &all[i]);
        impostor_close(&mute);
    }
}

/* Half a message is no answer: the limit holds until there is a whole one. */
static void half_an_answer_is_none(void **state)
{
    static const char half[] = "\x20\0\0\0{\"type\":\"po";
    static const char *const verbs[][2] = {{"run", "true"}, {"ping", NULL}, {"ps", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        struct impostor mute;
        impostor_open(&mute);
        const char *argv[] = {"afar",      verbs[i][0], "--connect-timeout", "300ms", mute.url,
                              verbs[i][1], NULL};
        const int64_t began_ms = clock_now_ms();
        impostor_start(&mute, argv);
        raw_send(mute.fd, half, sizeof half - 1);
        program_finish(&mute.program, NULL, 0);
        assert_in_range(clock_now_ms() - began_ms, LIMIT_MS - 50, most_ms());
        assert_int_equal(program_exit_status(&mute.program), 125);
        assert_non_null(strstr(mute.program.stderr_data, mute.url));
        impostor_forget(&mute);
        impostor_close(&mute);
    }
}

/* sized and headed answer when the command has ended: only a limit that was asked for counts, and
 * --timeout replaces it. */
static void a_long_command_has_its_own_limit(void **state)
{
    struct impostor mute;
    (void)state;
    impostor_open(&mute);
    const char *argv[] = {"afar",       "run",       "--connect-timeout",
                          "100ms",      "--timeout", "400ms",
                          "--protocol", "sized",     mute.url,
                          "true",       NULL};
    program_expect_run(argv, "", 124, "", "the command may still be running");
    impostor_close(&mute);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verb_ends_in_time),
        cmocka_unit_test(half_an_answer_is_none),
        cmocka_unit_test(a_long_command_has_its_own_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
