/* A cgroup for each command, in a real hierarchy where there is one: what hides from all else is
 * ended with it. And servers that cannot have any. */
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

#include "exec/cgroup.h"
#include "support/afard.h"
#include "support/folder.h"
#include "support/process_wait.h"
#include "support/ruled.h"

/* It has left its parents, its session and its environment, and lets go of the output. */
#define HIDES "(env -i setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' &)"
#define WHERE "sed -n 's/^0:://p' /proc/self/cgroup"

static const char hides_and_waits[] = HIDES "; exec sleep 1000";

static struct program program;

/* Only where the tests run as the server would: they are no server's commands. */
static void need_cgroups(void)
{
    struct cgroups *cgroups = NULL;
    if (cgroups_open(&cgroups, NULL) != AFAR_OK) {
        print_message("skipped: no cgroups can be made here\n");
        skip();
    }
    cgroups_close(cgroups);
}

static void run(const struct afard *server, const char *option, const char *script, int status)
{
    assert_int_equal(program_run(&program,
                                 WORDS("afar", "run", "-n", "-s", "--reconnect", "0", option,
                                       server->url[0], script),
                                 NULL, 0),
                     status);
}

static void start(struct afard *server)
{
    afard_start(server, WORDS("--listen", "tcp://127.0.0.1:0"));
}

static void nothing_hides(void **state)
{
    struct afard server;
    (void)state;
    need_cgroups();
    start(&server);
    for (int i = 0; i < 10; i++) {
        run(&server, "--json", HIDES " | head -n 1; exit 3", 3);
        assert_non_null(strstr(program.stdout_data, "\"ended\":{\"count\":1,"));
        expect_process_gone(atoi(strstr(program.stdout_data, "\"data\":\"") + 8));
        program_close(&program);
    }
    /* Also where its time is over. */
    assert_int_equal(program_run(&program,
                                 WORDS("afar", "run", "-n", "-s", "--timeout", "300ms",
                                       server.url[0], hides_and_waits),
                                 NULL, 0),
                     124);
    expect_process_gone(atoi(program.stdout_data));
    program_close(&program);
    assert_int_equal(afard_stop(&server), 0);
}

/* And nothing outlives a server that is killed for longer than until the next one. */
static void nor_from_the_next_server(void **state)
{
    struct afard server;
    (void)state;
    need_cgroups();
    start(&server);
    program_start(
        &program,
        WORDS("afar", "run", "-n", "-s", "--reconnect", "0", server.url[0], hides_and_waits), NULL);
    program_expect(&program, 1, "\n");
    pid_t hidden = atoi(program.stdout_data);
    assert_int_equal(kill(server.program.pid, SIGKILL), 0);
    program_finish(&server.program, NULL, 0);
    program_close(&server.program);
    (void)folder_remove(server.folder);
    program_finish(&program, NULL, 0);
    program_close(&program);
    start(&server); /* (or that of another test, in the same moment) */
    expect_process_gone(hidden);
    assert_int_equal(afard_stop(&server), 0);
}

/* The name of the one that it runs in. */
static void where(const struct afard *server, const char *option, char place[256])
{
    run(server, option, WHERE, 0);
    (void)snprintf(place, 256, "%s", program.stdout_data);
    program_close(&program);
}

static void who_has_one(void **state)
{
    struct afard server;
    char setting[96];
    char place[256];
    char own[256];
    char folder[] = "/tmp/afar-cgroups-XXXXXX";
    (void)state;
    need_cgroups();
    assert_non_null(mkdtemp(folder));
    (void)snprintf(setting, sizeof setting, "state_directory=%s/state", folder);
    assert_int_equal(program_run(&program, WORDS("sh", "-c", WHERE), NULL, 0), 0);
    (void)snprintf(own, sizeof own, "%s", program.stdout_data);
    program_close(&program);
    afard_start(&server, WORDS("--listen", "tcp://127.0.0.1:0", "--set", setting));
    where(&server, "--digest", place);
    assert_non_null(strstr(place, "/job-"));
    where(&server, "--leave", place); /* and the server has not moved */
    assert_string_equal(place, own);
    where(&server, "--keep", place);
    assert_string_equal(place, own);
    assert_int_equal(afard_stop(&server), 0);
    afard_start(&server, WORDS("--listen", "tcp://127.0.0.1:0", "--set", "cgroup=no"));
    where(&server, "--digest", place);
    assert_string_equal(place, own);
    run(&server, "--digest", HIDES " | head -n 1", 0);
    pid_t hidden = atoi(program.stdout_data);
    program_close(&program);
    assert_true(process_runs(hidden)); /* as ever */
    assert_int_equal(kill(hidden, SIGKILL), 0);
    expect_process_gone(hidden);
    assert_int_equal(afard_stop(&server), 0);
    (void)folder_remove(folder);
}

/* It goes without, and has said so: somebody who may not make any, and a hierarchy that is only to
 * be read, as in a container, where the server is PID 1. */
static void a_server_that_cannot_have_any(void **state)
{
    static const char nobody[] = "exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"";
    static const char container[] =
        "exec unshare -m -p -f --kill-child --mount-proc sh -c 'for i in $(sed -n \"s,^[^ ]* [^ ]* "
        "[^ ]* [^ ]* "
        "\\([^ ]*\\) .* - cgroup2 .*,\\1,p\" /proc/self/mountinfo); do mount --bind $i $i && mount "
        "-o remount,ro,bind $i || exit 77; done; exec \"$@\"' sh \"$@\"";
    const char *const ways[] = {nobody, container};
    char afard[PROGRAM_TEXT_BYTES];
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: only root can become somebody else\n");
        skip();
    }
    (void)program_path("afard", afard);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct program server;
        char url[128];
        if (program_run(&program, WORDS("sh", "-c", ways[i], "sh", afard, "--version"), NULL, 0) !=
            0) {
            print_message("one left out: %s\n", program.stderr_data);
            program_close(&program);
            continue;
        }
        program_close(&program);
        program_start(&server,
                      WORDS("sh", "-c", ways[i], "sh", afard, "--print-endpoints", "--listen",
                            "tcp://127.0.0.1:0"),
                      NULL);
        program_expect(&server, 1, "listening ");
        program_expect(&server, 1, "\n");
        (void)snprintf(url, sizeof url, "%s", strstr(server.stdout_data, "tcp://"));
        url[strcspn(url, "\n")] = '\0';
        program_expect(&server, 2,
                       "no cgroups: processes of commands are found through /proc instead: ");
        assert_int_equal(program_run(&program,
                                     WORDS("afar", "run", "-n", "-s", "--json", url,
                                           "setsid sleep 1000 >/dev/null 2>&1 & exit 5"),
                                     NULL, 0),
                         5);
        assert_non_null(strstr(program.stdout_data, "\"ended\":{\"count\":1,"));
        program_close(&program);
        assert_int_equal(kill(server.pid, i == 0 ? SIGTERM : SIGKILL), 0);
        program_finish(&server, NULL, 0);
        program_close(&server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_hides),
        cmocka_unit_test(nor_from_the_next_server),
        cmocka_unit_test(who_has_one),
        cmocka_unit_test(a_server_that_cannot_have_any),
    };
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind forks where clone shares memory\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
