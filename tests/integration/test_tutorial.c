/* The tutorial's clients against afard, and afar against the tutorial's servers
 * (tests/integration/tutorial). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/raw.h"

enum { UPPER, SIZED, HEADED, UDP, TLS_HEADED, UNIX_SIZED, UNIX_UPPER, NATIVE };

static struct afard server;
static char unix_sized[64];
static char unix_upper[64];

static int set_up(void **state)
{
    (void)state;
    char sized_url[128];
    char upper_url[128];
    struct program program;
    const char *python[] = {"python3", "-c", "pass", NULL};
    if (program_run(&program, python, NULL, 0) != 0) {
        print_message("python3 is not here: the tutorial's programs cannot be run\n");
        exit(0);
    }
    program_close(&program);
    (void)snprintf(unix_sized, sizeof unix_sized, "/tmp/afar-test-sized-%d", (int)getpid());
    (void)snprintf(unix_upper, sizeof unix_upper, "/tmp/afar-test-upper-%d", (int)getpid());
    (void)snprintf(sized_url, sizeof sized_url, "unix://%s?protocol=sized", unix_sized);
    (void)snprintf(upper_url, sizeof upper_url, "unix://%s?protocol=upper", unix_upper);
    const char *args[] = {"--listen", "tcp://127.0.0.1:0?protocol=upper",
                          "--listen", "tcp://127.0.0.1:0?protocol=sized",
                          "--listen", "tcp://127.0.0.1:0?protocol=headed",
                          "--listen", "udp://127.0.0.1:0",
                          "--listen", "tls://127.0.0.1:0?protocol=headed",
                          "--listen", sized_url,
                          "--listen", upper_url,
                          "--listen", "tcp://127.0.0.1:0",
                          "--set",    "collect_memory_bytes=65536",
                          "--set",    "collect_max_bytes=20000000",
                          "--set",    "kill_grace_ms=200",
                          NULL};
    afard_start_tls(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

/* Runs one of the tutorial's clients with `input` and compares what it prints. */
static void expect_client(const char *const *argv, const char *input, const char *output)
{
    struct program program;
    int status = program_run(&program, argv, input, strlen(input));
    if (status != 0 || strcmp(program.stdout_data, output) != 0)
        print_error("printed: %s\nerrors: %s\n", program.stdout_data, program.stderr_data);
    assert_int_equal(status, 0);
    assert_string_equal(program.stdout_data, output);
    program_close(&program);
}

static const char *port(unsigned url, char text[8])
{
    (void)snprintf(text, 8, "%u", afard_port(&server, url));
    return text;
}

static void clients_of_7_and_8(void **state)
{
    (void)state;
    char number[8];
    const char *tcp[] = {"python3", "tests/integration/tutorial/client_upper.py", "127.0.0.1",
                         port(UPPER, number), NULL};
    expect_client(tcp, "hello\nwelt ü\n\nthree 3\n", "HELLO\nWELT ü\nTHREE 3\n");
    const char *local[] = {"python3", "tests/integration/tutorial/client_upper.py", unix_upper,
                           NULL};
    expect_client(local, "hello\n", "HELLO\n");
}

static void client_of_12(void **state)
{
    (void)state;
    char number[8];
    const char *udp[] = {"python3", "tests/integration/tutorial/client_udp.py", "127.0.0.1",
                         port(UDP, number), NULL};
    expect_client(udp, "hello\n\nagain\n", "HELLO\n\nAGAIN\n");
}

/* §10's command, an empty result, output larger than any buffer on the way and than what is kept in
 * memory, and all of them back to back on one connection. */
static const char commands[] = "echo out ; lllllll 2>&1 | wc -l ; pwd >/dev/null\n"
                               "true\n"
                               "printf abc >&2; printf 123\n"
                               "head -c 1000000 /dev/zero; head -c 500000 /dev/zero >&2\n"
                               "echo end\n";
static const char replies[] = "6\nout\n1\n"
                              "0\n"
                              "6\n123abc"
                              "1500000\n"
                              "4\nend\n";

static void clients_of_9_and_11(void **state)
{
    (void)state;
    char number[8];
    const char *sized[] = {"python3",
                           "tests/integration/tutorial/client_shell.py",
                           "sized",
                           "127.0.0.1",
                           port(SIZED, number),
                           NULL};
    expect_client(sized, commands, replies);
    const char *headed[] = {"python3",
                            "tests/integration/tutorial/client_shell.py",
                            "headed",
                            "127.0.0.1",
                            port(HEADED, number),
                            NULL};
    expect_client(headed, commands, replies);
    const char *local[] = {"python3", "tests/integration/tutorial/client_shell.py", "sized",
                           unix_sized, NULL};
    expect_client(local, commands, replies);
    const char *tls[] = {"python3",
                         "tests/integration/tutorial/client_shell.py",
                         "headed",
                         "127.0.0.1",
                         port(TLS_HEADED, number),
                         server.ca,
                         server.client_cert,
                         server.client_key,
                         NULL};
    expect_client(tls, commands, replies);
}

/* ---- afar against the tutorial's servers ----------------------------------------------------- */

