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
#include "support/terminal.h"

#define SET_MODES "\\033[?1049h\\033[?1006;1003h\\033[?25l"
#define READY_THEN_SLEEP "sh -c 'echo rea\"\"dy; sleep 1000'"

static struct afard server;
static struct terminal person;

static int set_up(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "kill_grace_ms=300",
                          "--set",    "resume_ms=0",       NULL};
    afard_start(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

/* Bash at a terminal of 24 x 80, with the mode that it has kept in A. */
static void sit_down(const char *url)
{
    char path[PROGRAM_TEXT_BYTES];
    char line[PROGRAM_TEXT_BYTES + 1024];
    const char *argv[] = {"env",    "PS1=@@ ",     "TERM=dumb", "HISTFILE=", "bash",
                          "--norc", "--noprofile", "-i",        NULL};
    terminal_start(&person, argv);
    terminal_size(&person, 24, 80);
    terminal_await(&person, "@@ ");
    (void)snprintf(line, sizeof line, "afar=%s url=%s A=$(stty -g); echo se\"\"t\r",
                   program_path("afar", path), url);
    terminal_type(&person, line);
    terminal_await(&person, "set\r\n");
    terminal_await(&person, "@@ ");
}

/* `line` is a command of afar, its status comes after it. */
static void start(const char *line)
{
    char typed[1024];
    (void)snprintf(typed, sizeof typed, "$afar %s; echo r\"\"c=$?.\r", line);
    terminal_type(&person, typed);
}

static void expect_status(int status)
{
    char text[32];
    (void)snprintf(text, sizeof text, "rc=%d.\r\n", status);
    terminal_await(&person, text);
    terminal_await(&person, "@@ ");
}

/* Its mode is as it was. */
static void expect_in_order(void)
{
    terminal_type(&person, "test \"$(stty -g)\" = \"$A\" && echo in or\"\"der\r");
    terminal_await(&person, "in order\r\n");
    terminal_await(&person, "@@ ");
}

static void get_up(void)
{
    expect_in_order();
    terminal_type(&person, "exit\r");
    assert_int_equal(terminal_finish(&person), 0);
    afard_expect_calm(&server);
}

/* The program that bash has in the foreground. */
static pid_t find_afar(void)
{
    char path[64];
    int pid = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)person.pid,
                   (int)person.pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    (void)fclose(file);
    return (pid_t)pid;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void commands_that_end(void **state)
{
    (void)state;
    sit_down(server.url[0]);
    start("run -t $url -- sh -c 'stty size; exit 3'");
    terminal_await(&person, "24 80\r\n");
    expect_status(3);
    expect_in_order();
    start("run -t $url -- /no/such/program");
    expect_status(127);
    expect_in_order();
    start("run -t $url -- sh -c 'stty raw; kill -9 $$'");
    expect_status(137);
    expect_in_order();
    start("run -t --json $url -- true");
    terminal_await(&person, "\"tty\":\"/dev/pts/");
    expect_status(0);
    get_up();
}

/* ~. gives the terminal back at once. */
static void hanging_up(void **state)
{
    (void)state;
    sit_down(server.url[0]);
    start("run -t $url -- " READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "~.");
    terminal_await(&person, "[hung up]");
    expect_status(125);
    get_up();
}

static void a_server_that_does_not_answer(void **state)
{
    (void)state;
    sit_down(server.url[0]);
    start("run -t $url -- " READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    assert_int_equal(kill(server.program.pid, SIGSTOP), 0);
    terminal_type(&person, "\r~.");
    terminal_await(&person, "[hung up]");
    expect_status(125);
    expect_in_order();
    assert_int_equal(kill(server.program.pid, SIGCONT), 0);
    get_up();
}

static void a_server_that_dies(void **state)
{
    (void)state;
    struct afard other;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "resume_ms=0", NULL};
    afard_start(&other, args);
    sit_down(other.url[0]);
    start("run -t $url -- " READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    assert_int_equal(kill(other.program.pid, SIGKILL), 0);
    expect_status(125);
    get_up();
    (void)afard_stop(&other);
}

/* However afar dies, with or without a chance to do something about it. */
static void signals_from_outside(void **state)
{
    (void)state;
    static const struct {
        int number;
        int status;
    } table[] = {{SIGKILL, 137}, {SIGSEGV, 139}, {SIGTERM, 143}, {SIGHUP, 125}};
    sit_down(server.url[0]);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        start("run -t $url -- sh -c 'printf \"" SET_MODES "rea\"\"dy\"; sleep 1000'");
        terminal_await(&person, "ready");
        assert_int_equal(kill(find_afar(), table[i].number), 0);
        /* The modes are undone, in an order that leaves the cursor where it was. */
        terminal_await(&person, "\x1b[?1006l\x1b[?1003l\x1b[?25h\x1b[?1049l");
        terminal_type(&person, "\r");
        terminal_await(&person, "@@ ");
        expect_in_order();
    }
    get_up();
}

/* Where nothing was set nothing is written; nor after a command that ended by itself. */
static void nothing_needless_is_written(void **state)
{
    (void)state;
    sit_down(server.url[0]);
    size_t from = person.size;
    start("run -t $url -- " READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    assert_int_equal(kill(find_afar(), SIGKILL), 0);
    terminal_await(&person, "@@ ");
    expect_in_order();
    assert_null(strstr(person.text + from, "\x1b["));
    start("run -t $url -- printf '\\033[?1004h'");
    expect_status(0);
    get_up();
    assert_null(strstr(person.text + from, "\x1b[?1004l"));
}

static void the_window_closes(void **state)
{
    (void)state;
    sit_down(server.url[0]);
    start("run -t $url -- bash --norc -i");
    terminal_await(&person, "bash-");
    terminal_type(&person, "sleep 1001 & echo st\"\"arted\r");
    terminal_await(&person, "started\r\n");
    terminal_close(&person);
    afard_expect_calm(&server);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void job_control_over_there(void **state)
{
    (void)state;
    sit_down(server.url[0]);
    start("run -t -e PS1=there: $url -- bash --norc -i");
    terminal_await(&person, "there:");
    terminal_type(&person, "sh -c 'trap \"echo co\"\"nt\" CONT; echo be\"\"gin; "
                           "while :; do read x; done'\r");
    terminal_await(&person, "begin\r\n");
    terminal_type(&person, "\x1a");
    terminal_await(&person, "Stopped");
    terminal_await(&person, "there:");
    terminal_type(&person, "fg\r");
    terminal_await(&person, "cont\r\n");
    terminal_type(&person, "\x03");
    terminal_await(&person, "there:");
    terminal_type(&person, "echo st=$?.\r");
    terminal_await(&person, "st=130.\r\n");
    terminal_type(&person, "exit 5\r");
    expect_status(5);
    get_up();
}

/* Only after Enter, and twice is once. */
static void escapes(void **state)
{
    (void)state;
    sit_down(server.url[0]);
    start("run -t $url -- sh -c 'stty -echo; echo rea\"\"dy; cat'");
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "x~.\r");
    terminal_await(&person, "x~.\r\n");
    terminal_type(&person, "~~/bin\r");
    terminal_await(&person, "~/bin\r\n");
    terminal_type(&person, "~x\r");
    terminal_await(&person, "~x\r\n");
    terminal_type(&person, "~?");
    terminal_await(&person, "hang up");
    terminal_type(&person, "~s");
    terminal_await(&person, "connected");
    terminal_type(&person, "\x04");
    expect_status(0);
    start("run -t --escape none $url -- sh -c 'stty -echo; echo rea\"\"dy; cat'");
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "~.\r");
    terminal_await(&person, "~.\r\n");
    terminal_type(&person, "\x04");
    expect_status(0);
    start("run -t --escape ^] $url -- " READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "\x1d.");
    expect_status(125);
    get_up();
}

static void sizes_follow(void **state)
{
    (void)state;
    sit_down(server.url[0]);
    start("run -t $url -- sh -c 'trap \"stty size\" WINCH; echo rea\"\"dy; "
          "while :; do sleep 0.02; done'");
    terminal_await(&person, "ready\r\n");
    terminal_size(&person, 30, 90);
    terminal_await(&person, "30 90\r\n");
    for (unsigned short i = 0; i < 100; i++)
        terminal_size(&person, (unsigned short)(31 + i % 7), 100);
    terminal_size(&person, 40, 120);
    terminal_await(&person, "40 120\r\n");
    terminal_type(&person, "\x03");
    expect_status(130);
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
    sit_down(impatient.url[0]);
    start("run -t $url -- sh -c 'trap \"stty size\" WINCH; printf \"" SET_MODES
          "rea\"\"dy\"; while :; do read x && echo got $x; done'");
    terminal_await(&person, "ready");
    terminal_type(&person, "\r");
    terminal_await(&person, "got");
    terminal_type(&person, "~\x1a");
    terminal_await(&person, "\x1b[?1049l");
    terminal_await(&person, "Stopped");
    terminal_await(&person, "@@ ");
    expect_in_order();
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
    expect_in_order();
    terminal_type(&person, "exit\r");
    assert_int_equal(terminal_finish(&person), 0);
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
    sit_down(impatient.url[0]);
    start("run -t $url -- " READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "~\x1a");
    terminal_await(&person, "Stopped");
    terminal_await(&person, "@@ ");
    afard_expect_log(&impatient, "gives no sign of life");
    terminal_type(&person, "fg\r");
    terminal_await(&person, "whether it finished is unknown");
    terminal_await(&person, "@@ ");
    expect_in_order();
    terminal_type(&person, "exit\r");
    assert_int_equal(terminal_finish(&person), 0);
    assert_int_equal(afard_stop(&impatient), 0);
}

/* Ctrl-S is the terminal's over there: it holds the program, and nothing is lost. */
static void flow_control(void **state)
{
    (void)state;
    sit_down(server.url[0]);
    start("run -t $url -- sh -c 'stty ixon; echo rea\"\"dy; seq 1 9999'");
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "\x13");
    terminal_type(&person, "\x11");
    terminal_await(&person, "\r\n4711\r\n4712\r\n");
    terminal_await(&person, "\r\n9999\r\n");
    expect_status(0);
    get_up();
}

