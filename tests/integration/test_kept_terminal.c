/* A kept command on a terminal: it is left and found again, from another place and at another size,
 * and what runs on it does not notice. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/folder.h"
#include "support/pane.h"
#include "support/terminal.h"

#define ECHO_LINES "stty -echo; echo rea\"\"dy; while read x; do echo \"<$x>\"; done"

/* The same, and its traps run although nobody types. */
#define ECHO_AWAKE                                                                         \
    "stty -echo; echo rea\"\"dy; while :; do read -t .1 x; case $? in 0) echo \"<$x>\";; " \
    "1) exit 0;; esac; done"

enum { ROWS = 24, COLS = 80, OTHER_ROWS = 30, OTHER_COLS = 100 };

static char folder[64];
static char url[128];
static char state_key[160];
static struct afard server;
static struct terminal one;
static struct terminal other;
static struct pane pane;
static struct pane fresh;

static void start_server(void)
{
    const char *args[] = {"--listen", url,
                          "--set",    state_key,
                          "--set",    "resume_ms=60000",
                          "--set",    "kill_grace_ms=300",
                          "--http",   "tcp://127.0.0.1:0",
                          NULL};
    afard_start(&server, args);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-test-kept-tty-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(url, sizeof url, "unix://%s/door", folder);
    (void)snprintf(state_key, sizeof state_key, "state_directory=%s/state", folder);
    (void)setenv("URL", url, 1);
    start_server();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(afard_stop(&server), 0);
    return folder_remove(folder);
}

/* `afar WORDS…`, in which "@" is the server. */
static void sit_down(struct terminal *terminal, int rows, int cols, const char *const *words)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar"};
    for (size_t used = 1; *words != NULL; words++)
        argv[used++] = strcmp(*words, "@") == 0 ? url : *words;
    terminal_start_at(terminal, argv, (unsigned short)rows, (unsigned short)cols);
}

#define AFAR(terminal, rows, cols, ...) \
    sit_down((terminal), (rows), (cols), (const char *const[]){__VA_ARGS__, NULL})

static void afar(struct program *client, int status, const char *const *words)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar"};
    for (size_t used = 1; *words != NULL; words++)
        argv[used++] = strcmp(*words, "@") == 0 ? url : *words;
    int ended = program_run(client, argv, NULL, 0);
    if (ended != status)
        fail_msg("%s: %d: %s", argv[1], ended, client->stderr_data);
}

#define QUIET(status, ...)                                                 \
    do {                                                                   \
        struct program client;                                             \
        afar(&client, (status), (const char *const[]){__VA_ARGS__, NULL}); \
        program_close(&client);                                            \
    } while (0)

static void expect_end(struct terminal *terminal, int status, const char *text)
{
    int ended = terminal_finish(terminal);
    if (ended != status || strstr(terminal->text, text) == NULL)
        fail_msg("status %d, not %d, or no '%s': %s", ended, status, text, terminal->text);
}

/* ---- left and found ---------------------------------------------------------------------------- */

static void it_is_left_and_found(void **state)
{
    (void)state;
    AFAR(&one, ROWS, COLS, "run", "-t", "--once", "left", "@", "--", "bash", "-c",
         "trap 'stty size' WINCH; trap 'echo int' INT;" ECHO_AWAKE);
    terminal_await(&one, "ready\r\n");
    terminal_type(&one, "a\r");
    terminal_await(&one, "<a>\r\n");
    terminal_type(&one, "~d");
    expect_end(&one, 0, "[detached: ");
    assert_non_null(strstr(one.text, "; afar attach unix://"));

    struct program list;
    afar(&list, 0, (const char *const[]){"ps", "--json", "@", NULL});
    assert_non_null(strstr(list.stdout_data, "\"pty\":true"));
    program_close(&list);

    /* What was shown, and a screen of the other size. */
    AFAR(&other, OTHER_ROWS, OTHER_COLS, "attach", "@", "once:left");
    terminal_await(&other, "ready\r\n<a>\r\n");
    terminal_await(&other, "30 100\r\n");
    terminal_type(&other, "mark\r");
    terminal_await(&other, "<mark>\r\n");
    terminal_type(&other, "~d");
    expect_end(&other, 0, "[detached: ");
    /* At the same size it must draw, too: it is told of a change. */
    AFAR(&other, OTHER_ROWS, OTHER_COLS, "attach", "@", "once:left");
    terminal_await(&other, "<mark>\r\n");
    terminal_await(&other, "30 100\r\n");
    /* Its keys are the program's, also those that end programs. */
    terminal_type(&other, "\003");
    terminal_await(&other, "int\r\n");
    terminal_type(&other, "b\r");
    terminal_await(&other, "<b>\r\n");
    terminal_type(&other, "\004");
    expect_end(&other, 0, "");
    QUIET(0, "rm", "@", "once:left");
}

