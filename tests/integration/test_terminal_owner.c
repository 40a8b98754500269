/* Whose a terminal is: its rule's user can open it, as programs do that make others of it (script,
 * screen, tmux), and other people cannot; here, and where terminals are mounted otherwise. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/folder.h"
#include "support/pane.h"
#include "support/ruled.h"
#include "support/terminal.h"

#define OWN_TERMINALS(options)                                                 \
    "set -e; mount --make-rprivate /; mount -t devpts -o newinstance," options \
    " none /dev/pts; mount --bind /dev/pts/ptmx /dev/ptmx; exec \"$@\""

enum { LINE_BYTES = 1024 };

static char folder[64];
static char url[128];
static struct program server;
static struct terminal person;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-test-owner-XXXXXX");
    if (mkdtemp(folder) == NULL || chmod(folder, 01777) != 0)
        return -1;
    (void)snprintf(url, sizeof url, "unix://%s/door", folder);
    return setenv("TERM", "xterm", 1);
}

/* The server ends by itself, so that nothing of its commands stays. */
static int tear_down(void **state)
{
    (void)state;
    if (server.pid > 0) {
        (void)kill(server.pid, SIGTERM);
        program_finish(&server, NULL, 0);
        program_close(&server);
    }
    return folder_remove(folder);
}

/* argv: `way`, ended by NULL, and `words` behind it. */
static void put_words(const char **argv, const char *const *way, const char *const *words)
{
    size_t used = 0;
    for (; *way != NULL; way++)
        argv[used++] = *way;
    for (; *words != NULL; words++)
        argv[used++] = *words;
    argv[used] = NULL;
}

/* With these rules, by way of these words. */
static void start(const char *const *way, const char *rules)
{
    char path[PROGRAM_TEXT_BYTES];
    char file[96];
    const char *argv[PROGRAM_ARGS_MAX];
    struct program probe;
    put_words(argv, way, WORDS("true"));
    const int status = program_run(&probe, argv, NULL, 0);
    if (status != 0)
        print_message("skipped: not to be had here: %s\n", probe.stderr_data);
    program_close(&probe);
    if (status != 0)
        skip();
    (void)snprintf(file, sizeof file, "%s/rules", folder);
    FILE *to = fopen(file, "we");
    assert_non_null(to);
    assert_true(fprintf(to, "[server]\nkill_grace_ms = 300\n%s", rules) > 0);
    assert_int_equal(fclose(to), 0);
    put_words(argv, way,
              WORDS(program_path("afard", path), "-c", file, "--listen", url, "--print-endpoints"));
    program_start(&server, argv, NULL);
    program_expect(&server, 1, "listening ");
}

/* A person at `afar run -t … sh -c LINE`, who has seen `text`. */
static void sit_down(const char *line, const char *text)
{
    terminal_start_at(&person, WORDS("afar", "run", "-t", url, "--", "sh", "-c", line), 24, 80);
    terminal_await(&person, text);
}

static void stand_up(const char *keys, const char *last)
{
    terminal_type(&person, keys);
    terminal_await(&person, last);
    assert_int_equal(terminal_finish(&person), 0);
}

/* They open the terminal that they are at by its name. (screen gives its own to the group tty, where
 * there are `groups`.) */
static void expect_programs(bool groups)
{
    static const struct {
        const char *name;
        const char *line;
        const char *last;
    } table[] = {{"script",
                  "script -qec 'echo in\"\"side; read x; tty -s && echo x\"$x\"x' log; "
                  "grep -c inside log; echo en\"\"d",
                  "xkeyx\r\n1\r\nend\r\n"},
                 {"screen",
                  "mkdir -pm 700 screen; SCREENDIR=$PWD/screen screen -c /dev/null sh -c "
                  "'tty -s && echo in\"\"side; read x'; rmdir screen && echo en\"\"d",
                  "end\r\n"},
                 {"tmux",
                  "TMUX_TMPDIR=$PWD tmux -L owner -f /dev/null new "
                  "\"tty -s && printf 'in''side'; read x\"; echo en\"\"d",
                  "end\r\n"}};
    char line[LINE_BYTES];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!groups && strcmp(table[i].name, "screen") == 0)
            continue;
        if (!pane_has(table[i].name)) {
            print_message("%s is not here\n", table[i].name);
            continue;
        }
        (void)snprintf(line, sizeof line, "cd %s; export SHELL=/bin/sh; %s", folder, table[i].line);
        sit_down(line, "inside");
        stand_up("key\r", table[i].last);
    }
}

