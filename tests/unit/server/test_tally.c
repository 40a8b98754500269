#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "server/tally.h"

static void counts_by_name(void **state)
{
    (void)state;
    struct tally tally;
    tally_init(&tally);
    assert_int_equal(tally_count(&tally, "a", 1), 0);
    struct tally_entry *first = tally_hold(&tally, "a", 1);
    struct tally_entry *second = tally_hold(&tally, "a", 1);
    struct tally_entry *other = tally_hold(&tally, "a\0b", 3);
    assert_non_null(first);
    assert_ptr_equal(first, second);
    assert_ptr_not_equal(first, other);
    assert_int_equal(tally_count(&tally, "a", 1), 2);
    assert_int_equal(tally_count(&tally, "a\0b", 3), 1);
    tally_drop(first);
    assert_int_equal(tally_count(&tally, "a", 1), 1);
    tally_drop(second);
    assert_int_equal(tally_count(&tally, "a", 1), 0);
    tally_drop(other);
    tally_drop(NULL);
    tally_close(&tally);
}

static void many_names_and_a_long_one(void **state)
{
    (void)state;
    enum { NAMES = 5 * TALLY_BUCKETS };
    static struct tally_entry *entries[NAMES];
    struct tally tally;
    char name[TALLY_NAME_BYTES + 1];
    tally_init(&tally);
    for (int i = 0; i < NAMES; i++) {
        int size = snprintf(name, sizeof name, "name %d", i);
        entries[i] = tally_hold(&tally, name, (size_t)size);
        assert_non_null(entries[i]);
        assert_int_equal(entries[i]->count, 1);
    }
    memset(name, 'x', sizeof name);
    assert_null(tally_hold(&tally, name, TALLY_NAME_BYTES + 1));
    struct tally_entry *longest = tally_hold(&tally, name, TALLY_NAME_BYTES);
    assert_non_null(longest);
    tally_drop(longest);
    for (int i = 0; i < NAMES; i++)
        tally_drop(entries[i]);
    tally_close(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_by_name),
        cmocka_unit_test(many_names_and_a_long_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
