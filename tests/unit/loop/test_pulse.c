#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "stats/pulse.h"

static void test_numbers(void **state)
{
    (void)state;
    struct pulse pulse;
    pulse_init(&pulse);
    assert_int_equal(pulse_turn_ms(&pulse, 1000), 0);
    assert_int_equal(pulse_turn_ms(&pulse, INT64_MAX), 0);
    pulse_begin(&pulse, 1000);
    assert_int_equal(pulse_turn_ms(&pulse, 1000), 0);
    assert_int_equal(pulse_turn_ms(&pulse, 1700), 700);
    assert_int_equal(pulse_turn_ms(&pulse, 900), 0); /* asked with an older clock */
    pulse_end(&pulse);
    assert_int_equal(pulse_turn_ms(&pulse, 99000), 0);
}

/* A thread whose loop runs into a callback that does not return until it is released. */
struct stuck {
    struct loop *loop;
    struct mailbox mailbox;
    struct mail hang;
    struct mail end;
    int released[2];
    bool ended;
};

static void hang(struct mail *mail)
{
    const struct stuck *stuck = list_object(mail, struct stuck, hang);
    char byte = 0;
    assert_int_equal(read(stuck->released[0], &byte, 1), 1);
}

static void end(struct mail *mail)
{
    list_object(mail, struct stuck, end)->ended = true;
}

static void *turn(void *argument)
{
    struct stuck *stuck = argument;
    while (!stuck->ended)
        assert_int_equal(loop_turn(stuck->loop, NULL), AFAR_OK);
    return NULL;
}

/* No deadline: what does not come fails by the runner's time limit. */
static void wait_until(const struct stuck *stuck, bool in_turn)
{
    while ((pulse_turn_ms(loop_pulse(stuck->loop), clock_now_ms()) > 0) != in_turn)
        (void)poll(NULL, 0, 1);
}

static void test_a_loop_that_hangs(void **state)
{
    (void)state;
    struct stuck stuck = {.hang.deliver = hang, .end.deliver = end};
    pthread_t thread;
    assert_int_equal(loop_new(&stuck.loop, NULL), AFAR_OK);
    assert_int_equal(mailbox_open(&stuck.mailbox, stuck.loop, NULL), AFAR_OK);
    assert_int_equal(pipe(stuck.released), 0);
    assert_int_equal(pthread_create(&thread, NULL, turn, &stuck), 0);

    wait_until(&stuck, false); /* nothing to do: healthy */
    mailbox_post(&stuck.mailbox, &stuck.hang);
    wait_until(&stuck, true);
    int64_t first_ms = pulse_turn_ms(loop_pulse(stuck.loop), clock_now_ms());
    while (pulse_turn_ms(loop_pulse(stuck.loop), clock_now_ms()) < first_ms + 20)
        (void)poll(NULL, 0, 1); /* the same turn all the time */
    assert_int_equal(write(stuck.released[1], "x", 1), 1);
    wait_until(&stuck, false);

    mailbox_post(&stuck.mailbox, &stuck.end);
    assert_int_equal(pthread_join(thread, NULL), 0);
    mailbox_close(&stuck.mailbox);
    loop_free(stuck.loop);
    (void)close(stuck.released[0]);
    (void)close(stuck.released[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_a_loop_that_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