#define RULES                                                                \
    "[allow other]\nclient = any\ncommand = /usr/bin/dd **\nuser = daemon\n" \
    "[allow owner]\nclient = any\nshell = yes\ncommand = **\nuser = nobody\n"

/* By its name, which another user has heard of. */
static void expect_own(const char *mode)
{
    char name[64];
    char operand[80];
    sit_down("stat -c 'owner=%U mode=%a.' $(tty); exec 3<>$(tty); echo op\"\"en >&3; "
             "echo name=$(tty)=; read x; echo \"<$x>\"",
             "owner=nobody mode=");
    if (mode != NULL)
        terminal_await(&person, mode);
    terminal_await(&person, "open\r\n");
    terminal_await(&person, "name=");
    const size_t at = person.seen;
    terminal_await(&person, "=\r\n");
    assert_true(person.seen - at < sizeof name);
    (void)snprintf(name, sizeof name, "%.*s", (int)(person.seen - 3 - at), person.text + at);
    assert_int_equal(strncmp(name, "/dev/pts/", 9), 0);
    for (int reads = 0; reads < 2; reads++) {
        struct program other;
        (void)snprintf(operand, sizeof operand, "%s=%s", reads ? "if" : "of", name);
        const int status = program_run(&other,
                                       WORDS("afar", "run", "-n", url, "--", "/usr/bin/dd",
                                             "count=1", "conv=notrunc", operand),
                                       NULL, 0);
        if (status != 1 || strstr(other.stderr_data, "Permission denied") == NULL)
            fail_msg("%d: %s", status, other.stderr_data);
        program_close(&other);
    }
    stand_up("key\r", "<key>\r\n");
}

static void needs_root(void)
{
    if (geteuid() == 0 && getpwnam("nobody") != NULL && getpwnam("daemon") != NULL &&
        access("/usr/bin/dd", X_OK) == 0)
        return;
    print_message("skipped: no other users to be had here\n");
    skip();
}

static void here(void **state)
{
    (void)state;
    needs_root();
    start(WORDS(NULL), RULES);
    expect_own(NULL);
    expect_programs(true);
}

static void of_a_group(void **state)
{
    (void)state;
    needs_root();
    start(
        WORDS("unshare", "--mount", "sh", "-c", OWN_TERMINALS("gid=5,mode=620,ptmxmode=666"), "sh"),
        RULES);
    expect_own("620.");
    expect_programs(true);
}

static void of_nobody_else(void **state)
{
    (void)state;
    needs_root();
    start(WORDS("unshare", "--mount", "sh", "-c", OWN_TERMINALS("mode=600,ptmxmode=666"), "sh"),
          RULES);
    expect_own("600.");
    expect_programs(true);
}

/* Nobody is there but oneself: a terminal of another user's cannot be. */
static void without_rights(void **state)
{
    (void)state;
    static const char *const way[] = {"unshare",
                                      "--user",
                                      "--map-root-user",
                                      "--mount",
                                      "sh",
                                      "-c",
                                      OWN_TERMINALS("mode=620,ptmxmode=666"),
                                      "sh",
                                      NULL};
    struct program client;
    start(way, "[allow other]\nclient = any\ncommand = /bin/echo **\nuser = nobody\n"
               "[allow owner]\nclient = any\nshell = yes\ncommand = **\n");
    expect_programs(false);
    assert_int_equal(
        program_run(&client, WORDS("afar", "run", "-tn", url, "--", "/bin/echo", "x"), NULL, 0),
        126);
    if (strstr(client.stderr_data, "cannot give a terminal to its user: Invalid argument") == NULL)
        fail_msg("%s", client.stderr_data);
    program_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(here, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_a_group, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_nobody_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_rights, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
