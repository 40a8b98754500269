/* The size of a command's terminal: there before its first instruction, and as ours from then on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/impostor.h"
#include "support/person.h"
#include "support/raw.h"
#include "support/terminal.h"

enum {
    RUNS = 200,
    QUEUED_RUNS = 10,
    AT_ONCE = 8,
    SPINNERS = 4,
    /* So many sizes in a second, of which one each 50 ms is told, and the first at once. */
    SIZES = 100,
    SIZES_MS = 1000,
    EACH_MS = 50,
};

static struct afard server; /* tcp, and tls */
static struct terminal people[AT_ONCE];
static pid_t spinners[SPINNERS];

/* All of it over the one, and then over the other. */
static unsigned way;

static int set_up(void **state)
{
    (void)state;
    person_serve(&server);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

/* ---- the first size -------------------------------------------------------------------------- */

/* All processors are busy with something else. */
static int begin_load(void **state)
{
    (void)state;
    for (int i = 0; i < SPINNERS; i++) {
        spinners[i] = fork();
        assert_true(spinners[i] >= 0);
        if (spinners[i] > 0)
            continue;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (volatile unsigned turn = 0;; turn++)
            continue;
    }
    return 0;
}

static int end_load(void **state)
{
    (void)state;
    for (int i = 0; i < SPINNERS; i++) {
        (void)kill(spinners[i], SIGKILL);
        assert_int_equal(waitpid(spinners[i], NULL, 0), spinners[i]);
    }
    afard_expect_calm(&server);
    return 0;
}

/* A person's window of 33 x 101: the first command of all says so, each time. */
static void as_ours(void **state)
{
    (void)state;
    const char *argv[] = {"afar", "run", "-t", server.url[way], "--", "stty", "size", NULL};
    for (int run = 0; run < RUNS; run += AT_ONCE) {
        for (int i = 0; i < AT_ONCE; i++)
            terminal_start_at(&people[i], argv, 33, 101);
        for (int i = 0; i < AT_ONCE; i++) {
            assert_int_equal(terminal_finish(&people[i]), 0);
            assert_string_equal(people[i].text, "33 101\r\n");
        }
    }
    terminal_start_at(&people[0], argv, 0, 0);
    assert_int_equal(terminal_finish(&people[0]), 0);
    assert_string_equal(people[0].text, "24 80\r\n");
}

/* Reads frames to the one that has this text in its header, or in its payload. */
static void read_to(int fd, const char *text)
{
    for (bool there = false; !there;) {
        char *payload = NULL;
        char *header = raw_read_header(fd, &payload);
        assert_non_null(header);
        there = strstr(header, text) != NULL || strstr(payload, text) != NULL;
        if (strstr(header, "\"type\":\"exit\"") != NULL && !there)
            fail_msg("no '%s': %s", text, header);
        free(header);
        free(payload);
    }
}

/* A window that changes while its command waits for another: it begins with the last size. */
static void as_it_is_now(void **state)
{
    (void)state;
    struct afard narrow;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "max_jobs=1",
                          "--set",    "kill_grace_ms=300", NULL};
    afard_start(&narrow, args);
    for (int run = 0; run < QUEUED_RUNS; run++) {
        int first = raw_connect(afard_port(&narrow, 0));
        int second = raw_connect(afard_port(&narrow, 0));
        raw_send_frame(first, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"cat\"],"
                              "\"stdin\":\"stream\"}");
        read_to(first, "\"type\":\"started\"");
        raw_send_frame(second, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"stty\",\"size\"],"
                               "\"pty\":{\"rows\":20,\"cols\":40},\"start_within_ms\":60000}");
        raw_send_frame(second, "{\"type\":\"resize\",\"id\":1,\"rows\":33,\"cols\":77}");
        raw_send_frame(second, "{\"type\":\"resize\",\"id\":1,\"rows\":33,\"cols\":70000}");
        read_to(second, "\"code\":\"bad_request\""); /* the one before has been read, too */
        raw_send_frame(first, "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"size\":0,\"eof\":true}");
        read_to(second, "33 77\r\n");
        (void)close(first);
        (void)close(second);
        afard_expect_calm(&narrow);
    }
    assert_int_equal(afard_stop(&narrow), 0);
}

/* ---- the sizes after it ---------------------------------------------------------------------- */

/* Rows of a frame "resize"; 0: it is another. */
static int rows_told(const char *header)
{
    const char *rows = strstr(header, "\"rows\":");
    if (strncmp(header, "{\"type\":\"resize\"", 16) != 0)
        return 0;
    assert_non_null(rows);
    return atoi(rows + strlen("\"rows\":"));
}

static void wait_until(int64_t at_ms)
{
    const struct timespec at = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        continue;
}

/* A window that somebody drags: the server hears of it at a rate that is bounded, and of the last
 * size in any case. */
static void a_hundred_in_a_second(void **state)
{
    (void)state;
    struct impostor impostor;
    struct terminal *person = &people[0];
    impostor_open(&impostor);
    const char *argv[] = {"afar",       "run", "-t",   "--reconnect", "0",
                          impostor.url, "--",  "true", NULL};
    terminal_start_at(person, argv, 24, 80);
    impostor_accept(&impostor);
    impostor_expect(&impostor, "\"type\":\"exec\"");
    impostor_say(&impostor, "{\"type\":\"started\",\"id\":1,\"job\":"
                            "\"0123456789abcdef0123456789abcdef\",\"window\":65536,"
                            "\"tty\":\"/dev/pts/0\"}");
    impostor_say_with(&impostor, "{\"type\":\"stdout\",\"id\":1,\"seq\":0,\"size\":5}", "ready");
    terminal_await(person, "ready");
    const int64_t began_ms = clock_now_ms();
    for (int i = 1; i <= SIZES; i++) {
        wait_until(began_ms + (int64_t)i * SIZES_MS / SIZES);
        terminal_size(person, (unsigned short)(100 + i), 80);
    }
    int told = 0;
    int rows = 0;
    while (rows != 100 + SIZES) {
        char *header = raw_read_header(impostor.fd, NULL);
        assert_non_null(header);
        rows = rows_told(header);
        told += rows > 0 ? 1 : 0;
        free(header);
    }
    const int64_t took_ms = clock_now_ms() - began_ms;
    if (told < 2 || told > took_ms / EACH_MS + 1)
        fail_msg("%d sizes told in %lld ms", told, (long long)took_ms);
    print_message("%d sizes told in %lld ms\n", told, (long long)took_ms);
    /* It is told once. */
    impostor_say(&impostor,
                 "{\"type\":\"exit\",\"id\":1,\"seq\":1,\"outcome\":\"exited\",\"code\":0,"
                 "\"bytes\":{\"stdin\":0,\"stdout\":5,\"stderr\":0}}");
    for (char *header = NULL; (header = raw_read_header(impostor.fd, NULL)) != NULL; free(header))
        assert_int_equal(rows_told(header), 0);
    if (terminal_finish(person) != 0)
        fail_msg("%s", person->text);
    impostor_close(&impostor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_ours, begin_load, end_load),
        cmocka_unit_test(as_it_is_now),
        cmocka_unit_test(a_hundred_in_a_second),
    };
    int failed = 0;
    for (way = 0; way < 2; way++)
        failed += cmocka_run_group_tests_name(way == 0 ? "tcp" : "tls", tests, set_up, tear_down);
    return failed;
}
