/* Scarcity and odd clocks, by calls that fail a few times or say something else: the server waits,
 * says so, and goes on. */
// wrap: time clock_gettime
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/inject.h"
#include "support/inject_server.h"
#include "support/program.h"
#include "support/test_certs.h"

enum {
    DAY_S = 86400,
    ACCEPT_FAILURES = 5,
    PAUSE_MS = 100, /* the acceptor's */
    TURNS_MAX = 200 /* of all its threads, a command's included; spinning takes thousands */
};

static struct test_certs certs;
static char config_path[96];
static struct inject_server server;

/* ---- the clock of the day -------------------------------------------------------------------- */

time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

/* Shared with the server's process: seconds to be added, and how often it has asked. */
struct stepped {
    atomic_long by_s;
    atomic_uint asked;
};
static struct stepped *stepped;

time_t __wrap_time(time_t *out)
{
    time_t now = __real_time(NULL);
    if (stepped != NULL) {
        now += atomic_load(&stepped->by_s);
        (void)atomic_fetch_add(&stepped->asked, 1);
    }
    if (out != NULL)
        *out = now;
    return now;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);
    if (clock == CLOCK_REALTIME && stepped != NULL) {
        now->tv_sec += atomic_load(&stepped->by_s);
        (void)atomic_fetch_add(&stepped->asked, 1);
    }
    return result;
}

/* ---- a server for each test ------------------------------------------------------------------ */

static int make_files(void **state)
{
    (void)state;
    void *mapped =
        mmap(NULL, sizeof *stepped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED || !inject_new() || !test_certs_make(&certs))
        return -1;
    stepped = mapped;
    (void)setenv("AFAR_CA", certs.cert[TEST_CA], 1);
    (void)setenv("AFAR_CERT", certs.cert[TEST_CLIENT], 1);
    (void)setenv("AFAR_KEY", certs.key[TEST_CLIENT], 1);
    (void)setenv("TMPDIR", certs.folder, 1);
    (void)snprintf(config_path, sizeof config_path, "%s/afard.conf", certs.folder);
    FILE *file = fopen(config_path, "w");
    if (file == NULL)
        return -1;
    (void)fprintf(file,
                  "[server]\nlisten = tls://127.0.0.1:0\n"
                  "listen = tcp://127.0.0.1:0?protocol=headed\n"
                  "tls_cert = %s\ntls_key = %s\ntls_client_ca = %s\n"
                  "workers = 2\nquiet_ms = 2\ncollect_memory_bytes = 4096\n",
                  certs.cert[TEST_SERVER], certs.key[TEST_SERVER], certs.cert[TEST_CA]);
    return fclose(file);
}

static int remove_files(void **state)
{
    (void)state;
    (void)unlink(config_path);
    test_certs_remove(&certs);
    return 0;
}

static int start_server(void **state)
{
    (void)state;
    inject_disarm();
    atomic_store(&stepped->by_s, 0);
    const char *problem = inject_server_start(&server, config_path);
    return problem == NULL && !server.refused ? 0 : -1;
}

static int end_server(void **state)
{
    (void)state;
    inject_disarm();
    bool calm = inject_server_calm(&server);
    int end = inject_server_stop(&server);
    if (!calm || end != INJECT_END_OK)
        inject_server_show_log(&server);
    inject_server_close(&server);
    return calm ? end : -1;
}

static void expect_echo(const char *url)
{
    struct program program;
    const char *argv[] = {"afar", "run", url, "--", "echo", "served", NULL};
    int status = program_run(&program, argv, NULL, 0);
    assert_string_equal(program.stderr_data, "");
    assert_string_equal(program.stdout_data, "served\n");
    assert_int_equal(status, 0);
    program_close(&program);
}

/* ---- the tests ------------------------------------------------------------------------------- */

