// Commands that outlive their server: killed at random, started again, and nothing is lost.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/keeping.h"
#include "support/process_wait.h"

#define WORDS KEEPING_WORDS

enum { JOB_BYTES = KEEPING_JOB_BYTES, JOBS = 5, KILLS = 10, OLD_JOBS = 1000 };

static struct keeping keeping;

static void start_server(void)
{
    keeping_start(&keeping);
}

static void kill_server(void)
{
    keeping_kill(&keeping);
}

static int set_up(void **state)
{
    (void)state;
    keeping_open(&keeping, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    keeping_close(&keeping);
    return 0;
}

static int afar(struct program *client, const char *const *args)
{
    return keeping_afar(client, args);
}

static int afar_quiet(const char *const *args)
{
    return keeping_afar(NULL, args);
}

static void detach(const char *line, char job[JOB_BYTES])
{
    keeping_detach(&keeping, line, job);
}

/* "1\n2\n…" */
static char *count_to(unsigned last)
{
    size_t room = (size_t)last * 12 + 1;
    char *text = malloc(room);
    size_t used = 0;
    assert_non_null(text);
    text[0] = '\0';
    for (unsigned i = 1; i <= last; i++)
        used += (size_t)snprintf(text + used, room - used, "%u\n", i);
    return text;
}

/* What the environment says, or else. */
static int number_of(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text != NULL && atoi(text) > 0 ? atoi(text) : otherwise;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void outlives_its_server(void **state)
{
    struct program client;
    struct program follower;
    char job[JOB_BYTES];
    char *all = count_to(60);
    (void)state;
    detach("for i in $(seq 1 60); do echo $i; sleep 0.03; done; echo end >&2; exit 7", job);
    program_start(&follower, WORDS("afar", "logs", "-f", keeping.url, job), NULL);
    program_expect(&follower, 1, "3\n");
    kill_server();
    start_server();
    assert_int_equal(afar_quiet(WORDS("wait", keeping.url, job)), 7);
    program_finish(&follower, NULL, 0);
    assert_int_equal(program_exit_status(&follower), 0);
    assert_string_equal(follower.stdout_data, all);
    assert_string_equal(follower.stderr_data, "end\n");
    program_close(&follower);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(afar(&client, WORDS("attach", "-a", "-n", keeping.url, job)), 7);
        assert_string_equal(client.stdout_data, all);
        program_close(&client);
        kill_server();
        start_server();
    }
    assert_int_equal(afar_quiet(WORDS("rm", keeping.url, job)), 0);
    assert_int_equal(afar_quiet(WORDS("logs", keeping.url, job)), 125);
    free(all);
}

/* One that is stopped does not wait for its readers: they come back to the next. */
static void outlives_a_stop(void **state)
{
    struct program follower;
    char job[JOB_BYTES];
    (void)state;
    kill_server();
    afard_start(&keeping.server, WORDS("--listen", keeping.url, "--set", keeping.state_key, "--set",
                                       "drain_ms=2000000000"));
    keeping.runs = true;
    detach("while sleep 0.001; do echo a line; done", job);
    program_start(&follower, WORDS("afar", "logs", "-f", keeping.url, job), NULL);
    program_expect(&follower, 1, "a line\n");
    assert_int_equal(keeping_stop(&keeping), 0);
    start_server();
    size_t before = follower.stdout_size;
    (void)program_expect_after(&follower, 1, before, "a line\n");
    assert_int_equal(afar_quiet(WORDS("kill", keeping.url, job)), 0);
    program_finish(&follower, NULL, 0);
    assert_int_equal(program_exit_status(&follower), 0);
    program_close(&follower);
}

/* As `ps` shows it. */
static void expect_name(pid_t pid, const char *name)
{
    char path[64];
    char text[32] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, name);
}

static void killed_keeper_is_server_lost(void **state)
{
    struct program client;
    char job[JOB_BYTES];
    char mark[64];
    (void)state;
    detach("echo $PPID; (setsid sleep 1000 >/dev/null 2>&1 &) ; exec sleep 1000", job);
    pid_t keeper = keeping_number(&keeping, job);
    (void)snprintf(mark, sizeof mark, "AFAR_JOB=%s", job);
    assert_true(processes_with(mark) > 0);
    expect_name(keeper, "afard-keep\n");
    assert_int_equal(kill(keeper, SIGKILL), 0);
    expect_process_gone(keeper);
    int status = afar(&client, WORDS("wait", "--json", keeping.url, job));
    assert_int_equal(status, 125);
    assert_non_null(strstr(client.stdout_data, "server_lost"));
    program_close(&client);
    assert_int_equal(processes_with(mark), 0);
    assert_int_equal(afar(&client, WORDS("logs", keeping.url, job)), 0);
    assert_int_equal(atoi(client.stdout_data), keeper);
    program_close(&client);
}

