/* What receipts say of limits, of what was left behind and of who has ended the command. The server
 * is a child with cgroups that only look like some: of the kernel's, not every machine has them. */
// wrap: cgroups_open cgroups_close cgroups_check cgroup_make cgroup_kill cgroup_list
// wrap: cgroup_read_events cgroup_remove cgroup_remove_empty cgroups_prepare cgroups_mark cgroups_sweep
// wrap: cgroups_may_stay
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/cgroup.h"
#include "support/process_wait.h"
#include "support/fake_cgroup.h"
#include "support/inject.h"
#include "support/inject_server.h"
#include "support/program.h"
#include "support/raw.h"

/* ---- cgroups --------------------------------------------------------------------------------- */

/* What both processes see. */
static struct pretended {
    atomic_ullong memory_kills;
    atomic_ullong pids_refused;
    atomic_int member; /* a process of the cgroup that nothing else would find; 0: none */
    atomic_int kills;
    atomic_int removed;
} * pretended;

static char a_cgroup;
static struct fake_cgroup looks_like_one;

enum afar_status __wrap_cgroups_open(struct cgroups **cgroups, struct afar_error *err);
enum afar_status __wrap_cgroups_open(struct cgroups **cgroups, struct afar_error *err)
{
    (void)err;
    *cgroups = (struct cgroups *)(void *)&a_cgroup;
    return AFAR_OK;
}

enum afar_status __wrap_cgroups_prepare(struct cgroups *cgroups, struct afar_error *err);
enum afar_status __wrap_cgroups_prepare(struct cgroups *cgroups, struct afar_error *err)
{
    (void)cgroups;
    (void)err;
    return AFAR_OK;
}

const char *__wrap_cgroups_mark(const struct cgroups *cgroups);
const char *__wrap_cgroups_mark(const struct cgroups *cgroups)
{
    (void)cgroups;
    return ".1.2.3";
}

size_t __wrap_cgroups_sweep(const struct cgroups *cgroups, int64_t until_us);
size_t __wrap_cgroups_sweep(const struct cgroups *cgroups, int64_t until_us)
{
    (void)cgroups;
    (void)until_us;
    return 0;
}

bool __wrap_cgroups_may_stay(const struct cgroups *cgroups);
bool __wrap_cgroups_may_stay(const struct cgroups *cgroups)
{
    (void)cgroups;
    return true;
}

void __wrap_cgroups_close(struct cgroups *cgroups);
void __wrap_cgroups_close(struct cgroups *cgroups)
{
    (void)cgroups;
}

enum afar_status __wrap_cgroups_check(const struct cgroups *cgroups,
                                      const struct cgroup_limits *limits, struct afar_error *err);
enum afar_status __wrap_cgroups_check(const struct cgroups *cgroups,
                                      const struct cgroup_limits *limits, struct afar_error *err)
{
    (void)cgroups;
    (void)limits;
    (void)err;
    return AFAR_OK;
}

enum afar_status __wrap_cgroup_make(const struct cgroups *cgroups, const char *name,
                                    const struct cgroup_limits *limits, int *its_fd,
                                    struct afar_error *err);
enum afar_status __wrap_cgroup_make(const struct cgroups *cgroups, const char *name,
                                    const struct cgroup_limits *limits, int *its_fd,
                                    struct afar_error *err)
{
    (void)cgroups;
    (void)name;
    (void)limits;
    (void)err;
    *its_fd = fake_cgroup_open(&looks_like_one);
    return AFAR_OK;
}

bool __wrap_cgroup_kill(const struct cgroups *cgroups, const char *name);
bool __wrap_cgroup_kill(const struct cgroups *cgroups, const char *name)
{
    (void)cgroups;
    (void)name;
    atomic_fetch_add(&pretended->kills, 1);
    if (atomic_load(&pretended->member) > 0)
        (void)kill(atomic_load(&pretended->member), SIGKILL);
    return true;
}

void __wrap_cgroup_list(const struct cgroups *cgroups, const char *name, struct proc_numbers *pids);
void __wrap_cgroup_list(const struct cgroups *cgroups, const char *name, struct proc_numbers *pids)
{
    (void)cgroups;
    (void)name;
    pid_t member = atomic_load(&pretended->member);
    pids->at = member > 0 && process_runs(member) ? malloc(sizeof *pids->at) : NULL;
    if (pids->at != NULL)
        pids->at[pids->count++] = member;
}