/* What it has left set on its terminal is not left on the one at which that is read. */
static void its_log_leaves_a_terminal_in_order(void **state)
{
    (void)state;
    QUIET(0, "run", "-n", "-t", "--once", "modes", "@", "--", "printf",
          "\\033[?1049h\\033[?1006;1003h\\033[?25lhi");
    AFAR(&one, ROWS, COLS, "logs", "@", "once:modes");
    expect_end(&one, 0, "hi\x1b[?1006l\x1b[?1003l\x1b[?25h\x1b[?1049l");
    struct program plain;
    afar(&plain, 0, (const char *const[]){"logs", "@", "once:modes", NULL});
    assert_string_equal(plain.stdout_data, "\x1b[?1049h\x1b[?1006;1003h\x1b[?25lhi");
    program_close(&plain);
    QUIET(0, "rm", "@", "once:modes");
}

/* Who is made to leave reads why on a screen that is in order again. */
static void who_must_leave_is_told(void **state)
{
    (void)state;
    QUIET(0, "run", "-d", "-t", "--once", "alternate", "@", "--", "bash", "-c",
          "printf '\\033[?1049hthere'; " ECHO_AWAKE);
    AFAR(&one, ROWS, COLS, "attach", "@", "once:alternate");
    terminal_await(&one, "\x1b[?1049h");
    assert_int_equal(kill(one.pid, SIGTERM), 0);
    terminal_await(&one, "\x1b[?1049l");
    terminal_await(&one, "afar: left job ");
    expect_end(&one, 143, ", which runs on\r\n");
    QUIET(0, "kill", "--signal", "KILL", "@", "once:alternate");
    QUIET(125, "wait", "@", "once:alternate");
    QUIET(0, "rm", "@", "once:alternate");
}

/* `-d`: at once, and its keys come later. */
static void it_begins_without_anybody(void **state)
{
    (void)state;
    AFAR(&one, 33, 101, "run", "-d", "-t", "--once", "none", "@", "--", "sh", "-c",
         "stty size; " ECHO_LINES);
    expect_end(&one, 0, "\r\n");
    assert_int_equal(strspn(one.text, "0123456789abcdef"), 32);
    AFAR(&other, 33, 101, "attach", "@", "once:none");
    terminal_await(&other, " 101\r\nready\r\n"); /* (it may see the change) */
    terminal_type(&other, "a\r");
    terminal_await(&other, "<a>\r\n");
    terminal_type(&other, "~.");
    expect_end(&other, 125, "[hung up: ");
    AFAR(&other, 33, 101, "attach", "@", "once:none");
    terminal_await(&other, "<a>\r\n");
    terminal_type(&other, "\004");
    expect_end(&other, 0, "");
    QUIET(0, "rm", "@", "once:none");
}

static void it_is_taken_over(void **state)
{
    (void)state;
    AFAR(&one, ROWS, COLS, "run", "-t", "--once", "two", "@", "--", "sh", "-c",
         "printf '\\033[?1049h\\033[?2004h'; " ECHO_LINES);
    terminal_await(&one, "ready\r\n");
    AFAR(&other, OTHER_ROWS, OTHER_COLS, "attach", "@", "once:two");
    expect_end(&one, 125, "\033[?2004l\033[?1049l[taken over by another afar attach]\r\n");
    assert_int_equal((int)afard_metric(&server, "afard_superseded_total"), 1);
    /* Its modes, and nothing of what the other screen has shown. */
    terminal_await(&other, "\033[?1049h\033[?2004h");
    assert_null(strstr(other.text, "ready"));
    terminal_type(&other, "a\r");
    terminal_await(&other, "<a>\r\n");
    /* Its window is closed. */
    terminal_close(&other);
    assert_int_equal(waitpid(other.pid, NULL, 0), other.pid);
    AFAR(&one, ROWS, COLS, "attach", "@", "once:two");
    terminal_await(&one, "\033[?1049h\033[?2004h");
    terminal_type(&one, "\004");
    expect_end(&one, 0, "");
    QUIET(0, "rm", "@", "once:two");
}

/* Others that only read change nothing of it. */
static void readers_have_no_size(void **state)
{
    (void)state;
    AFAR(&one, ROWS, COLS, "run", "-t", "--once", "read", "@", "--", "bash", "-c",
         "trap 'echo winch' WINCH;" ECHO_AWAKE);
    terminal_await(&one, "ready\r\n");
    AFAR(&other, 20, 20, "logs", "-f", "@", "once:read");
    terminal_await(&other, "ready\r");
    terminal_size(&other, 21, 21);
    terminal_type(&one, "a\r");
    terminal_await(&one, "<a>\r\n");
    terminal_await(&other, "<a>\r");
    terminal_type(&one, "\004");
    expect_end(&one, 0, "");
    expect_end(&other, 0, "");
    assert_null(strstr(one.text, "winch"));
    QUIET(0, "rm", "@", "once:read");
}

