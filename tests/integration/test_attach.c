/* Who has a command, over raw frames: attach, and what becomes of those who had it before. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/raw.h"

static struct afard server;
static unsigned holders; /* used so far: each command has another */

static int set_up(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "workers=3",
                          "--set",    "max_jobs=2",        "--set", "resume_ms=20000",
                          "--set",    "kill_grace_ms=100", NULL};
    afard_start(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

/* Ends each test: nothing is left of it, so that its places are free. */
static int calm(void **state)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    (void)state;
    holders++;
    while (afard_children(&server) > 0 && clock_now_ms() < deadline_ms)
        (void)usleep(2000);
    return 0;
}

static int open_connection(void)
{
    return raw_connect(afard_port(&server, 0));
}

/* Reads until a header has `text` in it, which must come before "exit" or "error" unless it is one.
 */
static void hear(int fd, const char *text)
{
    for (;;) {
        char *header = raw_read_header(fd, NULL);
        if (header == NULL)
            fail_msg("the connection ended without %s", text);
        bool found = strstr(header, text) != NULL;
        if (!found && (strstr(header, "\"exit\"") != NULL || strstr(header, "\"error\"") != NULL))
            fail_msg("%s came instead of %s", header, text);
        free(header);
        if (found)
            return;
    }
}

static void hear_end(int fd)
{
    size_t size = 0;
    char *rest = raw_read_rest(fd, &size);
    free(rest);
    (void)close(fd);
}

static int begin(const char *script)
{
    int fd = open_connection();
    raw_say(fd,
            "{\"type\":\"exec\",\"v\":1,\"id\":1,\"shell\":\"%s\",\"holder\":\"holder-%016u\","
            "\"resume_ms\":60000}",
            script, holders);
    return fd;
}

static void attach(int fd, unsigned holder, unsigned attempt, unsigned next, unsigned bytes)
{
    raw_say(
        fd,
        "{\"type\":\"attach\",\"id\":7,\"holder\":\"holder-%016u\",\"attempt\":%u,\"resume\":true,"
        "\"next\":%u,\"ack\":%u,\"next_bytes\":{\"stdout\":%u,\"stderr\":0}}",
        holder, attempt, next, next, bytes);
}

static void the_receipt_is_kept_until_it_is_acknowledged(void **state)
{
    (void)state;
    int fd = begin("echo x; exit 3");
    hear(fd, "\"resume_ms\":20000");
    hear(fd, "\"exit\"");
    raw_reset(fd);
    for (unsigned attempt = 1; attempt < 4; attempt++) {
        fd = open_connection();
        attach(fd, holders, attempt, 1, 2);
        hear(fd, "\"state\":\"ended\"");
        hear(fd, "\"code\":3");
        if (attempt < 3)
            raw_reset(fd);
    }
    raw_say(fd, "{\"type\":\"ack\",\"id\":7,\"next\":2}");
    attach(fd, holders, 4, 1, 2);
    hear(fd, "\"not_found\"");
    (void)close(fd);
}

static void the_next_request_acknowledges_it_too(void **state)
{
    (void)state;
    int fd = begin("exit 3");
    hear(fd, "\"exit\"");
    raw_say(fd, "{\"type\":\"exec\",\"v\":1,\"id\":2,\"argv\":[\"true\"]}");
    hear(fd, "\"code\":0");
    attach(fd, holders, 1, 0, 0);
    hear(fd, "\"not_found\"");
    (void)close(fd);
}

static void an_unacknowledged_receipt_keeps_its_place(void **state)
{
    (void)state;
    int one = begin("exit 3");
    hear(one, "\"exit\"");
    unsigned first = holders++;
    int two = begin("exit 4");
    hear(two, "\"exit\"");
    raw_reset(one);
    int fd = open_connection();
    raw_say(fd, "{\"type\":\"exec\",\"v\":1,\"id\":2,\"argv\":[\"true\"]}");
    hear(fd, "\"busy\"");
    attach(fd, first, 1, 0, 0);
    hear(fd, "\"code\":3");
    raw_say(fd, "{\"type\":\"ack\",\"id\":7,\"next\":1}");
    raw_say(fd, "{\"type\":\"exec\",\"v\":1,\"id\":3,\"argv\":[\"true\"]}");
    hear(fd, "\"code\":0");
    raw_say(two, "{\"type\":\"ack\",\"id\":1,\"next\":1}");
    (void)close(fd);
    (void)close(two);
}

static void an_older_attempt_is_stale(void **state)
{
    (void)state;
    int old = begin("sleep 60");
    hear(old, "\"started\"");
    int fd = open_connection();
    attach(fd, holders, 5, 0, 0);
    hear(fd, "\"attached\"");
    hear(old, "\"stale\""); /* it is the same client's */
    hear_end(old);
    int late = open_connection();
    attach(late, holders, 5, 0, 0);
    hear(late, "\"stale\"");
    attach(late, holders, 4, 0, 0);
    hear(late, "\"stale\"");
    (void)close(late);
    raw_say(fd, "{\"type\":\"detach\",\"id\":7}");
    hear(fd, "\"detached\"");
    (void)close(fd);
}

/* The end of the old connection arrives last. */
static void the_old_connections_end_changes_nothing(void **state)
{
    (void)state;
    int old = begin("sleep 0.3; echo y; exit 6");
    hear(old, "\"started\"");
    int fd = open_connection();
    attach(fd, holders, 1, 0, 0);
    hear(fd, "\"attached\"");
    raw_reset(old);
    hear(fd, "\"stdout\"");
    hear(fd, "\"code\":6");
    raw_say(fd, "{\"type\":\"ack\",\"id\":7,\"next\":2}");
    (void)close(fd);
}

