/* What `afar run` says of a receipt's rarer parts: what a command has left behind, and its memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/afard.h"
#include "support/program.h"

static struct afard server;

static int start_server(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    afard_start(&server, args);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
    return 0;
}

/* Both lists end in NULL. Its exit status. */
static int run(struct program *program, const char *const *options, const char *const *words)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar", "run", "-n"};
    size_t used = 3;
    for (; *options != NULL; options++)
        argv[used++] = *options;
    argv[used++] = server.url[0];
    argv[used++] = "--";
    for (; *words != NULL; words++)
        argv[used++] = *words;
    argv[used] = NULL;
    return program_run(program, argv, NULL, 0);
}

static int run_shell(struct program *program, const char *script)
{
    const char *options[] = {NULL};
    const char *words[] = {"sh", "-c", script, NULL};
    return run(program, options, words);
}

/* The background process holds stdout: its time is limited, and the receipt says so. */
static void output_held_open_by_a_grandchild(void **state)
{
    (void)state;
    struct program program;
    const char *options[] = {"--json", NULL};
    const char *words[] = {
        "sh", "-c", "sleep 982 & until grep -q sleep /proc/$!/comm; do :; done; echo done", NULL};
    assert_int_equal(run(&program, options, words), 0);
    assert_non_null(strstr(program.stdout_data, "\"data\":\"done\\n\""));
    assert_non_null(strstr(program.stdout_data, "\"stdio_held_open\":true"));
    assert_non_null(strstr(program.stdout_data, "\"held_by\":{\"count\":1,"));
    assert_non_null(strstr(program.stderr_data, ": a process that outlived the command held its "
                                                "output open and was ended: sleep (pid "));
    program_close(&program);
    const char *look[] = {"pgrep", "-f", "^sleep 982$", NULL};
    assert_int_equal(program_run(&program, look, NULL, 0), 1);
    program_close(&program);
}

/* Not the server's, which the kernel carries over into each command: what may be that is left out,
 * as above; here it is certain. */
static void how_much_memory_it_had(void **state)
{
    (void)state;
    enum { MIB = 1 << 20, BLOCK = 150 };
    struct program program;
    const char *options[] = {"--json", NULL};
    const char *words[] = {"dd", "if=/dev/zero", "of=/dev/null", "bs=150M", "count=1", NULL};
    assert_int_equal(run(&program, options, words), 0);
    const char *found = strstr(program.stdout_data, "\"max_rss_bytes\":");
    const char *sanitizers = getenv("SAN");
    if (found == NULL && sanitizers != NULL && sanitizers[0] != '\0')
        print_message("the server itself has more\n");
    else if (found == NULL)
        fail_msg("%s", program.stdout_data);
    long bytes = found != NULL ? strtol(strchr(found, ':') + 1, NULL, 10) : BLOCK * MIB;
    assert_in_range(bytes, BLOCK * MIB, (BLOCK + 30) * MIB);
    program_close(&program);
}

/* Its status says nothing of them. */
static void what_was_left_behind_is_told(void **state)
{
    (void)state;
    struct program program;
    assert_int_equal(run_shell(&program, "nohup sleep 983 >/dev/null 2>&1 & until grep -q sleep "
                                         "/proc/$!/comm; do :; done; exit 0"),
                     0);
    assert_non_null(strstr(program.stderr_data,
                           ": the command left 1 process behind, which the server has ended: "
                           "sleep (pid "));
    program_close(&program);
    assert_int_equal(
        run_shell(&program, "for i in 1 2 3 4 5 6; do setsid sleep 984 >/dev/null 2>&1 & done"), 0);
    assert_non_null(strstr(program.stderr_data, "left 6 processes behind"));
    assert_non_null(strstr(program.stderr_data, "), …\n"));
    program_close(&program);
    /* One that ends by itself as its command does: nothing to tell. */
    assert_int_equal(run_shell(&program, "echo hello | cat & wait"), 0);
    assert_string_equal(program.stderr_data, "");
    program_close(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_held_open_by_a_grandchild),
        cmocka_unit_test(what_was_left_behind_is_told),
        cmocka_unit_test(how_much_memory_it_had),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
