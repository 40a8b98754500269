/* Configuration by AFARD_… variables. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/program.h"

/* `afard WORDS…` with these variables: its status and what it says on standard error. */
static void assert_with(const char *const *variables, const char *const *words, int status,
                        const char *says)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afard"};
    struct program program;
    size_t used = 1;
    for (; *words != NULL; words++)
        argv[used++] = *words;
    argv[used] = NULL;
    program_start(&program, argv, variables);
    program_finish(&program, NULL, 0);
    int got = program_exit_status(&program);
    const char *said = got == 0 ? program.stdout_data : program.stderr_data;
    if (got != status || strstr(said, says) == NULL)
        fail_msg("status %d, not %d; '%s' is not in: %s", got, status, says, said);
    program_close(&program);
}

#define WORDS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

static void test_environment(void **state)
{
    (void)state;
    assert_with(WORDS("AFARD_LISTEN=tcp://127.0.0.1:0 unix:///tmp/none", "AFARD_WORKERS=3"),
                WORDS("--check"), 0, "configuration ok");
    assert_with(WORDS("AFARD_LISTEN=tcp://127.0.0.1:0  nonsense://x"), WORDS("--check"), 1,
                "AFARD_LISTEN in the environment: listen: ");
    assert_with(WORDS("AFARD_WORKERS=many"), WORDS("--check"), 1,
                "AFARD_WORKERS in the environment: workers: 'many' is not a whole number");
    assert_with(WORDS("AFARD_LISTN=x"), WORDS("--check"), 1,
                "AFARD_LISTN in the environment: unknown key 'listn': did you mean 'listen'");
    /* Empty is none; the command line wins; and a neighbour of that name is not a setting. */
    assert_with(WORDS("AFARD_LISTEN=", "AFARD_WORKERS=", "AFARD_MAX_JOBS=0"),
                WORDS("--check", "--listen", "tcp://127.0.0.1:0", "--set", "max_jobs=1"), 1,
                "AFARD_MAX_JOBS in the environment");
    assert_with(WORDS("AFARD_LISTEN=udp://127.0.0.1:1", "AFARD_PORT=tcp://10.0.0.1:7420",
                      "AFARD_PORT_7420_TCP_ADDR=10.0.0.1", "AFARD_SERVICE_HOST=10.0.0.1"),
                WORDS("--check", "--listen", "tcp://127.0.0.1:0"), 0, "configuration ok");
    assert_with(WORDS("AFARD_CONFIG=/nonexistent"), WORDS("--check"), 1,
                "/nonexistent: cannot be read");
    /* As a file of variables with CRLF leaves them. */
    assert_with(WORDS("AFARD_LISTEN=tcp://127.0.0.1:0 unix:///tmp/none\r", "AFARD_WORKERS=3 \r",
                      "AFARD_CONFIG=/dev/null\r", "AFARD_MAX_JOBS=\r"),
                WORDS("--check"), 0, "configuration ok");
    assert_with(WORDS("AFARD_LISTEN= tcp://127.0.0.1:0", "AFARD_WORKERS= 2 ",
                      "AFARD_CONFIG=\t/dev/null", "AFARD_MAX_JOBS= \t "),
                WORDS("--check"), 0, "configuration ok");
    assert_with(WORDS("AFARD_LISTEN=tcp://127.0.0.1:0", "AFARD_WORKERS= 2 3"), WORDS("--check"), 1,
                "workers: '2 3' is not a whole number");
    assert_with(WORDS("AFARD_LISTEN=tcp://127.0.0.1:0\r\ntcp://127.0.0.1:x\r"), WORDS("--check"), 1,
                "'x' is not a port");
    assert_with(WORDS("AFARD_CONFIG=/nonexistent"),
                WORDS("-c", "/dev/null", "--check", "--listen", "tcp://127.0.0.1:0"), 0,
                "configuration ok");
}

/* Read before the file, which replaces what it names; and not a key of its own. */
static void test_defaults(void **state)
{
    char defaults[] = "/tmp/afar-defaults-XXXXXX";
    char file[] = "/tmp/afar-file-XXXXXX";
    char first[64];
    char second[64];
    (void)state;
    int fds[] = {mkstemp(defaults), mkstemp(file)};
    assert_true(fds[0] >= 0 && fds[1] >= 0);
    static const char text[] = "listen = tcp://127.0.0.1:0\nhttp = nonsense\n";
    static const char other[] = "http = tcp://127.0.0.1:0\n";
    assert_int_equal(write(fds[0], text, sizeof text - 1), sizeof text - 1);
    assert_int_equal(write(fds[1], other, sizeof other - 1), sizeof other - 1);
    assert_int_equal(close(fds[0]) | close(fds[1]), 0);
    (void)snprintf(first, sizeof first, "AFARD_DEFAULTS=%s", defaults);
    (void)snprintf(second, sizeof second, "%s:2: http: ", defaults);
    assert_with(WORDS(first), WORDS("-c", file, "--check"), 1, second);
    assert_int_equal(truncate(defaults, sizeof "listen = tcp://127.0.0.1:0"), 0);
    assert_with(WORDS(first), WORDS("-c", file, "--check"), 0, "configuration ok");
    assert_with(WORDS(first), WORDS("--check"), 0, "configuration ok");
    assert_with(WORDS("AFARD_DEFAULTS="), WORDS("-c", file, "--check"), 1, "no listener: add");
    assert_with(WORDS("AFARD_DEFAULTS=/nonexistent"), WORDS("-c", file, "--check"), 1,
                "/nonexistent: cannot be read");
    assert_int_equal(unlink(defaults) | unlink(file), 0);
    /* What the images start with, whoever they start as. */
    assert_with(WORDS("AFARD_DEFAULTS=docker/image.conf"),
                WORDS("--check", "--listen", "tcp://127.0.0.1:0"), 0, "configuration ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