static void another_client_takes_it_over(void **state)
{
    (void)state;
    int old = begin("sleep 0.3; echo z; exit 7");
    char *started = raw_read_header(old, NULL);
    char job[33] = "";
    assert_non_null(started);
    (void)snprintf(job, sizeof job, "%s", strstr(started, "\"job\":\"") + 7);
    free(started);
    int fd = open_connection();
    raw_say(fd,
            "{\"type\":\"attach\",\"id\":9,\"job\":\"%s\",\"holder\":\"another-holder-%u\","
            "\"attempt\":1}",
            job, holders);
    hear(fd, "\"attached\"");
    hear(old, "\"superseded\"");
    hear_end(old);
    old = open_connection();
    raw_say(
        old,
        "{\"type\":\"attach\",\"id\":7,\"job\":\"%s\",\"holder\":\"holder-%016u\",\"attempt\":2,"
        "\"resume\":true,\"next\":0,\"ack\":0,\"next_bytes\":{\"stdout\":0,\"stderr\":0}}",
        job, holders);
    hear(old, "\"superseded\"");
    (void)close(old);
    hear(fd, "\"code\":7");
    raw_say(fd, "{\"type\":\"ack\",\"id\":9,\"next\":2}");
    (void)close(fd);
}

static void what_is_not_held(void **state)
{
    (void)state;
    int fd = begin("echo x; sleep 60");
    hear(fd, "\"stdout\"");
    raw_say(fd, "{\"type\":\"ack\",\"id\":1,\"next\":1}");
    raw_reset(fd);
    fd = open_connection();
    attach(fd, holders, 1, 0, 0); /* has been acknowledged */
    hear(fd, "\"gone\"");
    attach(fd, holders, 2, 2, 2); /* never was */
    hear(fd, "\"gone\"");
    attach(fd, holders, 3, 1, 9); /* other bytes came before it */
    hear(fd, "\"gone\"");
    attach(fd, holders, 4, 1, 2);
    hear(fd, "\"attached\"");
    raw_say(fd, "{\"type\":\"detach\",\"id\":7}");
    hear(fd, "\"detached\"");
    (void)close(fd);
}

static void what_is_not_allowed(void **state)
{
    (void)state;
    int fd = begin("sleep 60");
    hear(fd, "\"started\"");
    int other = begin("true"); /* the same holder */
    hear(other, "\"bad_request\"");
    attach(fd, holders, 1, 0, 0); /* another request is under way here */
    hear(fd, "\"bad_request\"");
    raw_say(other,
            "{\"type\":\"attach\",\"id\":9,\"holder\":\"another-holder-%u\",\"attempt\":1,"
            "\"watch\":true}",
            holders);
    hear(other, "\"unsupported\"");
    attach(other, holders + 1000, 1, 0, 0);
    hear(other, "\"not_found\"");
    (void)close(other);
    raw_say(fd, "{\"type\":\"detach\",\"id\":1}");
    hear(fd, "\"detached\"");
    (void)close(fd);
}

/* Nobody is there to be told of the refusal: a receipt tells it. */
static void refused_while_away(void **state)
{
    (void)state;
    int one = begin("sleep 60");
    hear(one, "\"started\"");
    unsigned first = holders++;
    int two = begin("sleep 60");
    hear(two, "\"started\"");
    unsigned second = holders++;
    int fd = open_connection();
    raw_say(fd,
            "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"true\"],\"holder\":\"holder-%016u\","
            "\"resume_ms\":60000,\"start_within_ms\":300,\"digest\":\"sha256\"}",
            holders);
    hear(fd, "\"queued\"");
    raw_reset(fd);
    fd = open_connection();
    attach(fd, holders, 1, 0, 0);
    hear(fd, "\"state\":\"queued\"");
    raw_reset(fd);
    afard_expect_log(&server, "could not be started in time");
    fd = open_connection();
    attach(fd, holders, 2, 0, 0);
    hear(fd, "\"state\":\"ended\"");
    hear(fd, "\"stage\":\"queue\"");
    raw_say(fd, "{\"type\":\"ack\",\"id\":7,\"next\":1}");
    attach(fd, first, 1, 0, 0);
    hear(fd, "\"attached\"");
    raw_say(fd, "{\"type\":\"detach\",\"id\":7}");
    hear(fd, "\"detached\"");
    attach(fd, second, 1, 0, 0);
    hear(fd, "\"attached\"");
    raw_say(fd, "{\"type\":\"detach\",\"id\":7}");
    hear(fd, "\"detached\"");
    (void)close(fd);
    (void)close(one);
    (void)close(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_receipt_is_kept_until_it_is_acknowledged, calm),
        cmocka_unit_test_teardown(the_next_request_acknowledges_it_too, calm),
        cmocka_unit_test_teardown(an_unacknowledged_receipt_keeps_its_place, calm),
        cmocka_unit_test_teardown(an_older_attempt_is_stale, calm),
        cmocka_unit_test_teardown(the_old_connections_end_changes_nothing, calm),
        cmocka_unit_test_teardown(another_client_takes_it_over, calm),
        cmocka_unit_test_teardown(what_is_not_held, calm),
        cmocka_unit_test_teardown(what_is_not_allowed, calm),
        cmocka_unit_test_teardown(refused_while_away, calm),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
