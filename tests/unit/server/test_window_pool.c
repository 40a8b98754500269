#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/window_pool.h"

enum { MIB = 1 << 20 };

static size_t take(struct window_pool *pool, size_t *share, size_t wanted)
{
    bool refused = false;
    const size_t got = window_pool_take(pool, share, wanted, &refused);
    assert_int_equal(got, *share);
    assert_true(refused == (got < wanted));
    return got;
}

static void test_one_has_all(void **state)
{
    (void)state;
    struct window_pool pool = {0};
    size_t share = 0;
    window_pool_set(&pool, 10 * MIB, 0);
    assert_int_equal(take(&pool, &share, 6 * MIB), 6 * MIB);
    assert_int_equal(take(&pool, &share, 14 * MIB), 10 * MIB);
    assert_int_equal(window_pool_used(&pool), 10 * MIB);
    assert_int_equal(window_pool_fair(&pool, share), 10 * MIB); /* nobody else wants any */
    assert_int_equal(take(&pool, &share, 3 * MIB), 3 * MIB);
    assert_int_equal(window_pool_used(&pool), 3 * MIB);
    assert_int_equal(take(&pool, &share, 0), 0);
    assert_int_equal(window_pool_used(&pool), 0);
}

static void test_who_comes_later_gets_a_share(void **state)
{
    (void)state;
    struct window_pool pool = {0};
    size_t first = 0;
    size_t second = 0;
    window_pool_set(&pool, 10 * MIB, 0);
    assert_int_equal(take(&pool, &first, 10 * MIB), 10 * MIB);
    assert_int_equal(take(&pool, &second, 2 * MIB), 0);
    assert_int_equal(window_pool_fair(&pool, first), 5 * MIB);
    assert_int_equal(window_pool_fair(&pool, 1 * MIB), 1 * MIB);
    assert_int_equal(take(&pool, &first, window_pool_fair(&pool, first)), 5 * MIB);
    assert_int_equal(take(&pool, &second, 2 * MIB), 2 * MIB);
    assert_int_equal(window_pool_used(&pool), 7 * MIB);
    /* That was enough: nobody has to give anything. */
    assert_int_equal(window_pool_fair(&pool, first), 5 * MIB);
    assert_int_equal(take(&pool, &first, 8 * MIB), 8 * MIB);
    assert_int_equal(window_pool_fair(&pool, first), 8 * MIB);
}

static void test_less_by_a_reload(void **state)
{
    (void)state;
    struct window_pool pool = {0};
    size_t first = 0;
    size_t second = 0;
    window_pool_set(&pool, 10 * MIB, 0);
    assert_int_equal(take(&pool, &first, 10 * MIB), 10 * MIB);
    window_pool_set(&pool, 4 * MIB, 0);
    assert_int_equal(take(&pool, &second, MIB), 0);
    assert_int_equal(take(&pool, &first, window_pool_fair(&pool, first)), 2 * MIB);
    assert_int_equal(take(&pool, &second, MIB), MIB);
}

/* Where nothing is configured. */
static void test_what_suits_the_memory(void **state)
{
    (void)state;
    static const struct {
        uint64_t memory;
        size_t total;
    } cases[] = {
        {32 * MIB, 4 * MIB},  {1024 * (uint64_t)MIB, 128 * MIB}, {2048 * (uint64_t)MIB, 256 * MIB},
        {1 << 30, 128 * MIB}, {UINT64_MAX, 256 * MIB},           {0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct window_pool pool = {0};
        size_t share = 0;
        window_pool_set(&pool, 0, cases[i].memory);
        assert_int_equal(take(&pool, &share, (size_t)1 << 40), cases[i].total);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_has_all),
        cmocka_unit_test(test_who_comes_later_gets_a_share),
        cmocka_unit_test(test_less_by_a_reload),
        cmocka_unit_test(test_what_suits_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
