#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/partials.h"

static void test_who_holds_it(void **state)
{
    (void)state;
    static struct partials partials;
    struct partials_of one;
    struct partials_of other;
    struct partials_of never = {.count = 0};
    const struct file_key file = {.device = 1, .inode = 2};
    const struct file_key same_number = {.device = 2, .inode = 2};
    char job[MESSAGE_JOB_ID_BYTES] = "";
    partials_init(&partials);
    partials_begin(&one, "one");
    partials_begin(&other, "other");
    assert_false(partials_find(&partials, &one, &file, job));
    partials_hold(&partials, &one, &file);
    partials_hold(&partials, &one, &same_number);
    assert_true(partials_find(&partials, &other, &file, job));
    assert_string_equal(job, "one");
    assert_false(partials_find(&partials, &one, &file, job)); /* its own is none of others */
    partials_let_go(&partials, &other, &file);
    assert_true(partials_find(&partials, &other, &file, job));
    partials_let_go(&partials, &one, &file);
    assert_false(partials_find(&partials, &other, &file, job));
    assert_true(partials_find(&partials, &other, &same_number, job));
    partials_leave(&partials, &one);
    assert_false(partials_find(&partials, &other, &same_number, job));
    partials_leave(&partials, &never);
    partials_leave(&partials, &other);
    partials_close(&partials);
}

static void test_many(void **state)
{
    (void)state;
    static struct partials partials;
    struct partials_of one;
    struct partials_of other;
    char job[MESSAGE_JOB_ID_BYTES] = "";
    partials_init(&partials);
    partials_begin(&one, "one");
    partials_begin(&other, "other");
    for (uint64_t i = 0; i <= PARTIALS_PER_JOB; i++)
        partials_hold(&partials, &one, &(struct file_key){.inode = i});
    assert_int_equal(one.count, PARTIALS_PER_JOB);
    assert_true(partials_find(&partials, &other, &(struct file_key){.inode = 7}, job));
    assert_false(
        partials_find(&partials, &other, &(struct file_key){.inode = PARTIALS_PER_JOB}, job));
    partials_leave(&partials, &one);
    assert_int_equal(one.count, 0);
    partials_close(&partials);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_holds_it),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
