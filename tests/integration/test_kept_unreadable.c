// Kept jobs whose folders cannot be read: they are listed and left alone, and their names stay taken.
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

#include "base/clock.h"
#include "support/keeping.h"

#define WORDS KEEPING_WORDS

enum { JOB_BYTES = KEEPING_JOB_BYTES, WAIT_MS = 5000 };

static struct keeping keeping;

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

static void expect(const char *const *args, int status, const char *output, const char *words)
{
    struct program client;
    assert_int_equal(keeping_afar(&client, args), status);
    if (output != NULL)
        assert_non_null(strstr(client.stdout_data, output));
    if (words != NULL)
        assert_non_null(strstr(client.stderr_data, words));
    program_close(&client);
}

/* Runs a line of shell in the folder of the only job, or of jobs if there are several. */
static void in_folder(const char *line)
{
    char whole[512];
    (void)snprintf(whole, sizeof whole, "cd '%s/state/jobs' && cd * 2>/dev/null; %s",
                   keeping.folder, line);
    assert_int_equal(system(whole), 0);
}

/* The line that is run under a name; it counts how often. */
static const char *counting(void)
{
    static char line[256];
    (void)snprintf(line, sizeof line, "echo x >> '%s/starts'; echo $PPID >'%s/keeper'; exit 3",
                   keeping.folder, keeping.folder);
    return line;
}

static off_t starts(void)
{
    char path[96];
    struct stat info = {0};
    (void)snprintf(path, sizeof path, "%s/starts", keeping.folder);
    (void)stat(path, &info);
    return info.st_size / 2;
}

static void once(const char *name, int status, const char *words)
{
    expect(WORDS("run", "--once", name, "-n", "-s", keeping.url, counting()), status, NULL, words);
}

/* Never a second run: not of a later version's job, and not of one whose end is damaged. */
static void its_name_stays_taken(void **state)
{
    static const char *const damage[] = {"sed -i 's/^afar-kept 1/afar-kept 9/' request",
                                         "truncate -s 60 receipt",
                                         "sed -i 's/^created_us /&x/' request"};
    (void)state;
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        once("k", 3, NULL);
        keeping_kill(&keeping);
        in_folder("kill -KILL $(cat ../../../keeper)"); /* it stays a while after the end */
        in_folder(damage[i]);
        keeping_start(&keeping);
        expect(WORDS("ps", "-a", keeping.url), 0, "unreadable", NULL);
        once("k", 125, "cannot be read");
        expect(WORDS("attach", "-n", keeping.url, "once:k"), 125, NULL, "cannot be read");
        assert_int_equal(starts(), i + 1);
        expect(WORDS("rm", keeping.url, "once:k"), 0, NULL, NULL);
    }
}

/* As long as a key is not known, any may be it. Without a key, commands are kept as ever. */
static void no_name_is_sure(void **state)
{
    char job[JOB_BYTES];
    (void)state;
    once("k", 3, NULL);
    keeping_kill(&keeping);
    in_folder("chmod 755 .; mv request ../../hidden");
    keeping_start(&keeping);
    once("k", 125, "state_directory");
    once("other", 125, "state_directory");
    assert_int_equal(starts(), 1);
    keeping_detach(&keeping, "true", job);
    assert_int_equal(keeping_afar(NULL, WORDS("wait", keeping.url, job)), 0);
    assert_int_equal(keeping_afar(NULL, WORDS("rm", keeping.url, job)), 0);
    /* It is mended. (The first who asks causes another look.) */
    in_folder("mv ../../hidden request; chmod 700 .");
    const int64_t deadline_ms = clock_deadline_ms(WAIT_MS);
    while (keeping_afar(NULL, WORDS("run", "--once", "k", "-n", "-s", keeping.url, counting())) !=
               3 &&
           clock_now_ms() < deadline_ms)
        (void)usleep(20000);
    once("k", 3, NULL);
    once("other", 3, NULL);
    assert_int_equal(starts(), 2);
}

/* One that cannot be read may run: it is not removed under its keeper. */
static void while_it_runs(void **state)
{
    char job[JOB_BYTES];
    (void)state;
    keeping_detach(&keeping, "echo $PPID; sleep 60", job);
    const pid_t keeper = keeping_number(&keeping, job);
    in_folder("sed -i 's/^afar-kept 1/afar-kept 9/' request");
    expect(WORDS("ps", "-a", keeping.url), 0, "unreadable", NULL);
    expect(WORDS("rm", keeping.url, job), 125, NULL, "runs");
    expect(WORDS("attach", "-n", keeping.url, job), 125, NULL, "cannot be read");
    in_folder("sed -i 's/^afar-kept 9/afar-kept 1/' request");
    expect(WORDS("ps", keeping.url), 0, "running", NULL);
    assert_int_equal(kill(keeper, SIGKILL), 0);
    expect(WORDS("wait", keeping.url, job), 125, NULL, NULL);
    in_folder("truncate -s 20 receipt");
    expect(WORDS("rm", keeping.url, job), 0, NULL, NULL);
    expect(WORDS("rm", keeping.url, job), 125, NULL, "no job");
}

/* A folder that somebody has removed is a job that there is not. */
static void removed_by_hand(void **state)
{
    char job[JOB_BYTES];
    (void)state;
    keeping_detach(&keeping, "exit 3", job);
    expect(WORDS("wait", keeping.url, job), 3, NULL, NULL);
    in_folder("rm -r ../*");
    expect(WORDS("rm", keeping.url, job), 125, NULL, "no job");
    expect(WORDS("rm", keeping.url, job), 125, NULL, "no job");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(its_name_stays_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_name_is_sure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(while_it_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removed_by_hand, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
