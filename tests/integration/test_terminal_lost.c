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

/* ---- who vanishes ----------------------------------------------------------------------------- */

/* An interactive shell with a job, one that heeds no HUP, and a program in the foreground that heeds
 * no TERM. Their AFAR_JOB. */
static void begin_shell(const char *options, char job[64])
{
    char line[512];
    (void)snprintf(line, sizeof line, "run -t %s -e PS1=there: $url -- bash --norc --noprofile -i",
                   options);
    person_start(&person, line);
    terminal_await(&person, "there:");
    terminal_type(&person,
                  "nohup sleep 1000 >/dev/null 2>&1 & sleep 1001 & echo j\"\"ob=$AFAR_JOB=\r");
    terminal_await(&person, "job=");
    const size_t id = person.seen;
    terminal_await(&person, "=\r\n");
    (void)snprintf(job, 64, "AFAR_JOB=%.32s", person.text + id);
    terminal_await(&person, "there:");
    terminal_type(&person, "bash -c 'trap \"\" TERM; echo be\"\"gin; sleep 1002; :'\r");
    terminal_await(&person, "begin\r\n");
    assert_true(processes_with(job) >= 3);
}

/* Nothing of it runs any more, nor has anything been left to the system. */
static void expect_none(const char *job)
{
    afard_expect_calm(&server);
    assert_int_equal(processes_with(job), 0);
}

/* The link is cut, and --reconnect 0: the command ends with it. */
static void cut(int tls)
{
    char job[64];
    sit_down(tls);
    begin_shell("--reconnect 0", job);
    cutter_cut(cutter);
    person_expect_status(&person, 125);
    expect_none(job);
    stand_up();
}

static void cut_over_tcp(void **state)
{
    (void)state;
    cut(0);
}

static void cut_over_tls(void **state)
{
    (void)state;
    cut(1);
}

/* The client is killed: with --reconnect 0 its end is the command's, else nobody comes back. */
static void killed(void **state)
{
    static const char *const options[] = {"--reconnect 0", "--reconnect 1s"};
    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        char job[64];
        sit_down(1);
        begin_shell(options[i], job);
        assert_int_equal(kill(person_child(&person), SIGKILL), 0);
        person_expect_status(&person, 137);
        expect_none(job);
        stand_up();
    }
}

/* The window is closed; afar says good-bye, so that the server does not wait. */
static void closed(void **state)
{
    char job[64];
    (void)state;
    sit_down(1);
    begin_shell("", job);
    terminal_close(&person);
    expect_none(job);
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

/* Somebody ends it meanwhile: what it says comes on a screen that is in order again. */
static void ended_from_outside(void **state)
{
    (void)state;
    sit_down(0);
    person_start(&person, "run -t --silence 300ms $url -- sh -c "
                          "'printf \"\\033[?1049hrea\"\"dy\"; sleep 1000'");
    terminal_await(&person, "ready");
    cutter_swallow(cutter);
    cutter_silence(cutter);
    terminal_await(&person, "trying to come back");
    assert_int_equal(kill(person_child(&person), SIGTERM), 0);
    terminal_await(&person, "\x1b[?1049l");
    terminal_await(&person, "interrupted, and the connection is not back");
    terminal_await(&person, "s more\r\n");
    person_expect_status(&person, 125);
    person_expect_in_order(&person);
    stand_up();
}

/* ---- ~^Z ------------------------------------------------------------------------------------- */

/* More than all that is on its way can hold: the server waits with the rest. */
#define MUCH                                                                                     \
    "stty -echo; echo rea\"\"dy; read x; i=0; while [ $i -lt 40 ]; do i=$((i + 1)); seq 20000; " \
    "echo mark $i.; done; read x; echo got $x; exit 6"
enum { MARKS = 40 };

/* Of what has come nothing is looked at any more. */
static void forget(void)
{
    memmove(person.text, person.text + person.seen, person.size - person.seen + 1);
    person.size -= person.seen;
    person.seen = 0;
}

/* Stopped for so long, as 200 s where a server waits for 3 s: it has many times as long to give it up,
 * and output for it that it cannot get rid of. AFAR_PAUSE_S is that number of seconds. */
static void stopped_for_long(void **state)
{
    (void)state;
    const char *wanted = getenv("AFAR_PAUSE_S");
    const bool whole = wanted != NULL;
    const long seconds = whole ? strtol(wanted, NULL, 10) : 3;
    const char *args[] = {
        "--listen", "tcp://127.0.0.1:0",
        "--set",    whole ? "heartbeat_ms=1000" : "heartbeat_ms=100",
        "--set",    whole ? "heartbeat_timeout_ms=3000" : "heartbeat_timeout_ms=300",
        "--set",    whole ? "write_timeout_ms=3000" : "write_timeout_ms=300",
        "--set",    whole ? "tcp_user_timeout_ms=3000" : "tcp_user_timeout_ms=300",
        "--set",    "kill_grace_ms=300",
        "--set",    "resume_ms=0",
        NULL};
    struct afard impatient;
    char line[64];
    afard_start(&impatient, args);
    person_sit_down(&person, impatient.url[0]);
    person_start(&person, "run -t $url -- sh -c '" MUCH "'");
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "go\r");
    terminal_await(&person, "\r\n1000\r\n");
    terminal_type(&person, "\r~\x1a");
    terminal_await(&person, "Stopped");
    terminal_await(&person, "@@ ");
    person_expect_in_order(&person);
    for (long second = 0; second < seconds; second++) {
        terminal_type(&person, "sleep 1\r");
        terminal_await(&person, "@@ ");
    }
    terminal_type(&person, "fg; echo r\"\"c=$?.\r");
    for (int i = 1; i <= MARKS; i++) {
        (void)snprintf(line, sizeof line, "\r\nmark %d.\r\n", i);
        terminal_await(&person, line);
        forget();
    }
    terminal_type(&person, "back\r");
    terminal_await(&person, "got");
    person_expect_status(&person, 6);
    person_stand_up(&person);
    assert_int_equal(afard_stop(&impatient), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First those that leave nothing at the server, … */
        cmocka_unit_test(cut_over_tcp),
        cmocka_unit_test(cut_over_tls),
        cmocka_unit_test(killed),
        cmocka_unit_test(closed),
        /* … then those whose commands it keeps for a while. */
        cmocka_unit_test(not_noticed_over_tcp),
        cmocka_unit_test(not_noticed_over_tls),
        cmocka_unit_test(no_word_over_tcp),
        cmocka_unit_test(no_word_over_tls),
        cmocka_unit_test(no_connection),
        cmocka_unit_test(ended_from_outside),
        cmocka_unit_test(stopped_for_long),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