/* A detached program is never held up by its terminal; who comes too late sees how it ended. */
static void much_while_nobody_looks(void **state)
{
    (void)state;
    AFAR(&one, ROWS, COLS, "run", "-d", "-t", "--once", "much", "@", "--", "sh", "-c",
         "head -c 50000000 /dev/zero | tr '\\0' x | fold -w 79; echo; echo the end; exit 3");
    expect_end(&one, 0, "\r\n");
    QUIET(3, "wait", "@", "once:much");
    AFAR(&other, ROWS, COLS, "attach", "@", "once:much");
    expect_end(&other, 3, "the end\r");
    assert_true(other.size > 60000 && other.size < 70000);
    QUIET(0, "rm", "@", "once:much");
}

/* ---- shells ------------------------------------------------------------------------------------ */

static void a_shell_by_its_name(void **state)
{
    (void)state;
    AFAR(&one, ROWS, COLS, "shell", "-e", "PS1=@@ ", "--once", "work", "@");
    terminal_await(&one, "kept; ~d leaves it");
    terminal_type(&one, "cd /tmp; A=se\"\"t; echo $A\r");
    terminal_await(&one, "set\r\n");
    terminal_type(&one, "\r~d");
    expect_end(&one, 0, "[detached: ");
    /* It is the same one. */
    AFAR(&other, OTHER_ROWS, OTHER_COLS, "shell", "-e", "PS1=@@ ", "--once", "work", "@");
    terminal_await(&other, "set\r\n");
    terminal_type(&other, "echo $A in $PWD; stty size\r");
    terminal_await(&other, "set in /tmp\r\n");
    terminal_await(&other, "30 100\r\n");
    terminal_type(&other, "exit 4\r");
    expect_end(&other, 4, "");
    /* And that was its end: the next one is another. */
    AFAR(&one, ROWS, COLS, "shell", "-e", "PS1=@@ ", "--once", "work", "@");
    terminal_type(&one, "echo new${A}one; exit 5\r");
    terminal_await(&one, "newone\r\n");
    expect_end(&one, 5, "");
    QUIET(0, "rm", "@", "once:work");
}

static void the_server_is_killed(void **state)
{
    (void)state;
    AFAR(&one, ROWS, COLS, "shell", "-e", "PS1=@@ ", "--once", "stay", "@");
    terminal_type(&one, "A=se\"\"t; echo $A\r");
    terminal_await(&one, "set\r\n");
    assert_int_equal(kill(server.program.pid, SIGKILL), 0);
    program_close(&server.program);
    start_server();
    terminal_type(&one, "echo still $A; exit\r");
    terminal_await(&one, "still set\r\n");
    expect_end(&one, 0, "");
    QUIET(0, "rm", "@", "once:stay");
}

/* ---- programs, as a person sees them ----------------------------------------------------------- */

static void needs(const char *program)
{
    if (pane_has("tmux") && pane_has(program))
        return;
    print_message("no tmux, or no %s here\n", program);
    skip();
}

/* Begun at one size, left (after `key`: what a terminal answers to questions is no beginning of a
 * line), and found at another: as if it had been begun at that. */
static void expect_same(const char *command, const char *mark, const char *key, const char *end)
{
    char line[1024];
    (void)snprintf(line, sizeof line, "afar run -t $URL -- %s", command);
    pane_open(&fresh, OTHER_ROWS, OTHER_COLS, line);
    pane_settle(&fresh, mark);
    if (key != NULL) {
        pane_type(&fresh, key);
        pane_settle(&fresh, mark);
    }
    (void)snprintf(line, sizeof line, "afar run -t --once same $URL -- %s", command);
    pane_open(&pane, ROWS, COLS, line);
    pane_settle(&pane, mark);
    if (key != NULL)
        pane_type(&pane, key);
    pane_type(&pane, "~d");
    pane_expect(&pane, "rc=0.");
    pane_expect_format(&pane, "#{alternate_on}", "0");
    pane_close(&pane);
    pane_open(&pane, OTHER_ROWS, OTHER_COLS, "afar attach $URL once:same");
    pane_expect_all(&pane, fresh.text);
    pane_insist(&pane, end, true, "rc=");
    pane_expect_format(&pane, "#{alternate_on}", "0");
    pane_close(&pane);
    pane_close(&fresh);
    QUIET(0, "rm", "@", "once:same");
}

static void an_editor(void **state)
{
    (void)state;
    needs("vim");
    expect_same("vim -u NONE -n --cmd 'set shortmess+=F' /etc/services", "# Network services", NULL,
                ":q!");
}

static void a_pager(void **state)
{
    (void)state;
    needs("less");
    expect_same("less -Psread /etc/services", "# Network services", NULL, "q");
}

