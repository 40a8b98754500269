/* The pages' words, with a server that need not run for them. What libmicrohttpd makes of them:
 * integration/test_health.c.
 *
 * How long the slowest thread's turn has lasted is said by the test:
 *
 * // wrap: names what the linker replaces. */
// wrap: acceptor_turn_ms
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/watch/health.h"
#include "server/watch/own_usage.h"

static int64_t turn_ms;

int64_t __wrap_acceptor_turn_ms(const struct acceptor *acceptor);
int64_t __wrap_acceptor_turn_ms(const struct acceptor *acceptor)
{
    (void)acceptor;
    return turn_ms;
}

static void expect(struct metrics_source *source, const char *path, unsigned status,
                   const char *words)
{
    char *text = NULL;
    size_t size = 0;
    const char *type = "default";
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_int_equal(health_page(source, path, out, &type), status);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, words);
    assert_string_equal(type, "default");
    free(text);
}

static void test_pages(void **state)
{
    (void)state;
    struct server_shared shared = {.log = NULL};
    struct metrics_source source = {.shared = &shared};
    atomic_store(&shared.figures.phase, PHASE_STARTING);
    expect(&source, "/readyz", 503, "starting\n");
    expect(&source, "/healthz", 200, "ok\n");
    atomic_store(&shared.figures.phase, PHASE_READY);
    expect(&source, "/readyz", 200, "ok\n");
    atomic_store(&shared.figures.phase, PHASE_DRAINING);
    expect(&source, "/readyz", 503, "draining\n");
    expect(&source, "/healthz", 200, "ok\n"); /* not to be killed while it drains */
    expect(&source, "/", 404, "");
    expect(&source, "/healthz/", 404, "");
    expect(&source, "/metrics2", 404, "");
}

static void test_a_thread_that_hangs(void **state)
{
    (void)state;
    struct server_shared shared = {.log = NULL};
    struct metrics_source source = {.shared = &shared};
    turn_ms = HEALTH_TURN_MAX_MS;
    expect(&source, "/healthz", 200, "ok\n");
    turn_ms = HEALTH_TURN_MAX_MS + 1;
    expect(&source, "/healthz", 503, "a thread has not answered for 10 s\n");
    turn_ms = 0;
    expect(&source, "/healthz", 200, "ok\n");
}

/* On loopback, a page in a browser must not get here by a name of its own. */
static void test_hosts(void **state)
{
    (void)state;
    assert_true(http_host_is_here(NULL));
    assert_true(http_host_is_here(""));
    assert_true(http_host_is_here("127.0.0.1"));
    assert_true(http_host_is_here("127.0.0.1:7421"));
    assert_true(http_host_is_here("localhost"));
    assert_true(http_host_is_here("LocalHost:7421"));
    assert_true(http_host_is_here("localhost."));
    assert_true(http_host_is_here("localhost.:7421"));
    assert_true(http_host_is_here("[::1]"));
    assert_true(http_host_is_here("[::1]:7421"));
    assert_true(http_host_is_here("10.1.2.3"));
    assert_false(http_host_is_here("evil.example"));
    assert_false(http_host_is_here("evil.example:7421"));
    assert_false(http_host_is_here("127.0.0.1.evil.example"));
    assert_false(http_host_is_here("localhost.evil.example"));
    assert_false(http_host_is_here("evil.example."));
    assert_false(http_host_is_here("localhost.."));
    assert_false(http_host_is_here("[evil.example]"));
    assert_false(http_host_is_here("["));
    assert_false(http_host_is_here(":"));
    assert_false(http_host_is_here("."));
    char name[300];
    memset(name, '1', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_false(http_host_is_here(name));
}

static void test_own_usage(void **state)
{
    (void)state;
    struct own_usage usage;
    own_usage_read(&usage);
    assert_true(usage.cpu_seconds >= 0);
    assert_true(usage.started_at > 1e9 && usage.started_at < (double)time(NULL) + 60);
    assert_true(usage.resident_bytes > 4096 && usage.virtual_bytes >= usage.resident_bytes);
    assert_int_equal((int)usage.threads, 1);
    double before = usage.open_descriptors;
    int fd = dup(0);
    own_usage_read(&usage);
    assert_true(usage.open_descriptors == before + 1); // NOLINT(clang-diagnostic-float-equal)
    assert_true(usage.max_descriptors >= usage.open_descriptors);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_a_thread_that_hangs),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_own_usage),
    };
    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
