/* 'afar repl' at a terminal: prompt, editing and history. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "support/afard.h"
#include "support/terminal.h"

/* The arrow brings the line back, which it does by the line editor only. */
static void test_history(void **state)
{
    struct afard *server = *state;
    struct terminal terminal;
    const char *const repl[] = {"afar", "repl", server->url[0], NULL};
    terminal_start(&terminal, repl);
    terminal_expect(&terminal, ">>>: ");
    terminal_type(&terminal, "echo $((6*7))\r");
    terminal_expect(&terminal, "\r\n42\r\n");
    terminal_expect(&terminal, ">>>: ");
    terminal.size = 0;
    terminal.text[0] = '\0';
    terminal_type(&terminal, "\033[A\r");
    terminal_expect(&terminal, "42\r\n");
    terminal_expect(&terminal, ">>>: ");
    terminal_type(&terminal, "exit 3\r");
    assert_int_equal(terminal_finish(&terminal), 3);
}

/* Ctrl-C ends the line that is typed; and a command that runs, but not what runs it. */
static void test_interrupts(void **state)
{
    struct afard *server = *state;
    struct terminal terminal;
    const char *const repl[] = {"afar", "repl", server->url[0], NULL};
    terminal_start(&terminal, repl);
    terminal_await(&terminal, ">>>: ");
    terminal_type(&terminal, "\003");
    terminal_type(&terminal, "echo no\003");
    terminal_type(&terminal, "echo $((6*7))\r");
    terminal_await(&terminal, "\r\n42\r\n");
    terminal_await(&terminal, ">>>: ");
    assert_null(strstr(terminal.text, "no42"));
    /* A shell that is just about to execute its last command may lose the signal. */
    terminal_type(&terminal, "trap 'exit 130' INT; echo $((6*8)); while :; do sleep 0.1; done\r");
    terminal_await(&terminal, "\r\n48\r\n");
    terminal_type(&terminal, "\003");
    terminal_await(&terminal, "[130]");
    terminal_await(&terminal, ">>>: ");
    terminal_type(&terminal, "exit 3\r");
    assert_int_equal(terminal_finish(&terminal), 3);
}

static int set_up(void **state)
{
    static struct afard server;
    const char *const args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    afard_start(&server, args);
    *state = &server;
    return 0;
}

static int tear_down(void **state)
{
    return afard_stop(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_interrupts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
