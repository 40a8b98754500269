/* The files for systemd in src/afard/: whether systemd understands them, and how tight it finds the
 * sandbox. systemd itself need not run. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/program.h"

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char folder[] = "/tmp/afar-test-units-XXXXXX";
static char environment[128]; /* SYSTEMD_UNIT_PATH: our folder alone */

/* Runs a shell line, with the folder as $1; true: it has succeeded. What it says is shown if not.
 */
static bool shell(const char *line)
{
    struct program program;
    program_start(&program, WORDS("sh", "-eu", "-c", line, "sh", folder),
                  WORDS(environment, "LC_ALL=C"));
    program_finish(&program, NULL, 0);
    bool ok = program_exit_status(&program) == 0;
    if (!ok)
        print_error("%s\n%s%s\n", line, program.stdout_data != NULL ? program.stdout_data : "",
                    program.stderr_data != NULL ? program.stderr_data : "");
    program_close(&program);
    return ok;
}

/* The files as `make install` would write them, but for a program that is there for sure. */
static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(environment, sizeof environment, "SYSTEMD_UNIT_PATH=%s:", folder);
    return shell("for file in afard.service afard.socket afard-users.conf afard-keep.conf; do\n"
                 "    sed -e 's|@PREFIX@/sbin/afard|/bin/true|' -e 's|@PREFIX@|/usr/local|' "
                 "src/afard/$file.in >\"$1/$file\"\n"
                 "done")
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return shell("rm -rf \"$1\"") ? 0 : -1;
}

static void need_systemd_analyze(void)
{
    struct program program;
    int status = program_run(&program, WORDS("systemd-analyze", "--version"), NULL, 0);
    program_close(&program);
    if (status != 0) {
        print_message("systemd-analyze is not there: skipped\n");
        skip();
    }
}

/* It prints a line about whatever it does not know, and succeeds all the same. */
#define VERIFY                                                                                     \
    "systemd-analyze verify --man=no \"$1/afard.service\" \"$1/afard.socket\" >\"$1/said\" 2>&1\n" \
    "if grep . \"$1/said\"; then exit 1; fi"

static void test_verify(void **state)
{
    (void)state;
    need_systemd_analyze();
    assert_true(shell(VERIFY));
}

static void test_a_mistake_would_be_found(void **state)
{
    (void)state;
    need_systemd_analyze();
    assert_true(shell("cp \"$1/afard.service\" \"$1/kept\"\n"
                      "sed -i 's/^ProtectHome=/ProtectHomes=/' \"$1/afard.service\"\n"
                      "if systemd-analyze verify --man=no \"$1/afard.service\" 2>&1 | grep -q "
                      "ProtectHomes; then found=yes; else found=no; fi\n"
                      "mv \"$1/kept\" \"$1/afard.service\"\n"
                      "[ $found = yes ]"));
}

/* In tenths; README.md and afard(8) name the number. */
static void test_exposure(void **state)
{
    (void)state;
    need_systemd_analyze();
    assert_true(shell("systemd-analyze security --offline=true --threshold=27 --no-pager "
                      "\"$1/afard.service\""));
}

static void test_for_users(void **state)
{
    (void)state;
    need_systemd_analyze();
    assert_true(shell("mkdir \"$1/afard.service.d\"\n"
                      "cp \"$1/afard-users.conf\" \"$1/afard.service.d/users.conf\""));
    assert_true(shell(VERIFY));
    /* The drop-in is read: this is another exposure. */
    assert_true(shell("if systemd-analyze security --offline=true --threshold=40 --no-pager "
                      "\"$1/afard.service\"; then exit 1; fi >\"$1/said\"\n"
                      "systemd-analyze security --offline=true --threshold=50 --no-pager "
                      "\"$1/afard.service\""));
    assert_true(shell("rm -r \"$1/afard.service.d\""));
}

/* Kept commands: all that they need is in one file, and understood. */
static void test_for_kept(void **state)
{
    (void)state;
    assert_true(shell("for line in KillMode=process PrivateTmp=no RemoveIPC=no Delegate=no "
                      "ProtectControlGroups=yes StateDirectory=afard-state StateDirectoryMode=0700 "
                      "Environment=AFARD_STATE_DIRECTORY=/var/lib/afard-state; do\n"
                      "grep -qx \"$line\" \"$1/afard-keep.conf\"; done"));
    need_systemd_analyze();
    assert_true(shell("mkdir \"$1/afard.service.d\"\n"
                      "cp \"$1/afard-keep.conf\" \"$1/afard.service.d/keep.conf\""));
    assert_true(shell(VERIFY));
    /* With PrivateTmp= it loses a little, and no more. */
    assert_true(shell("systemd-analyze security --offline=true --threshold=30 --no-pager "
                      "\"$1/afard.service\""));
    assert_true(shell("rm -r \"$1/afard.service.d\""));
}

/* Without systemd: what is installed names the files where they are. */
static void test_install(void **state)
{
    (void)state;
    assert_true(shell("make -s install-units DESTDIR=\"$1/root\" PREFIX=/opt/afar\n"
                      "cd \"$1/root/opt/afar\"\n"
                      "grep -q '^ExecStart=/opt/afar/sbin/afard -c /etc/afar/afard.conf$' "
                      "lib/systemd/system/afard.service\n"
                      "grep -q '^ListenStream=7420$' lib/systemd/system/afard.socket\n"
                      "grep -q '^u afard ' lib/sysusers.d/afard.conf\n"
                      "grep -q '^d /var/lib/afard 0750 afard afard ' lib/tmpfiles.d/afard.conf\n"
                      "grep -q '^user = afard$' share/afar/service.conf\n"
                      "grep -q '^Environment=AFARD_DEFAULTS=/opt/afar/share/afar/service.conf$' "
                      "lib/systemd/system/afard.service\n"
                      "grep -q '^ProtectSystem=no$' share/afar/afard-users.conf\n"
                      "if grep -r @PREFIX@ .; then exit 1; fi"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify),   cmocka_unit_test(test_a_mistake_would_be_found),
        cmocka_unit_test(test_exposure), cmocka_unit_test(test_for_users),
        cmocka_unit_test(test_for_kept), cmocka_unit_test(test_install),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
