/* A person at a terminal whose link is lost without a word: what they ask for happens all the same,
 * at once, and nothing of what ran stays behind. */
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

#include "base/clock.h"
#include "support/afard.h"
#include "support/cutter.h"
#include "support/person.h"
#include "support/process_wait.h"

/* Times sixteen: more keys than are kept. */
enum { MANY = 400 };

static struct afard server; /* tcp, and tls */
static struct terminal person;
static struct cutter *cutter;

static int set_up(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--listen", "tls://127.0.0.1:0",
                          "--set",    "kill_grace_ms=300", NULL};
    afard_start_tls(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

/* At a shell, whose $url leads through the cutter. */
static void sit_down(int tls)
{
    const struct cutter_plan plan = {.seed = 10};
    char url[64];
    cutter = cutter_start(afard_port(&server, (unsigned)tls), &plan);
    (void)snprintf(url, sizeof url, "%s://127.0.0.1:%u", tls ? "tls" : "tcp", cutter_port(cutter));
    person_sit_down(&person, url);
}

static void stand_up(void)
{
    person_stand_up(&person);
    cutter_stop(cutter, NULL);
}

/* ---- ~. -------------------------------------------------------------------------------------- */

/* Within a second, of a machine that is not slowed down. */
static void expect_hung_up(void)
{
    const int64_t began_ms = clock_now_ms();
    const int64_t most_ms = test_deadline_ms() / 60;
    terminal_type(&person, "\r~.");
    person_expect_status(&person, 125);
    const int64_t took_ms = clock_now_ms() - began_ms;
    if (took_ms > most_ms)
        fail_msg("it took %lld ms", (long long)took_ms);
    person_expect_in_order(&person);
}

/* Nothing has told afar yet. */
static void not_noticed(int tls)
{
    static const char *const options[] = {"", "--reconnect 0"};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        char line[256];
        sit_down(tls);
        (void)snprintf(line, sizeof line, "run -t %s $url -- " PERSON_READY_THEN_SLEEP, options[i]);
        person_start(&person, line);
        terminal_await(&person, "ready\r\n");
        cutter_swallow(cutter);
        expect_hung_up();
        stand_up();
    }
}

static void not_noticed_over_tcp(void **state)
{
    (void)state;
    not_noticed(0);
}

static void not_noticed_over_tls(void **state)
{
    (void)state;
    not_noticed(1);
}

/* It tries to come back, and nothing is heard. Keys are kept for the command as far as there is room,
 * but what is for us is heeded. */
static void trying(int tls, int keys, void (*lose)(struct cutter *cutter))
{
    sit_down(tls);
    person_start(&person, "run -t --silence 300ms $url -- " PERSON_READY_THEN_SLEEP);
    terminal_await(&person, "ready\r\n");
    lose(cutter);
    cutter_silence(cutter);
    terminal_await(&person, "trying to come back");
    terminal_type(&person, "kept for the command");
    if (keys > 0) {
        for (int i = 0; i < keys; i++)
            terminal_type(&person, "0123456789abcdef");
        terminal_await(&person, "\a");
    }
    expect_hung_up();
    stand_up();
}

static void no_word_over_tcp(void **state)
{
    (void)state;
    trying(0, 0, cutter_swallow);
}

static void no_word_over_tls(void **state)
{
    (void)state;
    trying(1, MANY, cutter_swallow);
}

static void no_connection(void **state)
{
    (void)state;
    trying(0, MANY, cutter_deafen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_noticed_over_tcp), cmocka_unit_test(not_noticed_over_tls),
        cmocka_unit_test(no_word_over_tcp),     cmocka_unit_test(no_word_over_tls),
        cmocka_unit_test(no_connection),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