/* Whoever has it at that time hears of it: whoever began it, and whoever has taken it over. */
static void its_client_hears_of_a_killed_keeper(void **state)
{
    struct program begun;
    char job[JOB_BYTES];
    (void)state;
    program_start(&begun,
                  WORDS("afar", "run", "--keep", "-n", "-s", keeping.url,
                        "echo $AFAR_JOB; echo $PPID; exec sleep 1000"),
                  NULL);
    program_expect_after(&begun, 1, 33, "\n");
    for (int i = 0; i < 2; i++) {
        const pid_t keeper = atoi(begun.stdout_data + 33);
        assert_int_equal(kill(keeper, SIGKILL), 0);
        program_finish(&begun, NULL, 0);
        assert_int_equal(program_exit_status(&begun), 125);
        assert_non_null(strstr(begun.stderr_data, "its keeper was killed"));
        assert_null(strstr(begun.stderr_data, "taken"));
        program_close(&begun);
        if (i == 1)
            return;
        detach("echo $AFAR_JOB; echo $PPID; exec sleep 1000", job);
        program_start(&begun, WORDS("afar", "attach", "-a", "-n", keeping.url, job), NULL);
        program_expect_after(&begun, 1, 33, "\n");
    }
}

/* -d under a name gives the id of what was, but what nobody knows the end of is no success. */
static void detached_once_is_lost(void **state)
{
    struct program client;
    const char *const line = "echo $PPID; exec sleep 1000";
    const char *const *again = WORDS("run", "-d", "--once", "lost", "-s", keeping.url, line);
    (void)state;
    assert_int_equal(afar(&client, again), 0);
    char job[JOB_BYTES];
    (void)snprintf(job, sizeof job, "%.32s", client.stdout_data);
    program_close(&client);
    pid_t keeper = keeping_number(&keeping, job);
    assert_int_equal(kill(keeper, SIGKILL), 0);
    expect_process_gone(keeper);
    assert_int_equal(afar_quiet(WORDS("wait", keeping.url, job)), 125);
    assert_int_equal(afar(&client, again), 125);
    assert_memory_equal(client.stdout_data, job, sizeof job - 1);
    assert_non_null(strstr(client.stderr_data, "server_lost"));
    program_close(&client);
    assert_int_equal(afar_quiet(WORDS("run", "-t", "--keep", "-n", keeping.url, "true")), 0);
}

/* ---- crashes --------------------------------------------------------------------------------- */

/* One that writes, forks and ends at some time; the same for all its tries. */
struct crashed {
    char name[16];
    char line[320];
    char expected[4096];
    int status;
};

static void make_crashed(struct crashed *made, int number)
{
    const unsigned lines = 20 + 7 * (unsigned)(number % 20);
    char *all = count_to(lines);
    made->status = number % 100 + 1;
    (void)snprintf(made->name, sizeof made->name, "job-%d", number);
    (void)snprintf(made->line, sizeof made->line,
                   "printf x >> '%s/starts-%d'; for i in $(seq 1 %u); do echo $i; sleep 0.0%d; "
                   "[ $i != 9 ] || { echo some >&2; (sleep 0.05; :) & }; done; "
                   "(sleep 0.1; echo late) & wait; exit %d",
                   keeping.folder, number, lines, 1 + number % 5, made->status);
    (void)snprintf(made->expected, sizeof made->expected, "%slate\n", all);
    free(all);
}

/* Begins it, while the server is killed at any moment, until somebody has said that it runs. Whoever
 * was cut off in between does not know whether it does; its name does. */
static unsigned begin_crashed(const struct crashed *crashed)
{
    unsigned kills = 0;
    for (;;) {
        struct program client;
        program_start(&client,
                      WORDS("afar", "run", "-d", "--once", crashed->name, "--reconnect", "0", "-s",
                            keeping.url, crashed->line),
                      NULL);
        (void)usleep((useconds_t)(random() % 40000));
        kill_server();
        kills++;
        program_finish(&client, NULL, 0);
        int status = program_exit_status(&client);
        program_close(&client);
        start_server();
        assert_true(status == 0 || status == 125);
        if (status == 0)
            return kills;
    }
}

static void check_crashed(const struct crashed *crashed, int number)
{
    struct program client;
    struct stat info;
    char id[32];
    char path[128];
    (void)snprintf(id, sizeof id, "once:%s", crashed->name);
    (void)snprintf(path, sizeof path, "%s/starts-%d", keeping.folder, number);
    assert_int_equal(afar_quiet(WORDS("wait", keeping.url, id)), crashed->status);
    assert_int_equal(afar(&client, WORDS("logs", keeping.url, id)), 0);
    assert_string_equal(client.stdout_data, crashed->expected);
    assert_string_equal(client.stderr_data, "some\n");
    program_close(&client);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, 1);
}