/* There is something in its last row. */
static void expect_full(struct pane *shown)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    const char *last = "";
    while (*last == '\0') {
        char *text = shown->text;
        (void)pane_look(shown);
        size_t size = strlen(text);
        assert_true(size > 0 && clock_now_ms() < deadline_ms);
        text[size - 1] = '\0';
        last = strrchr(text, '\n');
        last = last != NULL ? last + 1 : text;
    }
}

/* The titles of its table, and the row that they are in. */
static int find_titles(struct pane *shown, char titles[256])
{
    char *text = shown->text;
    int row = 0;
    pane_expect(shown, "PID");
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"), row++) {
        if (strstr(line, "PID") == NULL)
            continue;
        (void)snprintf(titles, 256, "%s", line);
        return row;
    }
    fail_msg("no titles");
    return 0;
}

/* The numbers change; its table stands where that of one stands that was begun there, and its lines
 * fill the screen. */
static void a_monitor(const char *program, const char *end)
{
    char line[1024];
    char found[256];
    char expected[256];
    needs(program);
    (void)snprintf(line, sizeof line, "afar run -t --once top $URL -- %s", program);
    pane_open(&pane, ROWS, COLS, line);
    pane_settle(&pane, "PID");
    pane_type(&pane, "~d");
    pane_expect(&pane, "rc=0.");
    pane_close(&pane);
    (void)snprintf(line, sizeof line, "afar run -t $URL -- %s", program);
    pane_open(&fresh, OTHER_ROWS, OTHER_COLS, line);
    pane_settle(&fresh, "PID");
    pane_open(&pane, OTHER_ROWS, OTHER_COLS, "afar attach $URL once:top");
    pane_expect(&pane, "PID");
    expect_full(&pane);
    expect_full(&fresh);
    assert_int_equal(find_titles(&pane, found), find_titles(&fresh, expected));
    assert_string_equal(found, expected);
    pane_insist(&fresh, end, false, "rc=0.");
    pane_close(&fresh);
    pane_insist(&pane, end, false, "rc=0.");
    pane_close(&pane);
    QUIET(0, "rm", "@", "once:top");
}

static void a_monitor_of_processes(void **state)
{
    (void)state;
    a_monitor("top", "q");
}

static void another_monitor(void **state)
{
    (void)state;
    a_monitor("htop", "q");
}

/* (Without the clock in its last row.) */
static void a_terminal_within(void **state)
{
    (void)state;
    needs("tmux");
    char line[256];
    (void)snprintf(line, sizeof line,
                   "env -u TMUX tmux -L afar-inner-%ld -f /dev/null new -A -s in "
                   "'printf \"in\"side; exec cat' ';' set -g status-right in",
                   (long)getpid());
    expect_same(line, "inside", "Enter", "C-c");
}

/* What was typed and shown stands there again, and the prompt behind it. */
static void a_shell(void **state)
{
    (void)state;
    needs("bash");
    pane_open(&pane, ROWS, COLS,
              "afar run -t -e PS1='@@ ' --once bash $URL -- bash --norc --noprofile");
    pane_expect(&pane, "@@");
    pane_type(&pane, "for i in 1 2 3; do echo line $i; done");
    pane_type(&pane, "Enter");
    pane_settle(&pane, "line 3\n@@");
    pane_type(&pane, "Enter");
    pane_type(&pane, "~d");
    pane_expect(&pane, "rc=0.");
    pane_close(&pane);
    pane_open(&pane, OTHER_ROWS, OTHER_COLS, "afar attach $URL once:bash");
    pane_settle(&pane, "line 1\nline 2\nline 3\n@@\n@@");
    pane_type(&pane, "stty size");
    pane_type(&pane, "Enter");
    pane_expect(&pane, "30 100\n@@");
    pane_type(&pane, "exit");
    pane_type(&pane, "Enter");
    pane_expect(&pane, "rc=0.");
    pane_close(&pane);
    QUIET(0, "rm", "@", "once:bash");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_left_and_found),
        cmocka_unit_test(its_log_leaves_a_terminal_in_order),
        cmocka_unit_test(who_must_leave_is_told),
        cmocka_unit_test(it_begins_without_anybody),
        cmocka_unit_test(it_is_taken_over),
        cmocka_unit_test(readers_have_no_size),
        cmocka_unit_test(much_while_nobody_looks),
        cmocka_unit_test(a_shell_by_its_name),
        cmocka_unit_test(the_server_is_killed),
        cmocka_unit_test(an_editor),
        cmocka_unit_test(a_pager),
        cmocka_unit_test(a_monitor_of_processes),
        cmocka_unit_test(another_monitor),
        cmocka_unit_test(a_terminal_within),
        cmocka_unit_test(a_shell),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