/* Deadlines, timers and receipts go by the clock that is not set. */
static void clock_steps_change_nothing(void **state)
{
    static const long steps_s[] = {DAY_S, -DAY_S, 0};
    struct program program;
    const char *argv[] = {
        "afar",        "run", "--json", "--timeout", "10m",
        server.url[0], "--",  "sh",     "-c",        "echo ready; read line; echo $line",
        NULL};
    (void)state;
    program_start(&program, argv, NULL);
    program_expect(&program, 1, "ready");
    for (size_t i = 0; i < sizeof steps_s / sizeof steps_s[0]; i++) {
        unsigned before = atomic_load(&stepped->asked);
        atomic_store(&stepped->by_s, steps_s[i]);
        expect_echo(server.url[1]); /* it runs commands, and has looked at the clock for its log */
        assert_true(atomic_load(&stepped->asked) > before);
    }
    atomic_store(&stepped->by_s, DAY_S);
    program_finish(&program, "go on\n", 6);
    assert_int_equal(program_exit_status(&program), 0);
    assert_non_null(strstr(program.stdout_data, "\"outcome\":\"exited\",\"code\":0"));
    assert_non_null(strstr(program.stdout_data, "go on\\n"));
    /* Its times are those of the clock that does not step: less than the deadline of the test. */
    const char *run = strstr(program.stdout_data, "\"run_us\":");
    assert_non_null(run);
    assert_true(strtoll(run + strlen("\"run_us\":"), NULL, 10) < test_deadline_ms() * 1000);
    program_close(&program);
}

/* Waiting connections keep the listener readable: the acceptor must look away, not spin. It may try
 * again once in each pause, and turn a few times for it. */
static void without_descriptors(int failure, const char *word)
{
    int64_t began_ms = clock_now_ms();
    unsigned turns_before = inject_calls_seen("epoll_wait");
    inject_arm_call("accept4", failure, 0, ACCEPT_FAILURES);
    expect_echo(server.url[0]);
    unsigned turns = inject_calls_seen("epoll_wait") - turns_before;
    int64_t took_ms = clock_now_ms() - began_ms;
    assert_int_equal(inject_fired(), ACCEPT_FAILURES);
    assert_true(took_ms >= (ACCEPT_FAILURES - 1) * PAUSE_MS);
    assert_true(turns < TURNS_MAX);
    assert_true(inject_server_logged(&server, word));
    expect_echo(server.url[1]);
}

static void accept_pauses_without_descriptors(void **state)
{
    (void)state;
    without_descriptors(EMFILE, "Too many open files");
}

static void accept_pauses_where_the_system_has_none(void **state)
{
    (void)state;
    without_descriptors(ENFILE, "Too many open files in system");
}

static void a_spawn_that_fails_is_told(void **state)
{
    struct program program;
    const char *argv[] = {"afar", "run", "--json", server.url[0], "--", "true", NULL};
    (void)state;
    inject_arm_call("clone", EAGAIN, 0, 1);
    assert_int_equal(program_run(&program, argv, NULL, 0), 126);
    assert_int_equal(inject_fired(), 1);
    assert_non_null(strstr(program.stdout_data, "\"outcome\":\"spawn_failed\""));
    assert_non_null(strstr(program.stdout_data, "\"errno\":\"EAGAIN\""));
    assert_non_null(strstr(program.stdout_data, "\"stage\":\"clone\""));
    program_close(&program);
    expect_echo(server.url[0]);
}

/* The size has not been said yet, so the connection can still be closed without a lie. */
static void a_full_disk_ends_a_headed_reply(void **state)
{
    struct program program;
    const char *argv[] = {"afar", "run", server.url[1], "--", "head -c 1000000 /dev/zero", NULL};
    (void)state;
    inject_arm_call("pwrite", ENOSPC, 2, 1);
    assert_int_equal(program_run(&program, argv, NULL, 0), 125);
    assert_int_equal(inject_fired(), 1);
    assert_int_equal(program.stdout_size, 0);
    assert_true(inject_server_logged(&server, "No space left on device"));
    program_close(&program);
    inject_disarm();
    expect_echo(server.url[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(clock_steps_change_nothing, start_server, end_server),
        cmocka_unit_test_setup_teardown(accept_pauses_without_descriptors, start_server,
                                        end_server),
        cmocka_unit_test_setup_teardown(accept_pauses_where_the_system_has_none, start_server,
                                        end_server),
        cmocka_unit_test_setup_teardown(a_spawn_that_fails_is_told, start_server, end_server),
        cmocka_unit_test_setup_teardown(a_full_disk_ends_a_headed_reply, start_server, end_server),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