/* The server is killed at random moments, also while it begins them: each runs once, and nothing of
 * what it says is lost. AFAR_KEPT_JOBS, AFAR_KEPT_KILLS: of these more than in every run. */
static void random_kills(void **state)
{
    const unsigned seed = (unsigned)getpid();
    const int jobs = number_of("AFAR_KEPT_JOBS", JOBS);
    const unsigned kills = (unsigned)number_of("AFAR_KEPT_KILLS", KILLS);
    struct crashed *crashed = calloc((size_t)jobs, sizeof *crashed);
    unsigned done = 0;
    (void)state;
    assert_non_null(crashed);
    srandom(seed);
    for (int i = 0; i < jobs; i++) {
        make_crashed(&crashed[i], i);
        done += begin_crashed(&crashed[i]);
    }
    for (; done < kills; done++) {
        (void)usleep((useconds_t)(random() % 100000));
        kill_server();
        start_server();
    }
    for (int i = 0; i < jobs; i++)
        check_crashed(&crashed[i], i);
    print_message("%d jobs, %u kills, seed %u\n", jobs, done, seed);
    /* All of them have the server's folder in their words. */
    struct program shell;
    char line[160];
    (void)snprintf(line, sizeof line, "pgrep -f '%s/star[t]s' | wc -l", keeping.folder);
    assert_int_equal(program_run(&shell, WORDS("sh", "-c", line), NULL, 0), 0);
    assert_int_equal(atoi(shell.stdout_data), 0);
    program_close(&shell);
    free(crashed);
}

static void once(void **state)
{
    struct program client[4];
    char path[128];
    char line[192];
    struct stat info;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/starts", keeping.folder);
    (void)snprintf(line, sizeof line, "echo x >> '%s'; sleep 0.3; echo done; exit 3", path);
    for (int i = 0; i < 4; i++)
        program_start(&client[i],
                      WORDS("afar", "run", "--once", "nightly", "-n", "-s", keeping.url, line),
                      NULL);
    /* The last takes over from those before it: they say so, and do not start anything. */
    unsigned good = 0;
    for (int i = 0; i < 4; i++) {
        program_finish(&client[i], NULL, 0);
        int status = program_exit_status(&client[i]);
        assert_true(status == 3 || status == 125);
        good += status == 3;
        program_close(&client[i]);
    }
    assert_true(good >= 1);
    kill_server();
    start_server();
    assert_int_equal(
        afar(&client[0], WORDS("run", "--once", "nightly", "-n", "-s", keeping.url, line)), 3);
    assert_string_equal(client[0].stdout_data, "done\n");
    program_close(&client[0]);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, 2);

    assert_int_equal(afar(&client[0], WORDS("run", "--once", "nightly", "-n", keeping.url, "true")),
                     125);
    assert_non_null(strstr(client[0].stderr_data, "conflict"));
    program_close(&client[0]);
    /* What could not be started has a receipt, too: the second hears of an end that was before. */
    for (int i = 0; i < 2; i++)
        assert_int_equal(afar_quiet(WORDS("run", "--once", "other", "-n", keeping.url, "/no/such")),
                         127);
    assert_int_equal(afar_quiet(WORDS("rm", keeping.url, "once:nightly")), 0);
    assert_int_equal(afar_quiet(WORDS("run", "--once", "nightly", "-n", keeping.url, "true")), 0);
}

static void kill_and_remove(void **state)
{
    struct program client;
    char job[JOB_BYTES];
    char prefix[7];
    (void)state;
    detach("sleep 1000", job);
    memcpy(prefix, job, 6);
    prefix[6] = '\0';
    assert_int_equal(afar(&client, WORDS("rm", keeping.url, prefix)), 125);
    assert_non_null(strstr(client.stderr_data, "afar rm -f"));
    program_close(&client);
    assert_int_equal(afar_quiet(WORDS("kill", "-s", "USR1", keeping.url, prefix)), 0);
    assert_int_equal(afar_quiet(WORDS("wait", keeping.url, prefix)), 125);
    assert_int_equal(afar_quiet(WORDS("kill", keeping.url, prefix)), 125);
    assert_int_equal(afar_quiet(WORDS("rm", keeping.url, prefix)), 0);
    detach("sleep 1000", job);
    assert_int_equal(afar_quiet(WORDS("rm", "-f", keeping.url, job)), 0);
    assert_int_equal(afar(&client, WORDS("ps", "-a", keeping.url)), 0);
    assert_int_equal(client.stdout_size, 0);
    program_close(&client);
}

