#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <unistd.h>

#include "exec/proc.h"
#include "server/left.h"
#include "support/process_wait.h"
#include "support/program.h"

enum { SLEEPERS = 5 };

static struct program sleepers[SLEEPERS];
static struct family_member members[SLEEPERS];
static struct config config = {.left_max = 4, .left_per_identity = 3};
static struct left *left;

static int set_up(void **state)
{
    const char *const words[] = {"sleep", "1000", NULL};
    (void)state;
    for (int i = 0; i < SLEEPERS; i++) {
        struct proc_stat stat;
        program_start(&sleepers[i], words, NULL);
        assert_true(proc_read_stat(sleepers[i].pid, &stat));
        members[i] = (struct family_member){.pid = sleepers[i].pid, .start = stat.start};
    }
    left = left_new(&config);
    return left == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    left_free(left);
    for (int i = 0; i < SLEEPERS; i++)
        program_close(&sleepers[i]);
    return 0;
}

static enum counter limit;
static uint64_t most;

static size_t settle(const char *owner, const char *job, size_t first, size_t count)
{
    const struct left_job whose = {.owner = owner, .job = job};
    return left_settle(left, &whose, &members[first], count, &limit, &most);
}

static void nobody_has_more_than_may_be(void **state)
{
    (void)state;
    assert_int_equal(settle("a", "1", 0, 2), 2);
    assert_int_equal(settle("a", "2", 2, 2), 1);
    assert_int_equal(limit, COUNTER_LEFT_PER_IDENTITY);
    assert_int_equal(most, 3);
    assert_int_equal(settle("b", "3", 3, 2), 1);
    assert_int_equal(limit, COUNTER_LEFT_MAX);
    assert_int_equal(most, 4);
    assert_int_equal(left_count(left), 4);
    /* What is said of a job is said in place of what was said before. */
    assert_int_equal(settle("a", "1", 0, 0), 0);
    assert_int_equal(left_count(left), 2);
    assert_int_equal(settle("a", "1", 0, 2), 2);
}

static void who_has_ended_makes_room(void **state)
{
    (void)state;
    assert_int_equal(settle("a", "1", 0, 3), 3);
    assert_int_equal(settle("a", "2", 3, 1), 0);
    program_close(&sleepers[1]);
    assert_int_equal(settle("a", "2", 3, 1), 1);
    assert_int_equal(left_count(left), 3);
    members[0].start++; /* a stranger has that pid */
    assert_int_equal(settle("b", "3", 0, 1), 1);
    assert_int_equal(left_count(left), 3);
}

static void other_limits(void **state)
{
    const struct config wide = {.left_max = 100, .left_per_identity = 0};
    const struct config none = {.left_max = 0, .left_per_identity = 0};
    (void)state;
    left_set_limits(left, &wide);
    assert_int_equal(settle("a", "1", 0, 5), 5);
    left_set_limits(left, &none);
    assert_int_equal(left_count(left), 5); /* who is there stays */
    assert_int_equal(settle("a", "2", 0, 1), 0);
    assert_int_equal(limit, COUNTER_LEFT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_has_more_than_may_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_has_ended_makes_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_limits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
