/* What a job leaves behind is looked for outside of the event loop: whatever it takes there keeps
 * nobody else waiting. The server is a child with one worker, in which a sweep waits until it is
 * let go. */
// wrap: sweep_step
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/sweep.h"
#include "support/inject.h"
#include "support/inject_server.h"
#include "support/program.h"
#include "support/raw.h"

/* What both processes see. */
static struct gate {
    atomic_bool closed;
    atomic_bool others_pass; /* it holds the first that comes, and no other */
    atomic_int waiting;      /* sweeps that wait now */
} * gate;

enum sweep_progress __real_sweep_step(struct sweep *sweep, int64_t until_us, int64_t *wait_ms);
enum sweep_progress __wrap_sweep_step(struct sweep *sweep, int64_t until_us, int64_t *wait_ms);
enum sweep_progress __wrap_sweep_step(struct sweep *sweep, int64_t until_us, int64_t *wait_ms)
{
    (void)until_us;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    bool first = atomic_fetch_add(&gate->waiting, 1) == 0;
    while (atomic_load(&gate->closed) && clock_now_ms() < deadline_ms &&
           (first || !atomic_load(&gate->others_pass)))
        (void)poll(NULL, 0, 1);
    atomic_fetch_sub(&gate->waiting, 1);
    return __real_sweep_step(sweep, clock_now_us() + 5000, wait_ms);
}

static struct inject_server server;
static char config[64];

static void expect(int fd, const char *text)
{
    char *header = raw_read_header(fd, NULL);
    if (header == NULL || strstr(header, text) == NULL)
        fail_msg("no %s in %s", text, header == NULL ? "(closed)" : header);
    free(header);
}

static int start(const char *script, const char *fields)
{
    char header[512];
    int fd = raw_connect((uint16_t)atoi(strrchr(server.url[0], ':') + 1));
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"exec\",\"v\":1,\"id\":1,%s\"argv\":[\"sh\",\"-c\",\"%s\"]}", fields,
                   script);
    raw_send_frame(fd, header);
    expect(fd, "\"started\"");
    return fd;
}

static void wait_for(atomic_int *count, int least)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (atomic_load(count) < least) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 1);
    }
}

/* Another client of the same worker: it is answered, runs a command, and hears of its end. */
static void expect_service(void)
{
    int other = start("exit 3", "");
    expect(other, "\"code\":3");
    raw_send_frame(other, "{\"type\":\"ping\",\"id\":2}");
    expect(other, "\"pong\"");
    (void)close(other);
}

static int open_server(void **state)
{
    (void)state;
    gate = mmap(NULL, sizeof *gate, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    (void)snprintf(config, sizeof config, "/tmp/afar-sweeping-XXXXXX");
    int fd = mkstemp(config);
    static const char text[] = "[server]\nlisten = tcp://127.0.0.1:0\nworkers = 1\n"
                               "kill_grace_ms = 100\nlinger_ms = 50\n";
    if (gate == MAP_FAILED || fd < 0 || write(fd, text, sizeof text - 1) < 0 || !inject_new())
        return -1;
    (void)close(fd);
    const char *problem = inject_server_start(&server, config);
    if (problem != NULL)
        fail_msg("%s", problem);
    return 0;
}

static int end_test(void)
{
    inject_server_close(&server);
    return unlink(config) | munmap(gate, sizeof *gate);
}

static int close_server(void **state)
{
    (void)state;
    atomic_store(&gate->closed, false);
    assert_true(inject_server_calm(&server));
    assert_int_equal(inject_server_stop(&server), INJECT_END_OK);
    return end_test();
}

/* The server ends while a look hangs, and leaves behind what the look uses. */
static int close_hanging(void **state)
{
    (void)state;
    int end = inject_server_stop(&server);
    assert_true(end == INJECT_END_ALLOCATIONS || end == INJECT_END_DESCRIPTORS);
    assert_int_equal(atomic_load(&gate->waiting), 1);
    return end_test();
}

static void what_is_left_behind(void **state)
{
    (void)state;
    atomic_store(&gate->closed, true);
    int fd = start("setsid sleep 1000 >/dev/null 2>&1 & exit 4", "");
    wait_for(&gate->waiting, 1);
    raw_send_frame(fd, "{\"type\":\"ping\",\"id\":2}");
    expect(fd, "\"pong\""); /* its own client too */
    atomic_store(&gate->closed, false);
    expect(fd, "\"code\":4");
    expect_service();
    (void)close(fd);
}

static void who_holds_the_output(void **state)
{
    (void)state;
    atomic_store(&gate->closed, true);
    int fd = start("setsid sleep 1000 & exit 5", "");
    wait_for(&gate->waiting, 1);
    raw_send_frame(fd, "{\"type\":\"ping\",\"id\":2}");
    expect(fd, "\"pong\"");
    atomic_store(&gate->closed, false);
    expect(fd, "\"stdio_held_open\":true");
    (void)close(fd);
}

/* Each kind of end by a signal to all of it; while one waits, others go on. */
static void those_that_are_ended(void **state)
{
    (void)state;
    atomic_store(&gate->closed, true);
    int timed_out = start("exec sleep 1000", "\"timeout_ms\":20,");
    int abandoned = start("exec sleep 1000", "");
    (void)close(abandoned);
    wait_for(&gate->waiting, 1);
    expect_service();
    atomic_store(&gate->closed, false);
    expect(timed_out, "\"timed_out\"");
    (void)close(timed_out);
}

static void many_at_once(void **state)
{
    (void)state;
    enum { JOBS = 5 };
    int fds[JOBS];
    atomic_store(&gate->closed, true);
    for (int i = 0; i < JOBS; i++)
        fds[i] = start("setsid sleep 1000 >/dev/null 2>&1 & exit 6", "");
    wait_for(&gate->waiting, 1);
    for (int i = 0; i < JOBS; i++) {
        raw_send_frame(fds[i], "{\"type\":\"ping\",\"id\":2}");
        expect(fds[i], "\"pong\"");
    }
    atomic_store(&gate->closed, false);
    for (int i = 0; i < JOBS; i++) {
        expect(fds[i], "\"code\":6");
        (void)close(fds[i]);
    }
}

/* One of the looks never ends, as the memory of what it looks at is somebody's dead file system. */
static void one_that_hangs(void **state)
{
    (void)state;
    atomic_store(&gate->others_pass, true);
    atomic_store(&gate->closed, true);
    int left = start("setsid sleep 1000 >/dev/null 2>&1 & exit 7", "");
    wait_for(&gate->waiting, 1);
    expect(left, "\"code\":7");
    assert_true(inject_server_logged(&server, "reading /proc of one of its processes hangs"));
    assert_int_equal(atomic_load(&gate->waiting), 1); /* still */
    int timed_out = start("exec sleep 1000", "\"timeout_ms\":20,");
    expect(timed_out, "\"timed_out\"");
    (void)close(left);
    (void)close(timed_out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_left_behind, open_server, close_server),
        cmocka_unit_test_setup_teardown(who_holds_the_output, open_server, close_server),
        cmocka_unit_test_setup_teardown(those_that_are_ended, open_server, close_server),
        cmocka_unit_test_setup_teardown(many_at_once, open_server, close_server),
        cmocka_unit_test_setup_teardown(one_that_hangs, open_server, close_hanging),
    };
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind may lack pidfd_open\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