void __wrap_cgroup_read_events(const struct cgroups *cgroups, const char *name,
                               struct cgroup_events *events);
void __wrap_cgroup_read_events(const struct cgroups *cgroups, const char *name,
                               struct cgroup_events *events)
{
    (void)cgroups;
    (void)name;
    events->memory_kills = atomic_load(&pretended->memory_kills);
    events->pids_refused = atomic_load(&pretended->pids_refused);
}

bool __wrap_cgroup_remove(const struct cgroups *cgroups, const char *name);
bool __wrap_cgroup_remove(const struct cgroups *cgroups, const char *name)
{
    (void)cgroups;
    (void)name;
    bool removed =
        atomic_load(&pretended->member) == 0 || !process_runs(atomic_load(&pretended->member));
    atomic_fetch_add(&pretended->removed, removed);
    return removed;
}

bool __wrap_cgroup_remove_empty(const struct cgroups *cgroups, const char *name);
bool __wrap_cgroup_remove_empty(const struct cgroups *cgroups, const char *name)
{
    return __wrap_cgroup_remove(cgroups, name);
}

/* ---- a server -------------------------------------------------------------------------------- */

static struct inject_server server;
static char config[64];
static char receipt[4096];

static int open_server(void **state)
{
    static const char text[] = "[server]\n"
                               "listen = tcp://127.0.0.1:0\n"
                               "workers = 1\nkill_grace_ms = 100\nlinger_ms = 50\n"
                               "job_timeout_ms = 70000\ndrain_ms = 1\n"
                               "[allow all]\n"
                               "client = any\ncommand = /bin/sh -c **\n"
                               "timeout = 300ms\nmax_output = 1K\nmemory = 64M\npids = 7\n"
                               "rlimit_cpu = 1s\n";
    (void)state;
    pretended =
        mmap(NULL, sizeof *pretended, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fake_cgroup_make(&looks_like_one, "/dev/null");
    (void)snprintf(config, sizeof config, "/tmp/afar-receipts-XXXXXX");
    int fd = mkstemp(config);
    if (pretended == MAP_FAILED || fd < 0 || !inject_new())
        return -1;
    const char *from = *state != NULL ? *state : text;
    assert_int_equal(write(fd, from, strlen(from)), strlen(from));
    (void)close(fd);
    const char *problem = inject_server_start(&server, config);
    if (problem != NULL || server.refused)
        fail_msg("%s%s", problem != NULL ? problem : "", server.report);
    return 0;
}

static int close_server(void **state)
{
    (void)state;
    if (server.pid > 0) {
        assert_true(inject_server_calm(&server));
        assert_int_equal(inject_server_stop(&server), INJECT_END_OK);
    }
    inject_server_close(&server);
    (void)unlink(config);
    fake_cgroup_remove(&looks_like_one);
    return munmap(pretended, sizeof *pretended);
}

static int start(const char *script, const char *fields, char job[33])
{
    char header[512];
    int fd = raw_connect((uint16_t)atoi(strrchr(server.url[0], ':') + 1));
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"exec\",\"v\":1,\"id\":1,%s\"argv\":[\"/bin/sh\",\"-c\",\"%s\"]}",
                   fields, script);
    raw_send_frame(fd, header);
    char *started = raw_read_header(fd, NULL);
    if (started == NULL || strstr(started, "\"started\"") == NULL)
        fail_msg("not started: %s", started);
    if (job != NULL)
        (void)snprintf(job, 33, "%s", strstr(started, "\"job\":\"") + 7);
    free(started);
    return fd;
}

/* Reads on to the receipt. */
static void finish(int fd)
{
    char *header = raw_read_header(fd, NULL);
    while (header != NULL && strstr(header, "\"type\":\"exit\"") == NULL) {
        free(header);
        header = raw_read_header(fd, NULL);
    }
    (void)snprintf(receipt, sizeof receipt, "%s", header == NULL ? "" : header);
    free(header);
    (void)close(fd);
}

static void has(const char *text)
{
    if (strstr(receipt, text) == NULL)
        fail_msg("no %s in %s", text, receipt);
}

