/* The shell that `afar shell` gives: whose it is, by which name, where it begins, and what it says of
 * the language; also where its user has none, or is not known at all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/folder.h"
#include "support/pane.h"
#include "support/ruled.h"
#include "support/terminal.h"

enum { LINE_BYTES = 1024, NO_SUCH_UID = 47990 };

static char folder[64];
static char url[128];
static struct program server;
static struct terminal person;

static void put_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *to = fopen(path, "we");
    assert_non_null(to);
    assert_true(fputs(text, to) >= 0);
    assert_int_equal(fclose(to), 0);
}

static void put_folder(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

/* With users of every kind for /etc/passwd. */
static int set_up(void **state)
{
    (void)state;
    char users[LINE_BYTES];
    (void)snprintf(folder, sizeof folder, "/tmp/afar-test-login-XXXXXX");
    if (mkdtemp(folder) == NULL || chmod(folder, 01777) != 0)
        return -1;
    (void)snprintf(url, sizeof url, "unix://%s/door", folder);
    (void)snprintf(users, sizeof users,
                   "root:x:0:0:root:/root:/bin/sh\n"
                   "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
                   "basher:x:47901:47901::%s/home:/bin/bash\n"
                   "homeless:x:47902:47902::%s/no/home:/bin/bash\n"
                   "refused:x:47903:47903::%s/home:/usr/sbin/nologin\n"
                   "shellless:x:47904:47904::%s/home:/no/such/shell\n"
                   "plain:x:47905:47905::%s/home:\n",
                   folder, folder, folder, folder, folder);
    put_file("passwd", users);
    put_folder("home");
    put_folder("etc");
    return setenv("TERM", "dumb", 1);
}

static void stop(void)
{
    if (server.pid <= 0)
        return;
    (void)kill(server.pid, SIGTERM);
    program_finish(&server, NULL, 0);
    program_close(&server);
}

static int tear_down(void **state)
{
    (void)state;
    stop();
    return folder_remove(folder);
}

/* afard with these rules (NULL: without any), run by `sh -c LINE` in a world of its own, where $D is
 * the folder. */
static void start(const char *line, const char *rules)
{
    char path[PROGRAM_TEXT_BYTES];
    char whole[LINE_BYTES];
    char file[96];
    struct program probe;
    stop();
    (void)snprintf(whole, sizeof whole,
                   "set -e; D=%s; mount --make-rprivate /; mount --bind $D/passwd /etc/passwd; %s",
                   folder, line);
    const int status =
        program_run(&probe, WORDS("unshare", "--mount", "sh", "-c", whole, "sh", "true"), NULL, 0);
    if (status != 0)
        print_message("skipped: not to be had here: %s\n", probe.stderr_data);
    program_close(&probe);
    if (status != 0)
        skip();
    put_file("rules", rules != NULL ? rules : "");
    (void)snprintf(file, sizeof file, "%s/rules", folder);
    program_start(&server,
                  WORDS("unshare", "--mount", "sh", "-c", whole, "sh", program_path("afard", path),
                        "-c", file, "--listen", url, "--print-endpoints", "--set",
                        "kill_grace_ms=300"),
                  NULL);
    program_expect(&server, 1, "listening ");
}

/* Of a user who may have a shell. */
static void start_for(const char *user)
{
    char rules[LINE_BYTES];
    (void)snprintf(rules, sizeof rules,
                   "[allow all]\nclient = any\nshell = yes\ncommand = **\nuser = %s\n%s", user,
                   strspn(user, "0123456789") == strlen(user) ? "group = 47990\n" : "");
    start("exec \"$@\"", rules);
}

/* `afar shell WORDS… URL` on a terminal, where `keys` are typed: what it shows has `text` in it. */
static void expect_shell(const char *const *words, const char *keys, int status, const char *text)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar", "shell"};
    size_t used = 2;
    for (; *words != NULL; words++)
        argv[used++] = *words;
    argv[used++] = url;
    argv[used] = NULL;
    terminal_start_at(&person, argv, 24, 80);
    if (keys != NULL)
        terminal_type(&person, keys);
    const int ended = terminal_finish(&person);
    if (ended != status || strstr(person.text, text) == NULL)
        fail_msg("status %d, not %d, or no '%s': %s", ended, status, text, person.text);
}

#define NO_WORDS WORDS(NULL)
/* (What is typed is shown, too: the answer has no quotes.) */
#define ASK "echo \"=$0 $HOME $PWD $SHELL $(id -u) \"$(tty -s && echo t\"\"ty)=; exit 6\r"

