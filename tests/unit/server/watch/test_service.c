/* The service manager is this test, the acceptor is made of a loop and of what it should say. */
// wrap: acceptor_loop acceptor_turn_ms acceptor_is_killing registry_count clock_now_us clock_now_ms
// wrap: clock_deadline_ms malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/watch/service.h"
#include "support/alloc_fault.h"

/* ---- the world ------------------------------------------------------------------------------- */

static struct loop *loop;
static int64_t turn_ms; /* of the slowest loop */
static bool killing;
static size_t jobs;
static int64_t now_ms;

struct loop *__wrap_acceptor_loop(struct acceptor *acceptor);
struct loop *__wrap_acceptor_loop(struct acceptor *acceptor)
{
    (void)acceptor;
    return loop;
}

int64_t __wrap_acceptor_turn_ms(const struct acceptor *acceptor);
int64_t __wrap_acceptor_turn_ms(const struct acceptor *acceptor)
{
    (void)acceptor;
    return turn_ms;
}

bool __wrap_acceptor_is_killing(const struct acceptor *acceptor);
bool __wrap_acceptor_is_killing(const struct acceptor *acceptor)
{
    (void)acceptor;
    return killing;
}

size_t __wrap_registry_count(struct registry *registry);
size_t __wrap_registry_count(struct registry *registry)
{
    (void)registry;
    return jobs;
}

int64_t __wrap_clock_now_ms(void);
int64_t __wrap_clock_now_ms(void)
{
    return now_ms;
}

int64_t __wrap_clock_now_us(void);
int64_t __wrap_clock_now_us(void)
{
    return now_ms * 1000 + 7;
}

int64_t __wrap_clock_deadline_ms(int64_t timeout_ms);
int64_t __wrap_clock_deadline_ms(int64_t timeout_ms)
{
    return now_ms + timeout_ms;
}

/* Time goes on by so much, and what is due happens. */
static void pass(int64_t ms)
{
    now_ms += ms;
    timers_fire(loop_timers(loop), now_ms);
}

/* ---- what each test starts with -------------------------------------------------------------- */

static int manager = -1;
static int log_fd = -1;
static struct server_shared shared;
static struct service service;

static void set_socket(void)
{
    char name[64];
    (void)snprintf(name, sizeof name, "@afar-test-service-%ld", (long)getpid());
    (void)setenv("NOTIFY_SOCKET", name, 1);
}

static int set_up(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int size = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "afar-test-service-%ld",
                        (long)getpid());
    now_ms = 1000000;
    turn_ms = 0;
    killing = false;
    jobs = 0;
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    log_fd = fileno(tmpfile());
    shared = (struct server_shared){.log = log_new(log_fd, LOG_LEVEL_INFO, LOG_FORMAT_TEXT)};
    set_socket();
    (void)unsetenv("WATCHDOG_PID");
    (void)unsetenv("WATCHDOG_USEC");
    bool ok = bind(manager, (const struct sockaddr *)&address,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size)) == 0;
    return ok && loop_new(&loop, NULL) == AFAR_OK && shared.log != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    service_close(&service);
    service_close(&service);
    loop_free(loop); /* no timer is left in it */
    log_free(shared.log);
    (void)close(manager);
    (void)close(log_fd);
    return 0;
}

static void open_service(const char *watchdog_usec)
{
    if (watchdog_usec != NULL)
        (void)setenv("WATCHDOG_USEC", watchdog_usec, 1);
    assert_int_equal(service_open(&service, NULL, &shared, NULL), AFAR_OK);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_PID"));
    assert_null(getenv("WATCHDOG_USEC"));
}

static void expect(const char *text)
{
    char got[1024] = "";
    ssize_t size = recv(manager, got, sizeof got - 1, 0);
    if (size < 0)
        fail_msg("expected '%s', not silence", text);
    assert_string_equal(got, text);
}

static void expect_silence(void)
{
    char got[1024] = "";
    if (recv(manager, got, sizeof got - 1, 0) >= 0)
        fail_msg("expected silence, not '%s'", got);
    assert_int_equal(errno, EAGAIN);
}

