/* A person at a terminal: bash with job control runs afar there, which runs a command on another.
 * What they type, what it looks like afterwards, and that their terminal is theirs again. */
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

#include "base/clock.h"
#include "support/afard.h"
#include "support/person.h"
#include "support/terminal.h"

#define SET_MODES "\\033[?1049h\\033[?1006;1003h\\033[?25l"

static struct afard server; /* tcp, and tls */
static struct terminal person;

/* All of it over the one, and then over the other. */
static unsigned way;

static int set_up(void **state)
{
    (void)state;
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

/* ---- keys ------------------------------------------------------------------------------------ */

/* What a person types there, and what the shell says to it before its next prompt. */
static void there(const char *typed, const char *said)
{
    char line[256];
    (void)snprintf(line, sizeof line, "%s\r", typed);
    terminal_type(&person, line);
    terminal_await(&person, said);
    terminal_await(&person, "there:");
}

/* A key for the program of that name, which has the terminal of `shell`. */
static void press(pid_t shell, const char *name, const char *key, const char *said)
{
    person_expect_foreground(shell, name);
    terminal_type(&person, key);
    terminal_await(&person, said);
    terminal_await(&person, "there:");
}

/* Ctrl-Z, jobs, bg, fg, Ctrl-C and Ctrl-\ of a shell with job control. */
static void job_control(void **state)
{
    (void)state;
    person_sit_down(&person, server.url[way]);
    size_t from = person.size;
    person_start(&person, "run -t -e PS1=there: $url -- bash --norc -i");
    terminal_await(&person, "there:");
    assert_null(strstr(person.text + from, "no job control"));
    there("set -m && ulimit -c 0 && echo m=$?.", "m=0.\r\n");
    terminal_type(&person, "echo p\"\"id=$$.\r");
    terminal_await(&person, "pid=");
    const size_t number = person.seen;
    terminal_await(&person, "there:");
    pid_t shell = (pid_t)strtol(person.text + number, NULL, 10);
    assert_true(shell > 0);
    terminal_type(&person, "sleep 99\r");
    press(shell, "sleep", "\x1a", "Stopped");
    there("jobs", "Stopped                 sleep 99\r\n");
    there("bg", "sleep 99 &\r\n");
    there("jobs", "Running                 sleep 99 &\r\n");
    terminal_type(&person, "fg\r");
    press(shell, "sleep", "\x03", "\r\n");
    there("echo st=$?.", "st=130.\r\n");
    terminal_type(&person, "sleep 98\r");
    press(shell, "sleep", "\x1c", "Quit");
    there("echo st=$?.", "st=131.\r\n");
    there("jobs; echo no\"\"ne", "none\r\n");
    terminal_type(&person, "exit 5\r");
    person_expect_status(&person, 5);
    get_up();
}

/* Only after Enter, and twice is once. */
static void escapes(void **state)
{
    (void)state;
    person_sit_down(&person, server.url[way]);
    person_start(&person, "run -t $url -- sh -c 'stty -echo; echo rea\"\"dy; cat'");
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "x~.\r");
    terminal_await(&person, "x~.\r\n");
    terminal_type(&person, "~~/bin\r");
    terminal_await(&person, "~/bin\r\n");
    terminal_type(&person, "~x\r");
    terminal_await(&person, "~x\r\n");
    terminal_type(&person, "~?");
    terminal_await(&person, "  ~.   hang up");
    terminal_await(&person, "  ~^Z  suspend afar");
    terminal_await(&person, "  ~~   a '~']\r\n");
    terminal_type(&person, "~s");
    terminal_await(&person, "connected; round trip ");
    terminal_await(&person, " ms; 0 bytes wait to be sent]");
    terminal_type(&person, "\x04");
    person_expect_status(&person, 0);
    person_start(&person, "run -t --escape none $url -- sh -c 'stty -echo; echo rea\"\"dy; cat'");
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "~.\r");
    terminal_await(&person, "~.\r\n");
    terminal_type(&person, "\x04");
    person_expect_status(&person, 0);
    person_start(&person, "run -t --escape ^] $url -- " PERSON_READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "\x1d?");
    terminal_await(&person, "  ^].   hang up");
    terminal_await(&person, "  ^]^]  a '^]']\r\n");
    terminal_type(&person, "\x1d"
                           "d");
    terminal_await(&person, "^]. hangs up]");
    terminal_type(&person, "\x1d.");
    person_expect_status(&person, 125);
    get_up();
}

