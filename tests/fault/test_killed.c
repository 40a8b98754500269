/* A server that is killed, and what the next one finds of it: nothing that was its commands' goes
 * on, but what was kept or left. */
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

#include "support/afard.h"
#include "support/folder.h"
#include "support/process_wait.h"
#include "support/ruled.h"

#define QUIET " >/dev/null 2>&1"

static void start(struct afard *server)
{
    afard_start(server, WORDS("--listen", "tcp://127.0.0.1:0"));
}

static void kill_server(struct afard *server)
{
    assert_int_equal(kill(server->program.pid, SIGKILL), 0);
    program_finish(&server->program, NULL, 0);
    assert_int_equal(program_exit_status(&server->program), 128 + SIGKILL);
    program_close(&server->program);
    (void)folder_remove(server->folder);
}

/* Runs in the background; its first line of output are pids. */
static void begin(struct program *client, const struct afard *server, const char *option,
                  const char *script)
{
    program_start(
        client,
        WORDS("afar", "run", "-n", "-s", "--reconnect", "0", option, server->url[0], script), NULL);
    program_expect(client, 1, "\n");
}

static void finish(struct program *client)
{
    program_finish(client, NULL, 0);
    program_close(client);
}

static void end(pid_t pid)
{
    assert_true(process_runs(pid));
    assert_int_equal(kill(pid, SIGKILL), 0);
    expect_process_gone(pid);
}

/* ---- what is ended --------------------------------------------------------------------------- */

enum { ROUNDS = 20 };

/* The first process ends with its server. Its children, whose parent that was, do not, nor what
 * these start without an environment; until there is a server again. True: which has said so. (The
 * server of another test may start between the two, and do the same.) */
static bool all_of_it_ends(void)
{
    static const char script[] =
        "setsid sleep 1000" QUIET " & a=$!; (setsid sh -c 'trap : TERM HUP; env -i sleep 1000 & "
        "sleep 1000'" QUIET " & ); sleep 1000" QUIET " & echo $$ $a $!; exec sleep 1000";
    struct afard server;
    struct program client;
    char pids[128];
    start(&server);
    begin(&client, &server, "--no-stdin", script);
    (void)snprintf(pids, sizeof pids, "%s", client.stdout_data);
    kill_server(&server);
    finish(&client);
    start(&server);
    expect_processes_gone(pids);
    assert_int_equal(kill(server.program.pid, SIGTERM), 0);
    program_finish(&server.program, NULL, 0);
    assert_int_equal(program_exit_status(&server.program), 0);
    bool said = strstr(server.program.stderr_data, "a server before this one was killed: ") != NULL;
    program_close(&server.program);
    (void)folder_remove(server.folder);
    return said;
}

static void nothing_is_left_of_its_commands(void **state)
{
    int rounds = 1;
    (void)state;
    while (!all_of_it_ends() && rounds < ROUNDS)
        rounds++;
    assert_in_range(rounds, 1, ROUNDS - 1);
}

/* ---- what is not ----------------------------------------------------------------------------- */

/* A server that lives is nobody's predecessor. */
static void others_commands_go_on(void **state)
{
    struct afard dead;
    struct afard living;
    struct program client;
    struct program other;
    (void)state;
    start(&living);
    start(&dead);
    begin(&client, &dead, "--no-stdin", "setsid sleep 1000" QUIET " & echo $!; exec sleep 1000");
    begin(&other, &living, "--no-stdin", "setsid sleep 1000" QUIET " & echo $!; exec sleep 1000");
    kill_server(&dead);
    pid_t ended = atoi(client.stdout_data);
    finish(&client);
    start(&dead);
    expect_process_gone(ended);
    assert_true(process_runs(atoi(other.stdout_data)));
    assert_int_equal(afard_stop(&dead), 0);
    assert_int_equal(kill(other.pid, SIGTERM), 0);
    finish(&other);
    assert_int_equal(afard_stop(&living), 0);
}

/* Also where the command that may leave it has not come to its end. */
static void what_was_left_goes_on(void **state)
{
    struct afard server;
    struct program client;
    (void)state;
    start(&server);
    begin(&client, &server, "--leave", "setsid sleep 1000" QUIET " & echo $!");
    pid_t left = atoi(client.stdout_data);
    finish(&client);
    begin(&client, &server, "--leave", "setsid sleep 1000" QUIET " & echo $!; exec sleep 1000");
    pid_t other = atoi(client.stdout_data);
    kill_server(&server);
    finish(&client);
    start(&server);
    assert_int_equal(afard_stop(&server), 0);
    end(left);
    end(other);
}

/* By what it carries, in which only a name of our own counts. */
static void other_names_mean_nothing(void **state)
{
    static const char *const names[] = {
        "AFAR_SERVER=", "AFAR_SERVER=1", "AFAR_SERVER=-", "AFAR_SERVER=x.1.1.a",
        "AFAR_SERVER=00000000-0000-0000-0000-000000000000.999999.1.0123456789abcdef"};
    enum { COUNT = sizeof names / sizeof names[0] };
    struct program sleepers[COUNT];
    struct afard server;
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        program_start(&sleepers[i], WORDS("sleep", "1000"), WORDS(names[i]));
    start(&server);
    assert_int_equal(afard_stop(&server), 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(process_runs(sleepers[i].pid));
        program_close(&sleepers[i]);
    }
}

/* Who carries it, and who does not; whatever the server itself has. */
static void who_carries_it(void **state)
{
    static const char script[] = "env | sed -n 's/^AFAR_SERVER=//p'";
    struct afard server;
    struct program client;
    char state_key[96];
    char folder[] = "/tmp/afar-killed-XXXXXX";
    char prefix[32];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(state_key, sizeof state_key, "state_directory=%s/state", folder);
    assert_int_equal(setenv("AFAR_SERVER", "another", 1), 0);
    afard_start(&server, WORDS("--listen", "tcp://127.0.0.1:0", "--set", state_key));
    (void)snprintf(prefix, sizeof prefix, ".%d.", (int)server.program.pid);
    for (int i = 0; i < 3; i++) {
        const char *const options[] = {"--digest", "--leave", "--keep"};
        assert_int_equal(program_run(&client,
                                     WORDS("afar", "run", "-n", "-s", options[i], "-e",
                                           "AFAR_SERVER_NOT=1", server.url[0], script),
                                     NULL, 0),
                         0);
        if (i == 0)
            assert_non_null(strstr(client.stdout_data, prefix));
        else
            assert_string_equal(client.stdout_data, "");
        program_close(&client);
    }
    assert_int_equal(unsetenv("AFAR_SERVER"), 0);
    assert_int_equal(afard_stop(&server), 0);
    (void)folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left_of_its_commands),
        cmocka_unit_test(others_commands_go_on),
        cmocka_unit_test(what_was_left_goes_on),
        cmocka_unit_test(other_names_mean_nothing),
        cmocka_unit_test(who_carries_it),
    };
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind gives programs another environment\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