static unsigned logged(const char *text)
{
    static char log[8192];
    unsigned count = 0;
    ssize_t size = pread(log_fd, log, sizeof log - 1, 0);
    assert_true(size >= 0);
    log[size] = '\0';
    for (const char *at = strstr(log, text); at != NULL; at = strstr(at + 1, text))
        count++;
    return count;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void test_states(void **state)
{
    (void)state;
    open_service(NULL);
    expect_silence();
    service_ready(&service, "2 listeners");
    expect("READY=1\nSTATUS=2 listeners");
    service_reloading(&service);
    expect("RELOADING=1\nMONOTONIC_USEC=1000000007\nSTATUS=reloading");
    service_ready(&service, "bad file 'a\nMAINPID=1'");
    expect("READY=1\nSTATUS=bad file 'a?MAINPID=1'"); /* a name cannot forge a line */
    pass(1000000);
    expect_silence(); /* no watchdog was asked for */
    assert_int_equal(logged("service manager"), 0);
}

static void test_drain(void **state)
{
    (void)state;
    open_service(NULL);
    jobs = 3;
    service_draining(&service);
    expect("STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000\nSTATUS=draining: 3 jobs");
    jobs = 1;
    pass(1999);
    expect_silence();
    pass(1);
    expect("STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000\nSTATUS=draining: 1 jobs");
    killing = true; /* no more time after that, or a server that hangs would never be ended */
    pass(2000);
    pass(100000);
    expect_silence();
}

static void test_watchdog(void **state)
{
    (void)state;
    open_service("3000000");
    pass(100000);
    expect_silence(); /* not before it is ready */
    service_ready(&service, "");
    expect("READY=1\nSTATUS=");
    expect("WATCHDOG=1");
    for (int i = 0; i < 5; i++) {
        turn_ms = i * 300; /* long, but it has begun since the last sign */
        pass(1499);
        expect_silence();
        pass(1);
        expect("WATCHDOG=1");
    }
    expect_silence();
}

static void test_a_loop_that_hangs(void **state)
{
    (void)state;
    open_service("4000000");
    service_ready(&service, "");
    expect("READY=1\nSTATUS=");
    expect("WATCHDOG=1");
    turn_ms = 2000;
    for (int i = 0; i < 40; i++) {
        pass(500);
        expect_silence();
    }
    assert_int_equal(logged("a worker hangs: one turn of its loop has lasted for 2000 ms"), 1);
    turn_ms = 0;
    pass(500); /* sooner than a whole interval: the manager's patience is nearly over */
    expect("WATCHDOG=1");
    assert_int_equal(logged("all workers go on"), 1);
    pass(1999);
    expect_silence();
    pass(1);
    expect("WATCHDOG=1");
}

static void test_whose_watchdog(void **state)
{
    (void)state;
    static const struct {
        const char *pid;
        const char *usec;
        const char *says;
    } cases[] = {
        {"1", "1000000", NULL}, /* another process's */
        {"x", "1000000", "WATCHDOG_PID in the environment: 'x' is not"},
        {NULL, "0", "WATCHDOG_USEC in the environment: '0' is not"},
        {NULL, "1s", "WATCHDOG_USEC in the environment: '1s' is not"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cases[i].pid != NULL)
            (void)setenv("WATCHDOG_PID", cases[i].pid, 1);
        set_socket();
        open_service(cases[i].usec);
        service_ready(&service, "");
        expect("READY=1\nSTATUS=");
        pass(10000000);
        expect_silence();
        if (cases[i].says != NULL)
            assert_int_equal(logged(cases[i].says), 1);
        service_close(&service);
    }
    char own[24];
    (void)snprintf(own, sizeof own, "%ld", (long)getpid());
    (void)setenv("WATCHDOG_PID", own, 1);
    set_socket();
    open_service("1"); /* as often as we can */
    service_ready(&service, "");
    expect("READY=1\nSTATUS=");
    expect("WATCHDOG=1");
    pass(1);
    expect("WATCHDOG=1");
}

/* Fills the manager's queue; returns how many messages are in it. */
static unsigned fill(void)
{
    unsigned count = 0;
    while (notify_send(&service.notify, "X", NULL) == AFAR_OK)
        count++;
    return count;
}

static void drop(unsigned count)
{
    char got[64];
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(recv(manager, got, sizeof got, 0), 1);
}

static void test_a_busy_manager(void **state)
{
    (void)state;
    open_service("400000");
    unsigned count = fill();
    service_ready(&service, "first");
    service_reloading(&service);
    service_ready(&service, "last");
    pass(99);
    drop(count);
    expect_silence();
    pass(1);
    expect("READY=1\nSTATUS=last"); /* it is the state that counts */
    expect_silence();
    pass(49); /* a quarter of an interval after the last attempt */
    expect("WATCHDOG=1");
    pass(199);
    expect_silence();
    pass(1);
    expect("WATCHDOG=1");
    expect_silence();
    assert_int_equal(logged("service manager"), 0); /* it has all come */
}

static void test_no_manager_any_more(void **state)
{
    (void)state;
    open_service("2000000");
    (void)close(manager);
    service_ready(&service, "");
    for (int i = 0; i < 10; i++)
        pass(1000);
    assert_int_equal(logged("service manager: cannot send to NOTIFY_SOCKET"), 1);
    manager = -1;
}

static void test_nobody(void **state)
{
    (void)state;
    static const char *const names[] = {NULL, "nonsense"};
    for (int i = 0; i < 2; i++) {
        (void)unsetenv("NOTIFY_SOCKET");
        if (names[i] != NULL)
            (void)setenv("NOTIFY_SOCKET", names[i], 1);
        open_service("2000000");
        service_ready(&service, "");
        service_reloading(&service);
        service_draining(&service);
        assert_int_equal(timers_next(loop_timers(loop)), DEADLINE_NEVER);
        assert_int_equal(logged("NOTIFY_SOCKET=nonsense"), i);
        service_close(&service);
    }
    expect_silence();
}

static void test_no_memory(void **state)
{
    (void)state;
    loop_free(loop);
    assert_int_equal(loop_new(&loop, NULL), AFAR_OK);
    alloc_fault_arm(1);
    enum afar_status status = service_open(&service, NULL, &shared, NULL);
    assert_true(alloc_fault_fired());
    assert_int_equal(status, AFAR_ENOMEM);
    service_close(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_states, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watchdog, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_loop_that_hangs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whose_watchdog, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_busy_manager, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_manager_any_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