static void sizes_follow(void **state)
{
    (void)state;
    person_sit_down(&person, server.url[way]);
    person_start(&person, "run -t $url -- sh -c 'trap \"stty size\" WINCH; echo rea\"\"dy; "
                          "while :; do sleep 0.02; done'");
    terminal_await(&person, "ready\r\n");
    terminal_size(&person, 30, 90);
    terminal_await(&person, "30 90\r\n");
    for (unsigned short i = 0; i < 100; i++)
        terminal_size(&person, (unsigned short)(31 + i % 7), 100);
    terminal_size(&person, 40, 120);
    terminal_await(&person, "40 120\r\n");
    terminal_type(&person, "\x03");
    person_expect_status(&person, 130);
    get_up();
}

/* Suspended afar leaves a terminal in order, and finds it again. The server does not mind the
 * silence. */
static void suspending(void **state)
{
    (void)state;
    struct afard impatient;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0",
                          "--set",    "heartbeat_ms=100",
                          "--set",    "heartbeat_timeout_ms=400",
                          "--set",    "kill_grace_ms=300",
                          "--set",    "resume_ms=0",
                          NULL};
    afard_start(&impatient, args);
    person_sit_down(&person, impatient.url[0]);
    person_start(&person, "run -t $url -- sh -c 'trap \"stty size\" WINCH; printf \"" SET_MODES
                          "rea\"\"dy\"; while :; do read x && echo got $x; done'");
    terminal_await(&person, "ready");
    terminal_type(&person, "\r");
    terminal_await(&person, "got");
    terminal_type(&person, "~\x1a");
    terminal_await(&person, "\x1b[?1049l");
    terminal_await(&person, "Stopped");
    terminal_await(&person, "@@ ");
    person_expect_in_order(&person);
    terminal_type(&person, "sleep 1.2; fg\r"); /* three times heartbeat_timeout_ms */
    /* What was set is set again, and the program told to draw: of a size that stays as it was it
     * would hear nothing. */
    terminal_await(&person, "\x1b[?1049h");
    terminal_await(&person, "24 80");
    terminal_type(&person, "back\r");
    terminal_await(&person, "got back");
    terminal_type(&person, "~.");
    terminal_await(&person, "[hung up]");
    terminal_type(&person, "\r");
    terminal_await(&person, "@@ ");
    person_stand_up(&person);
    assert_int_equal(afard_stop(&impatient), 0);
}

static void pauses_have_an_end(void **state)
{
    (void)state;
    struct afard impatient;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0",        "--set", "heartbeat_ms=100",
                          "--set",    "heartbeat_timeout_ms=300", "--set", "kill_grace_ms=100",
                          "--set",    "pause_max_ms=100",         "--set", "resume_ms=0",
                          NULL};
    afard_start(&impatient, args);
    person_sit_down(&person, impatient.url[0]);
    person_start(&person, "run -t $url -- " PERSON_READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "~\x1a");
    terminal_await(&person, "Stopped");
    terminal_await(&person, "@@ ");
    afard_expect_log(&impatient, "gives no sign of life");
    terminal_type(&person, "fg\r");
    terminal_await(&person, "whether it finished is unknown");
    terminal_await(&person, "@@ ");
    person_stand_up(&person);
    assert_int_equal(afard_stop(&impatient), 0);
}

/* Ctrl-S is the terminal's over there: it holds the program, and nothing is lost. */
static void flow_control(void **state)
{
    (void)state;
    person_sit_down(&person, server.url[way]);
    person_start(&person, "run -t $url -- sh -c 'stty ixon; echo rea\"\"dy; seq 1 9999'");
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "\x13");
    terminal_type(&person, "\x11");
    terminal_await(&person, "\r\n4711\r\n4712\r\n");
    terminal_await(&person, "\r\n9999\r\n");
    person_expect_status(&person, 0);
    get_up();
}

/* The inner one is reached by two. */
static void one_in_another(void **state)
{
    (void)state;
    person_sit_down(&person, server.url[way]);
    person_start(
        &person,
        "run -t -e P=$afar $url -- sh -c 'stty -echo; echo rea\"\"dy; $P run -t '$url' -- cat; "
        "echo inner=$?.; exit 7'");
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "deep\r");
    terminal_await(&person, "deep");
    terminal_type(&person, "\r~~.");
    terminal_await(&person, "inner=125.");
    person_expect_status(&person, 7);
    get_up();
}