/* The inner one is reached by two. */
static void one_in_another(void **state)
{
    (void)state;
    sit_down(server.url[0]);
    start("run -t -e P=$afar $url -- sh -c 'stty -echo; echo rea\"\"dy; $P run -t '$url' -- cat; "
          "echo inner=$?.; exit 7'");
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "deep\r");
    terminal_await(&person, "deep");
    terminal_type(&person, "\r~~.");
    terminal_await(&person, "inner=125.");
    expect_status(7);
    get_up();
}

static void a_login_shell(void **state)
{
    (void)state;
    sit_down(server.url[0]);
    start("shell -e PS1=there: $url");
    terminal_await(&person, "waits for a lost connection up to 60 s");
    terminal_type(&person, "tty; exit 4\r");
    terminal_await(&person, "/dev/pts/");
    expect_status(4);
    start("shell --reconnect 0 $url");
    terminal_await(&person, "it ends with the connection");
    terminal_type(&person, "exit 5\r");
    expect_status(5);
    start("shell -q $url </dev/null");
    expect_status(0);
    get_up();
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
    sit_down(server.url[0]);
    (void)snprintf(line, sizeof line, "run -t -e TERM=xterm $url -- vim -u NONE -i NONE %s/file",
                   folder);
    start(line);
    terminal_await(&person, "[New");
    terminal_type(&person, "ihello\x1b:wq\r");
    expect_status(0);
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
    sit_down(server.url[0]);
    start("run -t -e TERM=xterm $url -- sh -c 'seq 1 500 | less'");
    terminal_await(&person, "23");
    terminal_type(&person, "G");
    terminal_await(&person, "500");
    terminal_type(&person, "q");
    expect_status(0);
    get_up();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_that_end),
        cmocka_unit_test(hanging_up),
        cmocka_unit_test(a_server_that_does_not_answer),
        cmocka_unit_test(a_server_that_dies),
        cmocka_unit_test(signals_from_outside),
        cmocka_unit_test(nothing_needless_is_written),
        cmocka_unit_test(the_window_closes),
        cmocka_unit_test(job_control_over_there),
        cmocka_unit_test(escapes),
        cmocka_unit_test(sizes_follow),
        cmocka_unit_test(suspending),
        cmocka_unit_test(pauses_have_an_end),
        cmocka_unit_test(flow_control),
        cmocka_unit_test(one_in_another),
        cmocka_unit_test(a_login_shell),
        cmocka_unit_test(an_editor),
        cmocka_unit_test(a_pager),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
