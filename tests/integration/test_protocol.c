/* src/wire/PROTOCOL.md suffices: a client in Python, written from it alone, does the whole job. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/afard.h"

static struct afard server;

static int set_up(void **state)
{
    (void)state;
    struct program program;
    const char *python[] = {"python3", "-c", "import ssl; assert ssl.HAS_TLSv1_3", NULL};
    if (program_run(&program, python, NULL, 0) != 0) {
        print_message("python3 with TLS 1.3 is not here: the Python client cannot be run\n");
        exit(0);
    }
    program_close(&program);
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--listen", "tls://127.0.0.1:0", NULL};
    afard_start_tls(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

static int run(struct program *program, unsigned url, const char *const *words, const void *input,
               size_t size)
{
    char port[8];
    const char *argv[PROGRAM_ARGS_MAX] = {"python3", "tests/integration/protocol_client.py",
                                          "127.0.0.1", port};
    unsigned count = 4;
    (void)snprintf(port, sizeof port, "%u", afard_port(&server, url));
    if (url == 1) {
        argv[count++] = "--tls";
        argv[count++] = server.ca;
        argv[count++] = server.client_cert;
        argv[count++] = server.client_key;
    }
    for (; *words != NULL; words++)
        argv[count++] = *words;
    argv[count] = NULL;
    return program_run(program, argv, input, size);
}

static void streams_and_status(void **state)
{
    (void)state;
    const char *words[] = {"sh", "-c", "echo out; echo err >&2; exit 7", NULL};
    for (unsigned url = 0; url < 2; url++) {
        struct program program;
        assert_int_equal(run(&program, url, words, NULL, 0), 7);
        assert_string_equal(program.stdout_data, "out\n");
        assert_string_equal(program.stderr_data, "err\n");
        program_close(&program);
    }
}

static void endings(void **state)
{
    (void)state;
    const char *killed[] = {"sh", "-c", "kill -TERM $$", NULL};
    const char *missing[] = {"no-such-program-here", NULL};
    const char *folder[] = {"/etc", NULL};
    const char *bytes[] = {"printf", "%s", "\xff\xfe", NULL};
    struct program program;
    assert_int_equal(run(&program, 0, killed, NULL, 0), 143);
    program_close(&program);
    assert_int_equal(run(&program, 0, missing, NULL, 0), 127);
    program_close(&program);
    assert_int_equal(run(&program, 0, folder, NULL, 0), 126);
    program_close(&program);
    assert_int_equal(run(&program, 0, bytes, NULL, 0), 0);
    assert_string_equal(program.stdout_data, "\xff\xfe");
    program_close(&program);
}

/* What the server says before it closes is in an error without an id. */
static void a_closed_connection(void **state)
{
    (void)state;
    struct afard all = server;
    struct program program;
    static char word[100000];
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "payload_bytes=65536", NULL};
    const char *words[] = {"echo", word, NULL};
    memset(word, 'x', sizeof word - 1);
    afard_start(&server, args);
    assert_int_equal(run(&program, 0, words, NULL, 0), 125);
    assert_non_null(strstr(program.stderr_data, "payload"));
    assert_non_null(strstr(program.stderr_data, "is unknown"));
    program_close(&program);
    assert_int_equal(afard_stop(&server), 0);
    server = all;
}

/* Both directions full at once, and input that nobody reads. */
static void much_data(void **state)
{
    (void)state;
    enum { BYTES = 20000000 };
    char *input = malloc(BYTES);
    assert_non_null(input);
    for (size_t i = 0; i < BYTES; i++)
        input[i] = (char)(i * 31 >> 5);
    const char *cat[] = {"cat", NULL};
    const char *deaf[] = {"true", NULL};
    for (unsigned url = 0; url < 2; url++) {
        struct program program;
        assert_int_equal(run(&program, url, cat, input, BYTES), 0);
        assert_int_equal(program.stdout_size, BYTES);
        assert_memory_equal(program.stdout_data, input, BYTES);
        program_close(&program);
        assert_int_equal(run(&program, url, deaf, input, BYTES), 0);
        program_close(&program);
    }
    free(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_and_status),
        cmocka_unit_test(endings),
        cmocka_unit_test(a_closed_connection),
        cmocka_unit_test(much_data),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
