// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>

#include "base/clock.h"
#include "base/list.h"
#include "loop/timer.h"
#include "support/alloc_fault.h"

enum { TIMERS = 50, STEPS = 20000 };

struct clocked {
    struct timer timer;
    int64_t expected_ms; /* the model: DEADLINE_NEVER, not armed */
    unsigned fired;
};

static struct timers timers;
static struct clocked all[TIMERS];
static int64_t now_ms;

static void fired(struct timer *timer)
{
    struct clocked *clocked = list_object(timer, struct clocked, timer);
    assert_true(clocked->expected_ms <= now_ms);
    assert_true(clocked->timer.deadline_ms == DEADLINE_NEVER);
    clocked->expected_ms = DEADLINE_NEVER;
    clocked->fired++;
}

static int64_t model_next(void)
{
    int64_t next_ms = DEADLINE_NEVER;
    for (unsigned i = 0; i < TIMERS; i++)
        next_ms = all[i].expected_ms < next_ms ? all[i].expected_ms : next_ms;
    return next_ms;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Arming, changing, disarming and firing at random, against a model that looks at all of them. */
static void against_a_model(void **state)
{
    (void)state;
    uint32_t seed = 7;
    timers_init(&timers);
    for (unsigned i = 0; i < TIMERS; i++) {
        assert_int_equal(timer_attach(&timers, &all[i].timer, fired, NULL), AFAR_OK);
        all[i].expected_ms = DEADLINE_NEVER;
    }
    for (unsigned step = 0; step < STEPS; step++) {
        struct clocked *one = &all[next_random(&seed) % TIMERS];
        switch (next_random(&seed) % 4) {
        case 0:
        case 1:
            one->expected_ms = now_ms + (int64_t)(next_random(&seed) % 100);
            timer_arm(&timers, &one->timer, one->expected_ms);
            break;
        case 2:
            one->expected_ms = DEADLINE_NEVER;
            timer_arm(&timers, &one->timer, DEADLINE_NEVER);
            break;
        default:
            now_ms += (int64_t)(next_random(&seed) % 10);
            timers_fire(&timers, now_ms);
            assert_true(model_next() > now_ms);
            break;
        }
        assert_true(timers_next(&timers) == model_next());
    }
    unsigned fired_in_all = 0;
    for (unsigned i = 0; i < TIMERS; i++) {
        fired_in_all += all[i].fired;
        timer_detach(&timers, &all[i].timer);
    }
    assert_true(fired_in_all > 1000);
    timers_close(&timers);
}

static unsigned again;

static void arms_itself(struct timer *timer)
{
    again++;
    timer_arm(&timers, timer, 0);
}

/* It fires once a call, or nothing else would ever run. */
static void a_timer_that_arms_itself(void **state)
{
    (void)state;
    struct timer timer;
    timers_init(&timers);
    assert_int_equal(timer_attach(&timers, &timer, arms_itself, NULL), AFAR_OK);
    timer_arm(&timers, &timer, 0);
    timers_fire(&timers, 1);
    timers_fire(&timers, 1);
    assert_int_equal(again, 2);
    timer_detach(&timers, &timer);
    assert_true(timers_next(&timers) == DEADLINE_NEVER);
    timers_close(&timers);
}

static void no_memory(void **state)
{
    (void)state;
    struct timer timer;
    timers_init(&timers);
    alloc_fault_arm(1);
    assert_int_equal(timer_attach(&timers, &timer, fired, NULL), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    timers_close(&timers);
}

/* Who comes from elsewhere finds the room that was kept, however short memory is; and nobody else
 * takes it. */
static void room_is_kept(void **state)
{
    enum { KEPT = 20 };
    (void)state;
    struct timer mine;
    struct timer guests[KEPT];
    timers_init(&timers);
    alloc_fault_arm(1);
    assert_int_equal(timers_keep(&timers, KEPT, NULL), AFAR_ENOMEM);
    assert_int_equal(timers_keep(&timers, KEPT, NULL), AFAR_OK);
    for (unsigned i = 0; i < 3 * KEPT; i++) { /* more than there can be room for at first */
        assert_int_equal(timer_attach(&timers, &mine, fired, NULL), AFAR_OK);
        timers.attached += i % 2; /* as if one in two stayed */
        timer_detach(&timers, &mine);
    }
    assert_true(timers.capacity - timers.attached >= KEPT);
    alloc_fault_arm(1);
    for (unsigned i = 0; i < KEPT; i++) {
        guests[i].fire = fired;
        timer_attach_kept(&timers, &guests[i]);
        timer_arm(&timers, &guests[i], 1000 + (int64_t)i);
    }
    assert_false(alloc_fault_fired());
    alloc_fault_arm(0);
    assert_true(timers_next(&timers) == 1000);
    for (unsigned i = 0; i < KEPT; i++)
        timer_detach(&timers, &guests[i]);
    timers.attached = 0;
    timers_close(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_a_model),
        cmocka_unit_test(a_timer_that_arms_itself),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(room_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