static void has_not(const char *text)
{
    if (strstr(receipt, text) != NULL)
        fail_msg("%s is in %s", text, receipt);
}

static void run(const char *script, const char *fields)
{
    finish(start(script, fields, NULL));
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void whose_timeout_it_was(void **state)
{
    (void)state;
    run("exec sleep 1000", "\"timeout_ms\":3600000,");
    has("\"timed_out\"");
    has("\"limit\":{\"name\":\"timeout\",\"ms\":300,\"by\":\"rule\"}");
    run("exec sleep 1000", "\"timeout_ms\":20,");
    has("\"limit\":{\"name\":\"timeout\",\"ms\":20,\"by\":\"request\"}");
    has_not("ended");
    run("exit 3", "\"timeout_ms\":20000,");
    has_not("limit");
}

static void the_servers_own_timeout(void **state)
{
    (void)state;
    run("exec sleep 1000", "\"timeout_ms\":3600000,");
    has("\"limit\":{\"name\":\"timeout\",\"ms\":50,\"by\":\"server\"}");
}

static void too_much_output(void **state)
{
    (void)state;
    run("exec yes", "");
    has("\"output_limit\"");
    has("\"limit\":{\"name\":\"output\",\"bytes\":1024,\"by\":\"rule\"}");
}

static void killed_for_want_of_memory(void **state)
{
    (void)state;
    atomic_store(&pretended->memory_kills, 1);
    run("kill -9 $$", "");
    has("\"signaled\",\"signal\":\"KILL\"");
    has("\"limit\":{\"name\":\"memory\",\"bytes\":67108864,\"by\":\"rule\"}");
    run("exit 4", ""); /* it was a child's end */
    has("\"code\":4");
    has("\"name\":\"memory\"");
    atomic_store(&pretended->memory_kills, 0);
    run("kill -9 $$", "");
    has_not("limit");
}

static void no_more_processes(void **state)
{
    (void)state;
    atomic_store(&pretended->pids_refused, 12);
    run("exit 5", "");
    has("\"limit\":{\"name\":\"pids\",\"count\":7,\"by\":\"rule\"}");
}

static void no_more_processor_time(void **state)
{
    (void)state;
    run("while :; do :; done", "");
    has("\"signaled\",\"signal\":\"XCPU\"");
    has("\"limit\":{\"name\":\"cpu\",\"ms\":1000,\"by\":\"rule\"}");
}

/* ---- who and what ---------------------------------------------------------------------------- */

static void who_has_killed_it(void **state)
{
    char job[33];
    char text[128];
    (void)state;
    int fd = start("exec sleep 1000", "", job);
    int other = raw_connect((uint16_t)atoi(strrchr(server.url[0], ':') + 1));
    (void)snprintf(text, sizeof text,
                   "{\"type\":\"kill\",\"id\":2,\"job\":\"%s\",\"name\":\"KILL\"}", job);
    raw_send_frame(other, text);
    free(raw_read_header(other, NULL));
    (void)close(other);
    finish(fd);
    has("\"outcome\":\"killed\"");
    has("\"killed_by\":\"request\"");
    fd = start("exec sleep 1000", "", NULL);
    assert_int_equal(inject_server_stop(&server), INJECT_END_OK);
    finish(fd);
    has("\"killed_by\":\"shutdown\"");
}

/* Until its execve a process has the shell's name. */
#define SLEEPS "until grep -q sleep /proc/$!/comm; do :; done; "

static void what_it_has_left(void **state)
{
    (void)state;
    run("setsid sleep 1000 >/dev/null 2>&1 & " SLEEPS "sleep 1000 >/dev/null 2>&1 & " SLEEPS
        "exit 6",
        "");
    has("\"code\":6");
    has("\"ended\":{\"count\":2,\"first\":[{\"pid\":");
    has("\"name\":\"sleep\"},{\"pid\":");
    has("\"name\":\"sleep\"}]}");
    has_not("held");
    assert_true(inject_server_logged(&server, ", 2 left behind and ended: sleep (pid "));
    run("sleep 1000 & " SLEEPS "exit 7", "");
    has("\"stdio_held_open\":true");
    has("\"ended\":{\"count\":1,");
    has("\"held_by\":{\"count\":1,\"first\":[{\"pid\":");
    run("for i in 1 2 3 4 5 6 7; do setsid sleep 1000 >/dev/null 2>&1 & done; exit 8", "");
    has("\"ended\":{\"count\":7,");
}

/* In a cgroup the kernel kills all at once, also those that nothing else would find. */
static void what_is_in_its_cgroup(void **state)
{
    struct program stranger;
    /* What has been written is written by the program whose name it has. */
    const char *const words[] = {"tail", "-f", "/etc/passwd", NULL};
    (void)state;
    program_start(&stranger, words, NULL);
    program_expect(&stranger, 1, "\n");
    atomic_store(&pretended->member, stranger.pid);
    run("exit 9", "");
    has("\"code\":9");
    has("\"ended\":{\"count\":1,\"first\":[{\"pid\":");
    has("\"name\":\"tail\"");
    assert_true(atomic_load(&pretended->kills) > 0);
    assert_int_equal(atomic_load(&pretended->removed), 1);
    program_finish(&stranger, NULL, 0);
    assert_int_equal(program_exit_status(&stranger), 128 + SIGKILL);
    program_close(&stranger);
    atomic_store(&pretended->member, 0);
}

/* What stays, stays in the cgroup of its rule; who may not stay is ended one by one. */
static void what_stays_in_its_cgroup(void **state)
{
    (void)state;
    run("setsid sleep 1000 >/dev/null 2>&1 & " SLEEPS "sleep 1000 & " SLEEPS "exit 6",
        "\"leave\":true,");
    has("\"held_by\":{\"count\":1,");
    has("\"left\":{\"count\":1,\"first\":[{\"pid\":");
    assert_int_equal(atomic_load(&pretended->kills), 0);
    pid_t left = atoi(strstr(strstr(receipt, "\"left\":"), "\"pid\":") + 6);
    assert_true(process_runs(left));
    assert_int_equal(kill(left, SIGKILL), 0);
    expect_process_gone(left);
    run("setsid sleep 1000 >/dev/null 2>&1 & " SLEEPS "exit 6", "");
    has("\"ended\":{\"count\":1,");
    assert_true(atomic_load(&pretended->kills) > 0);
}

static char leaving[] = "[server]\nlisten = tcp://127.0.0.1:0\nworkers = 1\nkill_grace_ms = 100\n"
                        "linger_ms = 50\ndrain_ms = 1\n"
                        "[allow all]\nclient = any\ncommand = **\nmay = run, leave\n"
                        "memory = 64M\n";
static char short_timeout[] = "[server]\nlisten = tcp://127.0.0.1:0\nworkers = 1\n"
                              "kill_grace_ms = 100\njob_timeout_ms = 50\n";
static char patient[] = "[server]\nlisten = tcp://127.0.0.1:0\nworkers = 1\nkill_grace_ms = 100\n"
                        "linger_ms = 50\ndrain_ms = 1\n"
                        "[allow all]\nclient = any\ncommand = **\nmemory = 64M\n"
                        "rlimit_cpu = 1s\npids = 7\n";

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whose_timeout_it_was, open_server, close_server),
        cmocka_unit_test_prestate_setup_teardown(the_servers_own_timeout, open_server, close_server,
                                                 short_timeout),
        cmocka_unit_test_prestate_setup_teardown(what_stays_in_its_cgroup, open_server,
                                                 close_server, leaving),
        cmocka_unit_test_setup_teardown(too_much_output, open_server, close_server),
        cmocka_unit_test_prestate_setup_teardown(killed_for_want_of_memory, open_server,
                                                 close_server, patient),
        cmocka_unit_test_prestate_setup_teardown(no_more_processes, open_server, close_server,
                                                 patient),
        cmocka_unit_test_prestate_setup_teardown(no_more_processor_time, open_server, close_server,
                                                 patient),
        cmocka_unit_test_prestate_setup_teardown(who_has_killed_it, open_server, close_server,
                                                 patient),
        cmocka_unit_test_prestate_setup_teardown(what_it_has_left, open_server, close_server,
                                                 patient),
        cmocka_unit_test_prestate_setup_teardown(what_is_in_its_cgroup, open_server, close_server,
                                                 patient),
    };
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind may lack pidfd_open\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
