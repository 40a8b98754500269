/* `afar ssh` and signals, and what it does in the background or without a command. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/ruled.h"

/* Less than the time between two pings of -N. */
enum { HOLD_ENDS_MS = 5000 };

static struct afard server;

static int set_up(void **state)
{
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    (void)state;
    afard_start(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

static void start(struct program *program, const char *const *words)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar", "ssh"};
    size_t used = 2;
    for (; *words != NULL; words++)
        argv[used++] = strcmp(*words, "@") == 0 ? server.url[0] : *words;
    argv[used] = NULL;
    program_start(program, argv, NULL);
}

static void test_signals(void **state)
{
    struct program program;
    (void)state;
    /* The command ends by it. */
    start(&program, WORDS("@", "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.05; "
                               "done"));
    program_expect(&program, 1, "ready");
    assert_int_equal(kill(program.pid, SIGTERM), 0);
    program_finish(&program, "", 0);
    assert_int_equal(program_exit_status(&program), 9);
    program_close(&program);
    /* It does not; we end nevertheless, and the server ends it. */
    start(&program, WORDS("@", "trap '' TERM HUP; echo ready; while :; do sleep 0.05; done"));
    program_expect(&program, 1, "ready");
    assert_int_equal(kill(program.pid, SIGHUP), 0);
    program_finish(&program, "", 0);
    assert_int_equal(program_exit_status(&program), 255);
    assert_non_null(strstr(program.stderr_data, "ended by HUP"));
    program_close(&program);
    afard_expect_calm(&server);
}

static void test_holds(void **state)
{
    struct program program;
    (void)state;
    start(&program, WORDS("-v", "-N", "@"));
    program_expect(&program, 2, "Connection established");
    assert_int_equal(kill(program.pid, SIGTERM), 0);
    program_finish(&program, "", 0);
    assert_int_equal(program_exit_status(&program), 128 + SIGTERM);
    program_close(&program);
}

/* -f: the one who waits goes on when it has begun; what it writes comes later. */
static void test_background(void **state)
{
    struct program program;
    char folder[] = "/tmp/afar-ssh-go-XXXXXX";
    char path[64];
    char line[128];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/go", folder);
    (void)snprintf(line, sizeof line, "until [ -e %s ]; do sleep 0.02; done; echo late", path);
    start(&program, WORDS("-f", "@", line));
    /* The foreground has ended; its output is still open. */
    siginfo_t info = {0};
    assert_int_equal(waitid(P_PID, (id_t)program.pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(info.si_status, 0);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    program_finish(&program, "", 0);
    assert_string_equal(program.stdout_data, "late\n");
    program_close(&program);
    (void)unlink(path);
    (void)rmdir(folder);
    program_expect_run(WORDS("afar", "ssh", "-f", "tcp://127.0.0.1:1", "true"), "", 255, "",
                       "cannot connect");
}

/* -N, with -f and without it: who waits for the end of our streams has it, and a server that goes is
 * noticed at once. */
static void test_holds_until_the_server_ends(void **state)
{
    static const int signals[] = {SIGKILL, SIGTERM};
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    (void)state;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct afard own;
        struct program program;
        char forward[128];
        afard_start(&own, args);
        (void)snprintf(forward, sizeof forward, "%s/forward:localhost:1", own.folder);
        const char *behind[] = {"afar", "ssh", "-f", "-N", "-L", forward, own.url[0], NULL};
        assert_int_equal(program_run(&program, behind, NULL, 0), 0);
        assert_string_equal(program.stderr_data, "");
        program_close(&program);
        const char *here[] = {"afar", "ssh", "-v", "-N", own.url[0], NULL};
        program_start(&program, here, NULL);
        program_expect(&program, 2, "Connection established");
        int64_t begun_ms = clock_now_ms();
        assert_int_equal(kill(own.program.pid, signals[i]), 0);
        program_finish(&program, NULL, 0);
        assert_int_equal(program_exit_status(&program), 255);
        assert_true(clock_now_ms() - begun_ms < HOLD_ENDS_MS);
        program_close(&program);
        (void)afard_stop(&own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_background),
        cmocka_unit_test(test_holds_until_the_server_ends),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
