/* Programs that people use on terminals, used as they do: an editor, a pager, a monitor, a shell with
 * its keys, an interpreter, a terminal within, and `afar shell` within `afar shell`. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/folder.h"
#include "support/keeping.h"
#include "support/pane.h"
#include "support/terminal.h"

#define WORDS KEEPING_WORDS

enum { ROWS = 24, COLS = 80, LINES = 200 };

static struct afard server;
static int way; /* of the server's URLs */
static char folder[64];
static char socket_name[64]; /* of the tmux within */
static struct terminal person;
static struct pane pane;

static void put_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *to = fopen(path, "we");
    assert_non_null(to);
    assert_true(fputs(text, to) >= 0);
    assert_int_equal(fclose(to), 0);
}

static int set_up(void **state)
{
    (void)state;
    char lines[LINES * 16] = "";
    char path[PROGRAM_TEXT_BYTES];
    size_t used = 0;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--listen", "tls://localhost:0",
                          "--set",    "kill_grace_ms=300", "--set",    "resume_ms=0",
                          NULL};
    (void)snprintf(folder, sizeof folder, "/tmp/afar-test-programs-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(socket_name, sizeof socket_name, "afar-within-%ld-%d", (long)getpid(), way);
    for (int i = 1; i <= LINES; i++)
        used += (size_t)snprintf(lines + used, sizeof lines - used, "line %d\n", i);
    put_file("lines", lines);
    put_file("found-by-tab", "con\"\"tent\n");
    (void)setenv("D", folder, 1);
    (void)setenv("AFAR", program_path("afar", path), 1);
    (void)setenv("TERM", "xterm", 1);
    afard_start_tls(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(folder_remove(folder), 0);
    return afard_stop(&server);
}

static int calm(void **state)
{
    (void)state;
    afard_expect_calm(&server);
    return 0;
}

static void needs(const char *program)
{
    if (pane_has(program))
        return;
    print_message("skipped: no %s here\n", program);
    skip();
}

/* `afar run -t … sh -c LINE`, in which $D is the folder with the files. */
static void sit_down(const char *line)
{
    char variable[128];
    (void)snprintf(variable, sizeof variable, "D=%s", folder);
    terminal_start_at(&person,
                      WORDS("afar", "run", "-t", "-e", variable, "-e", "PS1=@@ ", "-e",
                            "HISTFILE=", server.url[way], "--", "sh", "-c", line),
                      ROWS, COLS);
}

static void expect_end(int status)
{
    const int ended = terminal_finish(&person);
    if (ended != status)
        fail_msg("status %d, not %d: %s", ended, status, person.text);
}

/* Keys, and what comes behind what was there before. */
static void type(const char *keys, const char *text)
{
    terminal_type(&person, keys);
    terminal_await(&person, text);
}

/* ---- whole screens ----------------------------------------------------------------------------- */

static void an_editor(void **state)
{
    (void)state;
    char path[128];
    char text[64] = "";
    needs("vim");
    sit_down("exec vim -N -u NONE -i NONE -n $D/edited");
    terminal_await(&person, "[New");
    type("i", "-- INSERT --");
    type("first\rsecnd\033", "secnd");
    terminal_type(&person, "0lllio\033"); /* "second" */
    terminal_type(&person, "yyp:wq\r");
    expect_end(0);
    (void)snprintf(path, sizeof path, "%s/edited", folder);
    FILE *from = fopen(path, "re");
    assert_non_null(from);
    text[fread(text, 1, sizeof text - 1, from)] = '\0';
    assert_int_equal(fclose(from), 0);
    assert_string_equal(text, "first\nsecond\nsecond\n");
}

/* In a terminal whose screen is looked at. */
static void open_pane(const char *line)
{
    char whole[512];
    needs("tmux");
    (void)snprintf(whole, sizeof whole, "afar run -t %s -- %s", server.url[way], line);
    pane_open(&pane, ROWS, COLS, whole);
}

static void close_pane(const char *key)
{
    pane_type(&pane, key);
    pane_expect(&pane, "rc=0.");
    pane_expect_format(&pane, "#{alternate_on}#{cursor_flag}#{keypad_flag}", "010");
    pane_close(&pane);
}

static void a_pager(void **state)
{
    (void)state;
    needs("less");
    open_pane("less $D/lines");
    pane_expect(&pane, "line 23\n");
    pane_type(&pane, "G");
    pane_expect(&pane, "line 178\n");
    pane_expect(&pane, "line 200\n");
    pane_type(&pane, "/line 77");
    pane_type(&pane, "Enter");
    pane_type(&pane, "?line 77");
    pane_type(&pane, "Enter");
    pane_expect(&pane, "line 77\nline 78\n");
    pane_type(&pane, "1G");
    pane_expect(&pane, "line 1\n");
    pane_type(&pane, "PPage"); /* a key of several bytes: nothing is above */
    pane_type(&pane, "NPage");
    pane_expect(&pane, "line 24\n");
    close_pane("q");
}

static void a_monitor(void **state)
{
    (void)state;
    needs("htop");
    open_pane("htop");
    pane_expect(&pane, "PID");
    pane_expect(&pane, "F10");
    pane_type(&pane, "F1");
    pane_expect(&pane, "Process state:");
    pane_type(&pane, "q");
    pane_expect(&pane, "F10");
    close_pane("F10");
}

/* ---- lines ------------------------------------------------------------------------------------- */

static void a_shell_and_its_keys(void **state)
{
    (void)state;
    needs("bash");
    sit_down("cd $D; exec bash --norc --noprofile -i");
    terminal_await(&person, "@@ ");
    type("cat found\t", "found-by-tab");
    type("\r", "con\"\"tent\r\n");
    terminal_await(&person, "@@ ");
    type("echo o\"\"ne\r", "one\r\n");
    terminal_await(&person, "@@ ");
    type("echo t\"\"wo\r", "two\r\n");
    terminal_await(&person, "@@ ");
    type("\022", "(reverse-i-search)");
    type("o\"\"n\r", "one\r\n"); /* what it finds is drawn in parts */
    terminal_await(&person, "@@ ");
    type("\033[A\033[A\r", "two\r\n"); /* up, and up */
    terminal_await(&person, "@@ ");
    /* The beginning of the line, its end, a word away, and all of it. */
    type("r\"\"ee no\001echo th\005\027f\"\"our\r", "three four\r\n");
    terminal_await(&person, "@@ ");
    /* Bash may heed a signal that comes as it shows its prompt only with the next key. */
    type("lost\003", "^C");
    type("\r", "@@ ");
    type("exit 9\r", "exit\r\n");
    expect_end(9);
}

/* Whether this python knows keys. */
static bool has_readline(void)
{
    struct program program;
    const int status = program_run(&program, WORDS("python3", "-c", "import readline"), NULL, 0);
    program_close(&program);
    return status == 0;
}

static void an_interpreter(void **state)
{
    (void)state;
    needs("python3");
    sit_down("PYTHON_BASIC_REPL=1 exec python3 -q -E");
    terminal_await(&person, ">>> ");
    type("6 * 7\r", "42\r\n");
    terminal_await(&person, ">>> ");
    type("def f(a):\r", "... ");
    type("  return 'x' + a\r", "... ");
    type("\r", ">>> ");
    type("f('y')\r", "'xy'\r\n");
    terminal_await(&person, ">>> ");
    if (has_readline()) {
        type("len.__nam\t", "len.__name__");
        type("\r", "'len'\r\n");
        terminal_await(&person, ">>> ");
        type("\033[A\r", "'len'\r\n");
        terminal_await(&person, ">>> ");
    } else {
        print_message("this python3 has no readline\n");
    }
    type("input('wh' + 'at? ')\r", "what? ");
    type("an\303\251swer\r", "'an\303\251swer'\r\n");
    terminal_await(&person, ">>> ");
    // The loop says that it has begun: at a prompt, readline may take a ^C in only with the next key.
    type("print('be' + 'gun'); exec('while True: pass')\r", "begun\r\n");
    type("\003", "KeyboardInterrupt");
    terminal_await(&person, ">>> ");
    // An interpreter whose last statement was interrupted ends as if SIGINT had killed it.
    type("6 * 9\r", "54\r\n");
    terminal_await(&person, ">>> ");
    terminal_type(&person, "\004");
    expect_end(0);
}

/* ---- within ------------------------------------------------------------------------------------ */

static void tmux_within(const char *const *words)
{
    struct program program;
    const char *argv[PROGRAM_ARGS_MAX] = {"tmux", "-L", socket_name, "-f", "/dev/null"};
    for (size_t used = 5; *words != NULL; words++)
        argv[used++] = *words;
    (void)program_run(&program, argv, NULL, 0);
    program_close(&program);
}

/* One that was there before is found, left by its own key, and found again as it was. */
static void a_terminal_within(void **state)
{
    (void)state;
    char line[256];
    needs("tmux");
    (void)snprintf(
        line, sizeof line,
        "unset TMUX; exec tmux -u -L %s -f /dev/null new -A -s in 'printf made; exec cat'",
        socket_name);
    /* Its own, which ends with it. */
    sit_down(line);
    terminal_await(&person, "made");
    type("typed\r", "typed");
    terminal_type(&person, "\003");
    terminal_await(&person, "[exited]");
    expect_end(0);
    /* Another's. */
    tmux_within(WORDS("new", "-d", "-s", "in", "-x", "80", "-y", "24", "printf fou''nd; exec cat"));
    tmux_within(WORDS("set", "-g", "assume-paste-time", "0"));
    sit_down(line);
    terminal_await(&person, "found");
    type("typed\r", "typed");
    terminal_type(&person, "\002d");
    terminal_await(&person, "[detached (from session in)]");
    expect_end(0);
    sit_down(line);
    terminal_await(&person, "found");
    terminal_await(&person, "typed");
    tmux_within(WORDS("kill-server"));
    terminal_await(&person, "[server exited]");
    expect_end(1);
}

/* Keys and sizes go through both; ~~. is for the inner one. */
static void afar_within(void **state)
{
    (void)state;
    char line[512];
    const struct passwd *self = getpwuid(geteuid());
    if (self == NULL || strstr(self->pw_shell, "sh") == NULL) {
        print_message("skipped: this user has no shell\n");
        skip();
    }
    terminal_start_at(&person, WORDS("afar", "shell", server.url[way]), ROWS, COLS);
    terminal_type(&person, "PS1='outer@ '; echo o\"\"ut=$$.\r");
    terminal_await(&person, "out=");
    terminal_await(&person, "outer@ ");
    (void)snprintf(line, sizeof line, "$AFAR shell %s; echo r\"\"c=$?.\r", server.url[way]);
    terminal_type(&person, line);
    terminal_type(&person, "PS1='inner@ '; echo i\"\"n=$$.\r");
    terminal_await(&person, "in=");
    terminal_await(&person, "inner@ ");
    type("tty -s && stty size\r", "24 80\r\n");
    terminal_await(&person, "inner@ ");
    terminal_size(&person, 31, 99);
    type("until stty size | grep 99; do :; done\r", "31 99\r\n");
    terminal_await(&person, "inner@ ");
    type("bash -c 'echo rea\"\"dy; sleep 1000'\r", "ready\r\n");
    type("\003", "^C");
    type("\r", "inner@ ");
    type("echo s\"\"t=$?.\r", "st=130.\r\n");
    terminal_await(&person, "inner@ ");
    terminal_type(&person, "\r~~.");
    terminal_await(&person, "[hung up");
    terminal_await(&person, "rc=125.\r\n");
    terminal_await(&person, "outer@ ");
    type("stty size; stty -a | grep -o ' icanon'\r", "31 99\r\n icanon\r\n");
    terminal_await(&person, "outer@ ");
    terminal_type(&person, "\r~.");
    terminal_await(&person, "[hung up");
    expect_end(125);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_editor, calm),
        cmocka_unit_test_teardown(a_pager, calm),
        cmocka_unit_test_teardown(a_monitor, calm),
        cmocka_unit_test_teardown(a_shell_and_its_keys, calm),
        cmocka_unit_test_teardown(an_interpreter, calm),
        cmocka_unit_test_teardown(a_terminal_within, calm),
        cmocka_unit_test_teardown(afar_within, calm),
    };
    int failed = 0;
    for (way = 0; way < 2; way++)
        failed += cmocka_run_group_tests_name(way == 0 ? "tcp" : "tls", tests, set_up, tear_down);
    return failed;
}
