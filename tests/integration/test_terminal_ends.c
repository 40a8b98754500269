/* A person at a terminal, and all the ways in which a command on another ends: theirs is theirs again,
 * and nothing needless is written on it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/person.h"
#include "support/ruled.h"
#include "support/terminal.h"

/* Sets modes, and waits: one process, as a shell that is about to begin another loses a SIGINT. */
#define SET_MODES                                                                           \
    "awk 'BEGIN { printf \"\\033[?1049h\\033[?1006;1003h\\033[?25lrea\" \"dy\"; fflush(); " \
    "getline }'"

static struct afard server; /* tcp, and tls */
static struct terminal person;

/* All of it over the one, and then over the other. */
static unsigned way;

static int set_up(void **state)
{
    (void)state;
    const struct rlimit no_core = {0};
    assert_int_equal(setrlimit(RLIMIT_CORE, &no_core), 0);
    person_serve(&server);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

static void get_up(void)
{
    person_stand_up(&person);
    afard_expect_calm(&server);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void commands_that_end(void **state)
{
    (void)state;
    person_sit_down(&person, server.url[way]);
    person_start(&person, "run -t $url -- sh -c 'stty size; exit 3'");
    terminal_await(&person, "24 80\r\n");
    person_expect_status(&person, 3);
    person_expect_in_order(&person);
    person_start(&person, "run -t $url -- /no/such/program");
    person_expect_status(&person, 127);
    person_expect_in_order(&person);
    person_start(&person, "run -t $url -- sh -c 'stty raw; kill -9 $$'");
    person_expect_status(&person, 137);
    person_expect_in_order(&person);
    person_start(&person, "run -t --json $url -- true");
    terminal_await(&person, "\"tty\":\"/dev/pts/");
    person_expect_status(&person, 0);
    get_up();
}

/* ~. gives the terminal back at once. */
static void hanging_up(void **state)
{
    (void)state;
    person_sit_down(&person, server.url[way]);
    person_start(&person, "run -t $url -- " PERSON_READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "~.");
    terminal_await(&person, "[hung up]");
    person_expect_status(&person, 125);
    get_up();
}

static void a_server_that_does_not_answer(void **state)
{
    (void)state;
    person_sit_down(&person, server.url[way]);
    person_start(&person, "run -t $url -- " PERSON_READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    assert_int_equal(kill(server.program.pid, SIGSTOP), 0);
    terminal_type(&person, "\r~.");
    terminal_await(&person, "[hung up]");
    person_expect_status(&person, 125);
    person_expect_in_order(&person);
    assert_int_equal(kill(server.program.pid, SIGCONT), 0);
    get_up();
}

static void a_server_that_dies(void **state)
{
    (void)state;
    struct afard other;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "resume_ms=0", NULL};
    afard_start(&other, args);
    person_sit_down(&person, other.url[0]);
    person_start(&person, "run -t $url -- " PERSON_READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    assert_int_equal(kill(other.program.pid, SIGKILL), 0);
    person_expect_status(&person, 125);
    get_up();
    (void)afard_stop(&other);
}

/* A rule that refuses the command, or only the terminal. */
static void what_is_denied(void **state)
{
    (void)state;
    static const char *const lines[] = {"run -t $url -- /bin/echo x", "run -t $url -- /bin/ls",
                                        "shell $url"};
    struct ruled ruled;
    ruled_open(&ruled, "[allow none]\nclient = any\ncommand = /bin/echo **\npty = no\n", "info");
    person_sit_down(&person, ruled.afard.url[0]);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        person_start(&person, lines[i]);
        person_expect_status(&person, 125);
        person_expect_in_order(&person);
    }
    person_stand_up(&person);
    ruled_close(&ruled);
}

/* Another thing that the server does not offer is named, and not the terminal. */
static void what_is_not_offered(void **state)
{
    (void)state;
    static const char *const lines[][2] = {{"run -t --keep $url -- true", "does not offer keep"},
                                           {"run -t --once x $url -- true", "does not offer key"},
                                           {"run -d -t $url -- true", "does not offer keep"},
                                           {"shell --keep $url", "does not offer keep"}};
    person_sit_down(&person, server.url[way]);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        person_start(&person, lines[i][0]);
        terminal_await(&person, lines[i][1]);
        person_expect_status(&person, 125);
        person_expect_in_order(&person);
    }
    get_up();
}

/* However afar dies, or what it runs, with or without a chance to do something about it. */
static void signals_from_outside(void **state)
{
    (void)state;
    static const struct {
        int number;
        int status;
    } table[] = {{SIGKILL, 137}, {SIGSEGV, 139}, {SIGTERM, 143},
                 {SIGHUP, 125},  {SIGINT, 130},  {SIGQUIT, 131}};
    person_sit_down(&person, server.url[way]);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[32];
        const char *sanitizers = getenv("SAN");
        /* They make an end of their own of it, after which bash takes the modes for its own. */
        if (table[i].number == SIGSEGV && sanitizers != NULL && *sanitizers != '\0')
            continue;
        person_start(&person, "run -t $url -- " SET_MODES);
        terminal_await(&person, "ready");
        const size_t from = person.seen;
        assert_int_equal(kill(person_child(&person), table[i].number), 0);
        /* The modes are undone, in an order that leaves the cursor where it was. Where a guard does
         * it, the shell may come first. */
        terminal_await(&person, "\x1b[?1006l\x1b[?1003l\x1b[?25h\x1b[?1049l");
        person.seen = from;
        (void)snprintf(text, sizeof text, "rc=%d.", table[i].status);
        terminal_await(&person, text);
        person.seen = person.size;
        terminal_type(&person, "\r");
        terminal_await(&person, "@@ ");
        person_expect_in_order(&person);
    }
    get_up();
}

