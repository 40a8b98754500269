// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/crowd.h"
#include "support/alloc_fault.h"

static struct crowd crowd;

static int set_up(void **state)
{
    (void)state;
    crowd_init(&crowd);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    crowd_close(&crowd);
    return 0;
}

static void join(struct crowd_member *member, const char *name)
{
    *member = (struct crowd_member){.since_ms = 0};
    assert_true(crowd_join(&crowd, member, name, 1, 7));
    assert_int_equal(member->since_ms, 7);
}

static void in_the_order_of_joining(void **state)
{
    (void)state;
    struct crowd_member a[3];
    struct crowd_member b[2];
    assert_null(crowd_oldest(&crowd));
    assert_null(crowd_oldest_of_largest(&crowd));
    assert_null(crowd_newest_of_largest(&crowd));
    join(&b[0], "b");
    for (int i = 0; i < 3; i++)
        join(&a[i], "a");
    join(&b[1], "b");
    assert_int_equal(crowd.count, 5);
    assert_int_equal(crowd_size_of(&crowd, "a", 1), 3);
    assert_int_equal(crowd_size_of(&crowd, "c", 1), 0);
    assert_ptr_equal(crowd_oldest(&crowd), &b[0]);
    assert_ptr_equal(crowd_oldest_of(&crowd, "a", 1), &a[0]);
    assert_null(crowd_oldest_of(&crowd, "c", 1));
    assert_ptr_equal(crowd_oldest_of_largest(&crowd), &a[0]);
    assert_ptr_equal(crowd_newest_of_largest(&crowd), &a[2]);
    crowd_leave(&crowd, &a[0]);
    crowd_leave(&crowd, &a[0]); /* once is enough */
    assert_ptr_equal(crowd_oldest_of(&crowd, "a", 1), &a[1]);
    crowd_leave(&crowd, &b[0]);
    assert_ptr_equal(crowd_oldest(&crowd), &a[1]);
    crowd_leave(&crowd, &a[1]);
    /* Both have one, b for the longer time. */
    assert_ptr_equal(crowd_oldest_of_largest(&crowd), &b[1]);
    crowd_leave(&crowd, &b[1]);
    assert_ptr_equal(crowd_oldest_of_largest(&crowd), &a[2]);
    crowd_leave(&crowd, &a[2]);
    assert_null(crowd_oldest(&crowd));
}

/* Groups beyond the last rank are equally large, and one does not get out of the way by growing. */
static void larger_than_the_ranks(void **state)
{
    (void)state;
    enum { MANY = 3 * CROWD_RANKS };
    static struct crowd_member a[MANY];
    static struct crowd_member b[MANY];
    for (int i = 0; i < CROWD_RANKS; i++)
        join(&a[i], "a");
    for (int i = 0; i < MANY; i++)
        join(&b[i], "b");
    for (int i = CROWD_RANKS; i < MANY; i++)
        join(&a[i], "a");
    for (int i = 0; i <= MANY - CROWD_RANKS; i++) {
        assert_ptr_equal(crowd_oldest_of_largest(&crowd), &a[i]);
        crowd_leave(&crowd, &a[i]);
    }
    assert_ptr_equal(crowd_oldest_of_largest(&crowd), &b[0]);
    for (int i = 0; i < MANY; i++) {
        crowd_leave(&crowd, &a[i]);
        crowd_leave(&crowd, &b[i]);
    }
}

/* Whoever has one place keeps it as long as others have more, whatever they do. */
static void few_are_not_pushed_out(void **state)
{
    (void)state;
    enum { PLACES = 100, NEWCOMERS = 10000 };
    static struct crowd_member members[PLACES];
    static const char *const others[] = {"b", "c", "d"};
    struct crowd_member one;
    join(&one, "a");
    for (int i = 0; i < PLACES; i++)
        join(&members[i], others[i % 3]);
    for (int i = 0; i < NEWCOMERS; i++) {
        struct crowd_member *victim = crowd_oldest_of_largest(&crowd);
        assert_ptr_not_equal(victim, &one);
        crowd_leave(&crowd, victim);
        join(victim, others[i % 3]);
    }
    crowd_leave(&crowd, &one);
    for (int i = 0; i < PLACES; i++)
        crowd_leave(&crowd, &members[i]);
}

static void out_of_memory(void **state)
{
    (void)state;
    struct crowd_member member = {.group = NULL};
    alloc_fault_arm(1);
    assert_false(crowd_join(&crowd, &member, "a", 1, 0));
    assert_true(alloc_fault_fired());
    crowd_leave(&crowd, &member);
    assert_int_equal(crowd.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_the_order_of_joining, set_up, tear_down),
        cmocka_unit_test_setup_teardown(larger_than_the_ranks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(few_are_not_pushed_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("crowd", tests, NULL, NULL);
}