static void start_python(struct program *program, const char *kind, const char *piece, char url[64])
{
    const char *argv[] = {"python3", "tests/integration/tutorial/server.py", kind, piece, NULL};
    program_start(program, argv, NULL);
    program_expect(program, 1, "\n");
    (void)snprintf(url, 64, "%s://127.0.0.1:%d", strcmp(kind, "udp") == 0 ? "udp" : "tcp",
                   atoi(program->stdout_data));
}

static void expect_afar(const char *const *argv, const char *input, const char *output)
{
    expect_client(argv, input, output);
}

static void echo_to_its_servers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        char url[64];
        struct program python;
        start_python(&python, i == 0 ? "upper" : "udp", NULL, url);
        const char *argv[] = {"afar", "echo", url, "hello", "world", NULL};
        expect_afar(argv, "", "HELLO WORLD\n");
        program_close(&python);
    }
    const char *ours[] = {"afar", "echo", server.url[UDP], "hello", NULL};
    expect_afar(ours, "", "HELLO\n");
}

/* Whole, and cut into single bytes. */
static void run_on_its_servers(void **state)
{
    (void)state;
    const char *const kinds[] = {"sized", "headed"};
    for (unsigned i = 0; i < 4; i++) {
        char url[64];
        struct program python;
        const char *kind = kinds[i % 2];
        start_python(&python, kind, i < 2 ? NULL : "1", url);
        const char *run[] = {"afar",
                             "run",
                             "--protocol",
                             kind,
                             url,
                             "--",
                             "echo out ; lllllll 2>/dev/null ; echo err >&2",
                             NULL};
        expect_afar(run, "", "out\nerr\n");
        const char *empty[] = {"afar", "run", "--protocol", kind, url, "--", "true", NULL};
        expect_afar(empty, "", "");
        const char *repl[] = {"afar", "repl", "--protocol", kind, url, NULL};
        expect_afar(repl, "echo one\ntrue\necho two\n", "one\ntwo\n");
        program_close(&python);
    }
}

static void run_on_our_own(void **state)
{
    (void)state;
    const char *sized[] = {"afar", "run", server.url[SIZED], "--", "ls -d / ; lllllll ; pwd", NULL};
    struct program program;
    assert_int_equal(program_run(&program, sized, NULL, 0), 0);
    assert_non_null(strstr(program.stdout_data, "/\n"));
    assert_non_null(strstr(program.stdout_data, "lllllll"));
    program_close(&program);
    const char *headed[] = {"afar", "run", server.url[TLS_HEADED], "--", "echo hi", NULL};
    expect_afar(headed, "", "hi\n");
}

/* ---- the ugly -------------------------------------------------------------------------------- */

static void clients_that_vanish_in_the_middle(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        static const char command[] = "head -c 10000000 /dev/zero";
        char some[100];
        int fd = raw_connect(afard_port(&server, i % 2 == 0 ? HEADED : SIZED));
        raw_send(fd, command, sizeof command - 1);
        if (i % 3 != 0)
            assert_true(raw_read(fd, some, sizeof some));
        raw_reset(fd);
    }
    clients_of_9_and_11(state);
    afard_expect_calm(&server);
}

/* As much as is allowed is not more. */
static void all_the_output_that_is_allowed(void **state)
{
    (void)state;
    static const char command[] = "head -c 20000000 /dev/zero";
    enum { REPLY_BYTES = 4 + 20000000 };
    char *reply = malloc(REPLY_BYTES);
    assert_non_null(reply);
    int fd = raw_connect(afard_port(&server, SIZED));
    raw_send(fd, command, sizeof command - 1);
    assert_true(raw_read(fd, reply, REPLY_BYTES));
    free(reply);
    (void)close(fd);
}

static void too_much_output_gets_no_header(void **state)
{
    (void)state;
    static const char command[] = "head -c 30000000 /dev/zero";
    size_t size = 0;
    int fd = raw_connect(afard_port(&server, SIZED));
    raw_send(fd, command, sizeof command - 1);
    char *rest = raw_read_rest(fd, &size);
    assert_int_equal(size, 0);
    free(rest);
    (void)close(fd);
    afard_expect_log(&server, "collect_max_bytes");
}

static void a_command_in_pieces_is_one_command(void **state)
{
    (void)state;
    static const char command[] = "printf 'all of it'";
    char reply[4 + 9 + 1] = "";
    int fd = raw_connect(afard_port(&server, SIZED));
    for (size_t i = 0; i < sizeof command - 1; i++)
        raw_send(fd, command + i, 1);
    assert_true(raw_read(fd, reply, 13));
    assert_string_equal(reply + 4, "all of it");
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_of_7_and_8),
        cmocka_unit_test(client_of_12),
        cmocka_unit_test(clients_of_9_and_11),
        cmocka_unit_test(echo_to_its_servers),
        cmocka_unit_test(run_on_its_servers),
        cmocka_unit_test(run_on_our_own),
        cmocka_unit_test(clients_that_vanish_in_the_middle),
        cmocka_unit_test(all_the_output_that_is_allowed),
        cmocka_unit_test(too_much_output_gets_no_header),
        cmocka_unit_test(a_command_in_pieces_is_one_command),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