static void answer(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void answer(char *text, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    (void)vsnprintf(text, LINE_BYTES, format, values);
    va_end(values);
}

/* ---- whose shell ------------------------------------------------------------------------------- */

static void of_the_rules_user(void **state)
{
    (void)state;
    char text[LINE_BYTES];
    start_for("basher");
    answer(text, "=-bash %s/home %s/home /bin/bash 47901 tty=\r\n", folder, folder);
    expect_shell(NO_WORDS, ASK, 6, text);
    answer(text, "=-bash %s/home /usr /bin/bash 47901 tty=\r\n", folder);
    expect_shell(WORDS("-w", "/usr"), ASK, 6, text);
    start_for("plain"); /* nothing in the entry: /bin/sh, as login(1) has it */
    answer(text, "=-sh %s/home %s/home /bin/sh 47905 tty=\r\n", folder, folder);
    expect_shell(NO_WORDS, ASK, 6, text);
}

static void without_a_home(void **state)
{
    (void)state;
    char text[LINE_BYTES];
    start_for("homeless");
    answer(text, "=-bash %s/no/home / /bin/bash 47902 tty=\r\n", folder);
    expect_shell(NO_WORDS, ASK, 6, text);
    /* A folder that was asked for is another matter. */
    expect_shell(WORDS("-w", "/no/such"), NULL, 126, "/no/such");
}

static void without_a_login(void **state)
{
    (void)state;
    if (access("/usr/sbin/nologin", X_OK) != 0) {
        print_message("skipped: no nologin here\n");
        skip();
    }
    start_for("refused");
    expect_shell(NO_WORDS, NULL, 1, "This account is currently not available.");
}

static void without_a_shell(void **state)
{
    (void)state;
    start_for("shellless");
    expect_shell(NO_WORDS, NULL, 127,
                 "no shell there: /no/such/shell; name a program: afar run -t HOST -- PROGRAM");
}

/* ---- users that are not known ------------------------------------------------------------------ */

static void a_number_without_a_name(void **state)
{
    (void)state;
    start_for("47990");
    expect_shell(NO_WORDS, ASK, 6, "=-sh / / /bin/sh 47990 tty=\r\n");
    /* The server itself. */
    start("unset HOME SHELL; exec setpriv --reuid 47990 --regid 47990 --clear-groups \"$@\"", NULL);
    expect_shell(NO_WORDS, ASK, 6, "=-sh / / /bin/sh 47990 tty=\r\n");
}

static void no_users_at_all(void **state)
{
    (void)state;
    start("unset HOME SHELL; mount --bind $D/etc /etc; exec \"$@\"", NULL);
    expect_shell(NO_WORDS, ASK, 6, "=-sh / / /bin/sh 0 tty=\r\n");
}

/* ---- rules ------------------------------------------------------------------------------------- */

static void no_shell_by_its_rule(void **state)
{
    (void)state;
    start("exec \"$@\"", "[allow some]\nclient = any\nshell = no\ncommand = **\nuser = basher\n");
    expect_shell(NO_WORDS, NULL, 125, "a login shell");
}

/* Something else in its place: on a terminal, and in no shell. */
static void forced(void **state)
{
    (void)state;
    start(
        "exec \"$@\"",
        "[allow one]\nclient = any\nuser = basher\n"
        "force = /bin/sh -c \"tty -s && echo forced $0 ${AFAR_ORIGINAL_COMMAND-none}.; exit 4\"\n");
    expect_shell(NO_WORDS, NULL, 4, "forced /bin/sh none.\r\n");
}

/* ---- language ---------------------------------------------------------------------------------- */

/* Nobody is told that they are here on a machine that does not have it. */
static void a_language_that_is_not_here(void **state)
{
    (void)state;
    static const char *const sets[][3] = {{"LANG=xx_YY.UTF-8", "LC_ALL=", "LC_TIME=zz_ZZ"},
                                          {"LANG=xx_YY.UTF-8", "LC_ALL=xx_YY.UTF-8", "LC_TIME=C"},
                                          {"LANG=xx_YY", "LC_ALL=xx_YY.ISO-8859-15", "LC_TIME=C"}};
    static const char *const programs[] = {"bash", "perl"};
    char path[PROGRAM_TEXT_BYTES];
    start_for("basher");
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        for (size_t k = 0; k < 2; k++) {
            const char *run =
                k == 0 ? "bash -c 'bash -lc \"echo en\"\"d\"'" : "perl -e 'print \"end\\n\"'";
            if (!pane_has(programs[k])) {
                print_message("%s is not here\n", programs[k]);
                continue;
            }
            terminal_start_at(&person,
                              WORDS("env", sets[i][0], sets[i][1], sets[i][2],
                                    program_path("afar", path), "run", "-t", "-s", url, "--", run),
                              24, 80);
            assert_int_equal(terminal_finish(&person), 0);
            assert_string_equal(person.text, "end\r\n");
        }
        terminal_start_at(&person,
                          WORDS("env", sets[i][0], sets[i][1], sets[i][2],
                                program_path("afar", path), "shell", url),
                          24, 80);
        terminal_type(&person, "perl -e 'print \"e\" . \"nd\\n\"'; exit 3\r");
        assert_int_equal(terminal_finish(&person), 3);
        assert_null(strstr(person.text, "warning"));
        assert_null(strstr(person.text, "cannot change locale"));
    }
}

int main(void)
{
    if (geteuid() != 0) {
        print_message("skipped: only root can make users up\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_the_rules_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_home, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_login, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_shell, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_number_without_a_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_users_at_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_shell_by_its_rule, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_language_that_is_not_here, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