static void a_login_shell(void **state)
{
    (void)state;
    person_sit_down(&person, server.url[way]);
    person_start(&person, "shell -e PS1=there: $url");
    terminal_await(&person, "it ends with the connection"); /* the server grants no more */
    terminal_type(&person, "tty; exit 4\r");
    terminal_await(&person, "/dev/pts/");
    person_expect_status(&person, 4);
    person_start(&person, "shell --reconnect 0 $url");
    terminal_await(&person, "it ends with the connection");
    terminal_type(&person, "exit 5\r");
    person_expect_status(&person, 5);
    /* Of what has not begun nothing is said but why; and no key is named that is none. */
    const size_t from = person.size;
    person_start(&person, "shell --keep $url");
    terminal_await(&person, "does not offer keep");
    person_expect_status(&person, 125);
    assert_null(strstr(person.text + from, "kept;"));
    person_start(&person, "shell --escape ^] -e PS1=there: $url");
    terminal_await(&person, "; ^]? after Enter for help]");
    terminal_type(&person, "exit 6\r");
    person_expect_status(&person, 6);
    person_start(&person, "shell --escape none -e PS1=there: $url");
    terminal_await(&person, "it ends with the connection]");
    terminal_type(&person, "exit 7\r");
    person_expect_status(&person, 7);
    person_start(&person, "shell -q $url </dev/null");
    person_expect_status(&person, 0);
    get_up();
}

/* It says what the server grants, not what was asked for. */
static void how_long_it_waits(void **state)
{
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "resume_ms=45000", NULL};
    struct afard patient;
    (void)state;
    if (way != 0)
        return;
    afard_start(&patient, args);
    person_sit_down(&person, patient.url[0]);
    person_start(&person, "shell -e PS1=there: $url");
    terminal_await(&person, "waits for a lost connection up to 45 s;");
    terminal_type(&person, "exit 8\r");
    person_expect_status(&person, 8);
    person_stand_up(&person);
    assert_int_equal(afard_stop(&patient), 0);
}

/* ---- programs -------------------------------------------------------------------------------- */

static bool is_there(const char *program)
{
    struct program which;
    const char *argv[] = {"sh", "-c", "command -v \"$1\"", "sh", program, NULL};
    int status = program_run(&which, argv, NULL, 0);
    program_close(&which);
    return status == 0;
}

static void an_editor(void **state)
{
    (void)state;
    char folder[] = "/tmp/afar-editor-XXXXXX";
    char line[256];
    if (!is_there("vim")) {
        print_message("vim is not here\n");
        skip();
    }
    assert_non_null(mkdtemp(folder));
    person_sit_down(&person, server.url[way]);
    (void)snprintf(line, sizeof line, "run -t -e TERM=xterm $url -- vim -u NONE -i NONE %s/file",
                   folder);
    person_start(&person, line);
    terminal_await(&person, "[New");
    terminal_type(&person, "ihello\x1b:wq\r");
    person_expect_status(&person, 0);
    (void)snprintf(line, sizeof line, "cat %s/file && rm -r %s\r", folder, folder);
    terminal_type(&person, line);
    terminal_await(&person, "hello\r\n");
    terminal_await(&person, "@@ ");
    get_up();
}

static void a_pager(void **state)
{
    (void)state;
    if (!is_there("less")) {
        print_message("less is not here\n");
        skip();
    }
    person_sit_down(&person, server.url[way]);
    person_start(&person, "run -t -e TERM=xterm $url -- sh -c 'seq 1 500 | less'");
    terminal_await(&person, "23");
    terminal_type(&person, "G");
    terminal_await(&person, "500");
    terminal_type(&person, "q");
    person_expect_status(&person, 0);
    get_up();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_control),
        cmocka_unit_test(escapes),
        cmocka_unit_test(sizes_follow),
        cmocka_unit_test(suspending),
        cmocka_unit_test(pauses_have_an_end),
        cmocka_unit_test(flow_control),
        cmocka_unit_test(one_in_another),
        cmocka_unit_test(a_login_shell),
        cmocka_unit_test(how_long_it_waits),
        cmocka_unit_test(an_editor),
        cmocka_unit_test(a_pager),
    };
    int failed = 0;
    for (way = 0; way < 2; way++)
        failed += cmocka_run_group_tests_name(way == 0 ? "tcp" : "tls", tests, set_up, tear_down);
    return failed;
}
