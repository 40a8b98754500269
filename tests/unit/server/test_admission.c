// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/admission.h"
#include "support/alloc_fault.h"

static const struct address_group alice = {.bytes = {10, 0, 0, 1}, .size = 4};
static const struct address_group bob = {.bytes = {10, 0, 0, 2}, .size = 4};
static const struct address_group local = {.size = 0}; /* a Unix socket's */

static struct config config;
static struct admission *admission;

static int set_up(void **state)
{
    (void)state;
    config_init(&config);
    config.max_connections = 4;
    config.max_connections_per_address = 2;
    config.max_unauthenticated = 3;
    admission = admission_new();
    return admission == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(admission_count(admission), 0);
    assert_int_equal(admission_unauthenticated(admission), 0);
    admission_free(admission);
    return 0;
}

static void enter(const struct address_group *address, struct admission_ticket *ticket)
{
    enum counter limit = COUNTERS;
    assert_int_equal(admission_enter(admission, &config, address, ticket, &limit),
                     ADMISSION_GRANTED);
}

static void expect_refusal(const struct address_group *address, enum counter expected)
{
    struct admission_ticket ticket;
    enum counter limit = COUNTERS;
    assert_int_equal(admission_enter(admission, &config, address, &ticket, &limit),
                     ADMISSION_REFUSED);
    assert_int_equal(limit, expected);
    admission_leave(admission, &ticket);
}

static void by_address(void **state)
{
    (void)state;
    struct admission_ticket tickets[4];
    enter(&alice, &tickets[0]);
    enter(&alice, &tickets[1]);
    expect_refusal(&alice, COUNTER_MAX_CONNECTIONS_PER_ADDRESS);
    enter(&bob, &tickets[2]);
    admission_leave(admission, &tickets[0]);
    enter(&alice, &tickets[3]);
    expect_refusal(&alice, COUNTER_MAX_UNAUTHENTICATED); /* three are */
    for (int i = 1; i < 4; i++)
        admission_leave(admission, &tickets[i]);
    config.max_connections_per_address = 0; /* no limit */
    for (int i = 0; i < 3; i++)
        enter(&alice, &tickets[i]);
    for (int i = 0; i < 3; i++)
        admission_leave(admission, &tickets[i]);
}

static void unauthenticated_and_in_all(void **state)
{
    (void)state;
    struct admission_ticket tickets[4];
    for (int i = 0; i < 3; i++)
        enter(&local, &tickets[i]);
    expect_refusal(&local, COUNTER_MAX_UNAUTHENTICATED);
    admission_authenticated(admission, &tickets[0]);
    admission_authenticated(admission, &tickets[0]); /* twice is once */
    assert_int_equal(admission_unauthenticated(admission), 2);
    enter(&local, &tickets[3]);
    expect_refusal(&local, COUNTER_MAX_CONNECTIONS);
    for (int i = 0; i < 4; i++)
        admission_leave(admission, &tickets[i]);
    admission_leave(admission, &tickets[0]); /* so is this */
}

static void only_so_many_are_told(void **state)
{
    (void)state;
    struct admission_ticket inside[3];
    struct admission_ticket refused[ADMISSION_REFUSED_MAX];
    struct admission_ticket ticket;
    enum counter limit = COUNTERS;
    for (int i = 0; i < 3; i++)
        enter(&local, &inside[i]);
    for (int i = 0; i < ADMISSION_REFUSED_MAX; i++)
        assert_int_equal(admission_enter(admission, &config, &bob, &refused[i], &limit),
                         ADMISSION_REFUSED);
    assert_int_equal(admission_enter(admission, &config, &bob, &ticket, &limit), ADMISSION_DROPPED);
    admission_leave(admission, &refused[0]);
    assert_int_equal(admission_enter(admission, &config, &bob, &refused[0], &limit),
                     ADMISSION_REFUSED);
    for (int i = 0; i < ADMISSION_REFUSED_MAX; i++)
        admission_leave(admission, &refused[i]);
    for (int i = 0; i < 3; i++)
        admission_leave(admission, &inside[i]);
}

static void out_of_memory(void **state)
{
    (void)state;
    struct admission_ticket ticket;
    enum counter limit = COUNTERS;
    alloc_fault_arm(1);
    assert_int_equal(admission_enter(admission, &config, &bob, &ticket, &limit), ADMISSION_DROPPED);
    assert_true(alloc_fault_fired());
    admission_leave(admission, &ticket);
    alloc_fault_arm(1);
    assert_null(admission_new());
    assert_true(alloc_fault_fired());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(by_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unauthenticated_and_in_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_so_many_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