/* As ~^Z, but by somebody else's hand, and by one that afar cannot see coming. */
static void stopped_from_outside(void **state)
{
    (void)state;
    static const int numbers[] = {SIGTSTP, SIGSTOP};
    person_sit_down(&person, server.url[way]);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        person_start(&person, "run -t $url -- sh -c 'stty -echo; echo rea\"\"dy; "
                              "while read x; do echo got $x; done; exit 9'");
        terminal_await(&person, "ready\r\n");
        assert_int_equal(kill(person_child(&person), numbers[i]), 0);
        terminal_await(&person, "Stopped");
        terminal_await(&person, "@@ ");
        person_expect_in_order(&person);
        terminal_type(&person, "fg; echo r\"\"c=$?.\r");
        terminal_await(&person, "$afar run"); /* the shell names it */
        terminal_type(&person, "back\r");
        terminal_await(&person, "got back\r\n");
        terminal_type(&person, "\x04");
        person_expect_status(&person, 9);
        person_expect_in_order(&person);
    }
    get_up();
}

/* In the background there is nothing for it to do: it stops again, and `fg` finds it. */
static void in_the_background(void **state)
{
    (void)state;
    static const int numbers[] = {SIGTSTP, SIGSTOP};
    person_sit_down(&person, server.url[way]);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        person_start(&person, "run -t $url -- sh -c 'stty -echo; echo rea\"\"dy; "
                              "while read x; do echo got $x; done; exit 9'");
        terminal_await(&person, "ready\r\n");
        assert_int_equal(kill(person_child(&person), numbers[i]), 0);
        terminal_await(&person, "Stopped");
        terminal_await(&person, "@@ ");
        for (int times = 0; times < 2; times++) {
            terminal_type(&person,
                          "bg; until jobs -s | grep '' >/dev/null; do :; done; echo bac\"\"k\r");
            terminal_await(&person, "back\r\n");
            terminal_await(&person, "@@ ");
            person_expect_in_order(&person);
        }
        terminal_type(&person, "fg; echo r\"\"c=$?.\r");
        terminal_await(&person, "$afar run");
        terminal_type(&person, "again\r");
        terminal_await(&person, "got again\r\n");
        terminal_type(&person, "\x04");
        person_expect_status(&person, 9);
        person_expect_in_order(&person);
    }
    get_up();
}

/* Where the keys are not ours the screen is. */
static void without_its_keys(void **state)
{
    (void)state;
#define SET_AND_SLEEP \
    "$url -- sh -c 'printf \"\\033[?1049h\\033[?1006;1003h\\033[?25lrea\"\"dy\"; exec sleep 1000'"
    static const char *const lines[] = {"run -t " SET_AND_SLEEP " </dev/null",
                                        "run -t -n " SET_AND_SLEEP};
    person_sit_down(&person, server.url[way]);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        person_start(&person, lines[i]);
        terminal_await(&person, "ready");
        assert_int_equal(kill(person_child(&person), SIGTERM), 0);
        terminal_await(&person, "\x1b[?1006l\x1b[?1003l\x1b[?25h\x1b[?1049l");
        person_expect_status(&person, 143);
        person_expect_in_order(&person);
    }
    const size_t from = person.size;
    person_start(&person, "run -t -n $url -- printf '\033[?1004h'");
    person_expect_status(&person, 0);
    get_up();
    assert_null(strstr(person.text + from, "\x1b[?1004l"));
}

/* Where nothing was set nothing is written; nor after a command that ended by itself. */
static void nothing_needless_is_written(void **state)
{
    (void)state;
    person_sit_down(&person, server.url[way]);
    size_t from = person.size;
    person_start(&person, "run -t $url -- " PERSON_READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    assert_int_equal(kill(person_child(&person), SIGKILL), 0);
    terminal_await(&person, "@@ ");
    person_expect_in_order(&person);
    assert_null(strstr(person.text + from, "\x1b["));
    person_start(&person, "run -t $url -- printf '\\033[?1004h'");
    person_expect_status(&person, 0);
    get_up();
    assert_null(strstr(person.text + from, "\x1b[?1004l"));
}

static void the_window_closes(void **state)
{
    (void)state;
    person_sit_down(&person, server.url[way]);
    person_start(&person, "run -t $url -- bash --norc -i");
    terminal_await(&person, "bash-");
    terminal_type(&person, "sleep 1001 & echo st\"\"arted\r");
    terminal_await(&person, "started\r\n");
    terminal_close(&person);
    afard_expect_calm(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_that_end),
        cmocka_unit_test(hanging_up),
        cmocka_unit_test(a_server_that_does_not_answer),
        cmocka_unit_test(a_server_that_dies),
        cmocka_unit_test(what_is_denied),
        cmocka_unit_test(what_is_not_offered),
        cmocka_unit_test(signals_from_outside),
        cmocka_unit_test(stopped_from_outside),
        cmocka_unit_test(in_the_background),
        cmocka_unit_test(without_its_keys),
        cmocka_unit_test(nothing_needless_is_written),
        cmocka_unit_test(the_window_closes),
    };
    int failed = 0;
    for (way = 0; way < 2; way++)
        failed += cmocka_run_group_tests_name(way == 0 ? "tcp" : "tls", tests, set_up, tear_down);
    return failed;
}