/* A disk that takes no more, which RLIMIT_FSIZE is to a file. */
static void full_disk(void **state)
{
    struct rlimit before;
    struct rlimit little;
    struct program client;
    char job[JOB_BYTES];
    (void)state;
    kill_server();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little = before;
    little.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    start_server();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    detach("head -c 3000000 /dev/zero; echo end >&2; exit 9", job);
    assert_int_equal(afar_quiet(WORDS("wait", keeping.url, job)), 9);
    assert_int_equal(afar(&client, WORDS("logs", keeping.url, job)), 3);
    assert_non_null(strstr(client.stderr_data, "are not kept any more"));
    program_close(&client);
}

static void many_old_jobs(void **state)
{
    struct program client;
    char job[JOB_BYTES];
    char line[512];
    (void)state;
    detach("true", job);
    assert_int_equal(afar_quiet(WORDS("wait", keeping.url, job)), 0);
    kill_server();
    (void)snprintf(
        line, sizeof line,
        "cd '%s/state/jobs' && mkdir -m 700 $(seq -f '%%032.0f' 1 %d) && for j in 00000000*; do "
        "sed 's/^job .*/job '$j'/' %s/request >$j/request; cp %s/receipt %s/token $j/; "
        "done",
        keeping.folder, OLD_JOBS, job, job, job);
    assert_int_equal(system(line), 0);
    int64_t begun_ms = clock_now_ms();
    start_server();
    print_message("%d jobs: listens after %lld ms\n", OLD_JOBS,
                  (long long)(clock_now_ms() - begun_ms));
    assert_int_equal(afar(&client, WORDS("ps", "-a", "--json", keeping.url)), 0);
    unsigned lines = 0;
    for (size_t i = 0; i < client.stdout_size; i++)
        lines += client.stdout_data[i] == '\n';
    assert_int_equal(lines, OLD_JOBS + 1);
    program_close(&client);
}

/* What ended while there was no server is in the audit log of the next, once. */
static void missed_ends_are_audited(void **state)
{
    struct program shell;
    char log_key[128];
    char job[JOB_BYTES];
    char line[256];
    (void)state;
    kill_server();
    (void)snprintf(log_key, sizeof log_key, "audit_log=%s/audit", keeping.folder);
    const char *const args[] = {"--listen", keeping.url, "--set", keeping.state_key,
                                "--set",    log_key,     NULL};
    afard_start(&keeping.server, args);
    keeping.runs = true;
    detach("sleep 0.3; exit 6", job);
    kill_server();
    (void)snprintf(line, sizeof line,
                   "until [ -f '%s/state/jobs/%s/receipt' ]; do sleep 0.02; done", keeping.folder,
                   job);
    assert_int_equal(system(line), 0);
    for (int i = 0; i < 2; i++) {
        afard_start(&keeping.server, args);
        keeping.runs = true;
        assert_int_equal(afar_quiet(WORDS("wait", keeping.url, job)), 6);
        kill_server();
    }
    (void)snprintf(line, sizeof line, "grep -c '\"end\".*%s' '%s/audit'", job, keeping.folder);
    assert_int_equal(program_run(&shell, WORDS("sh", "-c", line), NULL, 0), 0);
    assert_string_equal(shell.stdout_data, "1\n");
    program_close(&shell);
}

/* Two servers on one folder would take each other's jobs. */
static void one_server_only(void **state)
{
    struct program second;
    char other[128];
    (void)state;
    (void)snprintf(other, sizeof other, "unix://%s/other", keeping.folder);
    assert_int_equal(program_run(&second,
                                 WORDS("afard", "--listen", other, "--set", keeping.state_key),
                                 NULL, 0),
                     1);
    assert_non_null(strstr(second.stderr_data, "another afard has the state_directory"));
    program_close(&second);
}

/* What others could change is no state: it is said which folder, and how it must be. */
static void folder_of_others(void **state)
{
    struct program second;
    char other[128];
    char open_key[128];
    (void)state;
    (void)snprintf(other, sizeof other, "unix://%s/other", keeping.folder);
    (void)snprintf(open_key, sizeof open_key, "state_directory=%s/open", keeping.folder);
    const char *path = strchr(open_key, '/');
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(
        program_run(&second, WORDS("afard", "--listen", other, "--set", open_key), NULL, 0), 1);
    assert_non_null(strstr(second.stderr_data, path));
    assert_non_null(strstr(second.stderr_data, "0700"));
    program_close(&second);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(outlives_its_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(outlives_a_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_keeper_is_server_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_client_hears_of_a_killed_keeper, set_up, tear_down),
        cmocka_unit_test_setup_teardown(detached_once_is_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_kills, set_up, tear_down),
        cmocka_unit_test_setup_teardown(once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kill_and_remove, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_old_jobs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missed_ends_are_audited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_server_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folder_of_others, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
