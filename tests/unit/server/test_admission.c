/* The time is the test's own:
 *
 * // wrap: names what the linker replaces. */
// wrap: malloc calloc realloc strdup clock_now_ms
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/admission.h"
#include "support/alloc_fault.h"

enum { MAX = 8 };

static const struct address_group alice = {.bytes = {10, 0, 0, 1}, .size = 4};
static const struct address_group bob = {.bytes = {10, 0, 0, 2}, .size = 4};
static const struct address_group local = {.size = 0}; /* a Unix socket's */

static struct config config;
static struct admission *admission;
static struct loop *loop;
static struct mailbox mailbox;
static struct admission_exit way_out;
static unsigned mails;
static int64_t now_ms;

int64_t __wrap_clock_now_ms(void);
int64_t __wrap_clock_now_ms(void)
{
    return now_ms;
}

static void mail_came(struct mail *mail)
{
    assert_ptr_equal(mail, &way_out.mail);
    mails++;
}

static int set_up(void **state)
{
    (void)state;
    config_init(&config);
    config.max_connections = 4;
    config.max_connections_per_address = 2;
    config.max_unauthenticated = 3;
    config.max_unauthenticated_per_address = 0;
    now_ms = 1000000;
    mails = 0;
    admission = admission_new();
    if (admission == NULL || loop_new(&loop, NULL) != AFAR_OK ||
        mailbox_open(&mailbox, loop, NULL) != AFAR_OK)
        return -1;
    admission_exit_init(&way_out, &mailbox, mail_came);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(admission_count(admission), 0);
    assert_int_equal(admission_unauthenticated(admission), 0);
    admission_free(admission);
    mailbox_close(&mailbox);
    loop_free(loop);
    return 0;
}

static enum admission_verdict ask(const struct address_group *address, enum admission_kind kind,
                                  struct admission_ticket *ticket, enum counter *limit)
{
    enum admission_verdict verdict =
        admission_enter(admission, &config, address, kind, ticket, limit);
    if (verdict != ADMISSION_DROPPED)
        admission_ticket_at(ticket, &way_out);
    return verdict;
}

/* Nobody has to leave. */
static void enter(const struct address_group *address, enum admission_kind kind,
                  struct admission_ticket *ticket)
{
    enum counter limit = COUNTER_DENIED;
    assert_int_equal(ask(address, kind, ticket, &limit), ADMISSION_GRANTED);
    assert_int_equal(limit, COUNTERS);
}

/* This one has to, because of that limit. */
static void enter_instead_of(const struct address_group *address, enum admission_kind kind,
                             struct admission_ticket *ticket, const struct admission_ticket *other,
                             enum counter expected)
{
    enum counter limit = COUNTER_DENIED;
    size_t before = admission_count(admission);
    assert_int_equal(ask(address, kind, ticket, &limit), ADMISSION_GRANTED);
    assert_int_equal(limit, expected);
    mailbox_deliver(&mailbox);
    assert_int_equal(mails, 1);
    mails = 0;
    struct admission_ticket *leaving = admission_next_to_leave(admission, &way_out);
    assert_ptr_equal(leaving, other);
    assert_null(admission_next_to_leave(admission, &way_out));
    assert_int_equal(admission_count(admission), before + 1); /* until it has gone */
}

static void expect_refusal(const struct address_group *address, enum admission_kind kind,
                           enum counter expected)
{
    struct admission_ticket ticket;
    enum counter limit = COUNTERS;
    assert_int_equal(ask(address, kind, &ticket, &limit), ADMISSION_REFUSED);
    assert_int_equal(limit, expected);
    admission_leave(admission, &ticket);
    assert_null(admission_next_to_leave(admission, &way_out));
}

static void leave_all(struct admission_ticket *tickets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        admission_leave(admission, &tickets[i]);
}

static void by_address(void **state)
{
    (void)state;
    struct admission_ticket tickets[MAX] = {{.kind = ADMISSION_KNOWN}};
    enter(&alice, ADMISSION_STRANGER, &tickets[0]);
    enter(&alice, ADMISSION_STRANGER, &tickets[1]);
    enter(&bob, ADMISSION_STRANGER, &tickets[2]);
    assert_true(admission_authenticated(admission, &tickets[0]));
    enter_instead_of(&alice, ADMISSION_STRANGER, &tickets[3], &tickets[1],
                     COUNTER_MAX_CONNECTIONS_PER_ADDRESS);
    assert_true(admission_authenticated(admission, &tickets[3]));
    admission_leave(admission, &tickets[1]);
    expect_refusal(&alice, ADMISSION_STRANGER, COUNTER_MAX_CONNECTIONS_PER_ADDRESS);
    admission_leave(admission, &tickets[0]);
    enter(&alice, ADMISSION_STRANGER, &tickets[0]);
    config.max_connections_per_address = 0; /* no limit */
    enter(&alice, ADMISSION_STRANGER, &tickets[1]);
    leave_all(tickets, 4);
}

/* Of those who have not shown who they are the oldest has to go, wherever it is from. */
static void the_oldest_stranger_leaves(void **state)
{
    (void)state;
    struct admission_ticket tickets[MAX];
    enter(&bob, ADMISSION_STRANGER, &tickets[0]);
    now_ms += ADMISSION_FAIR_MS;
    enter(&alice, ADMISSION_STRANGER, &tickets[1]);
    enter(&alice, ADMISSION_STRANGER, &tickets[2]);
    assert_int_equal(admission_unauthenticated(admission), 3);
    enter_instead_of(&bob, ADMISSION_STRANGER, &tickets[3], &tickets[0],
                     COUNTER_MAX_UNAUTHENTICATED);
    assert_int_equal(admission_unauthenticated(admission), 3);
    /* Sooner than that, it is one of those who have the most. */
    now_ms += ADMISSION_FAIR_MS - 1;
    admission_leave(admission, &tickets[0]);
    enter_instead_of(&bob, ADMISSION_STRANGER, &tickets[4], &tickets[1],
                     COUNTER_MAX_UNAUTHENTICATED);
    admission_leave(admission, &tickets[1]);
    enter_instead_of(&alice, ADMISSION_STRANGER, &tickets[5], &tickets[3],
                     COUNTER_MAX_UNAUTHENTICATED);
    admission_leave(admission, &tickets[3]);
    leave_all(&tickets[2], 1);
    leave_all(&tickets[4], 2);
}

static void strangers_by_address(void **state)
{
    (void)state;
    struct admission_ticket tickets[MAX];
    config.max_unauthenticated_per_address = 1;
    enter(&bob, ADMISSION_STRANGER, &tickets[0]);
    enter(&alice, ADMISSION_STRANGER, &tickets[1]);
    enter_instead_of(&alice, ADMISSION_STRANGER, &tickets[2], &tickets[1],
                     COUNTER_MAX_UNAUTHENTICATED_PER_ADDRESS);
    assert_true(admission_authenticated(admission, &tickets[2]));
    enter(&alice, ADMISSION_STRANGER, &tickets[3]);
    leave_all(tickets, 4);
}

/* Known ones are never made to leave; without a stranger, there is no place. */
static void the_known_stay(void **state)
{
    (void)state;
    struct admission_ticket tickets[MAX];
    for (int i = 0; i < 3; i++)
        enter(&local, ADMISSION_KNOWN, &tickets[i]);
    enter(&bob, ADMISSION_STRANGER, &tickets[3]);
    assert_true(admission_authenticated(admission, &tickets[3]));
    assert_true(admission_authenticated(admission, &tickets[3])); /* twice is once */
    assert_int_equal(admission_unauthenticated(admission), 0);
    expect_refusal(&alice, ADMISSION_STRANGER, COUNTER_MAX_CONNECTIONS);
    expect_refusal(&local, ADMISSION_KNOWN, COUNTER_MAX_CONNECTIONS);
    admission_leave(admission, &tickets[3]);
    enter(&bob, ADMISSION_STRANGER, &tickets[3]);
    enter_instead_of(&local, ADMISSION_KNOWN, &tickets[4], &tickets[3], COUNTER_MAX_CONNECTIONS);
    leave_all(tickets, 5);
    admission_leave(admission, &tickets[0]); /* once is enough */
}

/* Without a name one has a place as long as nobody else needs it, or a request is under way. */
static void the_anonymous(void **state)
{
    (void)state;
    struct admission_ticket tickets[MAX];
    config.max_connections_per_address = 3;
    enter(&alice, ADMISSION_ANONYMOUS, &tickets[0]);
    enter(&alice, ADMISSION_ANONYMOUS, &tickets[1]);
    enter(&bob, ADMISSION_ANONYMOUS, &tickets[2]);
    enter(&bob, ADMISSION_ANONYMOUS, &tickets[3]);
    assert_int_equal(admission_unauthenticated(admission), 0); /* they have no handshake */
    assert_true(admission_busy(admission, &tickets[0]));
    enter_instead_of(&alice, ADMISSION_ANONYMOUS, &tickets[4], &tickets[2],
                     COUNTER_MAX_CONNECTIONS);
    assert_false(admission_busy(admission, &tickets[2])); /* too late */
    admission_leave(admission, &tickets[2]);
    assert_true(admission_busy(admission, &tickets[4]));
    assert_true(admission_busy(admission, &tickets[3]));
    enter_instead_of(&bob, ADMISSION_ANONYMOUS, &tickets[2], &tickets[1], COUNTER_MAX_CONNECTIONS);
    admission_leave(admission, &tickets[1]);
    assert_true(admission_busy(admission, &tickets[2]));
    expect_refusal(&bob, ADMISSION_ANONYMOUS, COUNTER_MAX_CONNECTIONS);
    admission_idle(admission, &tickets[0]);
    admission_idle(admission, &tickets[0]); /* twice is once */
    config.max_connections_per_address = 2;
    expect_refusal(&bob, ADMISSION_ANONYMOUS, COUNTER_MAX_CONNECTIONS_PER_ADDRESS);
    enter_instead_of(&alice, ADMISSION_ANONYMOUS, &tickets[5], &tickets[0],
                     COUNTER_MAX_CONNECTIONS_PER_ADDRESS);
    /* Its worker is late: another place is free by now, and it stays. */
    admission_leave(admission, &tickets[3]);
    assert_true(admission_busy(admission, &tickets[0]));
    assert_int_equal(admission_count(admission), 4);
    leave_all(&tickets[0], 1);
    leave_all(&tickets[2], 1);
    leave_all(&tickets[4], 2);
}

/* One that finishes its handshake while it is told to leave. */
static void in_the_last_moment(void **state)
{
    (void)state;
    struct admission_ticket tickets[MAX];
    enum counter limit = COUNTERS;
    for (int i = 0; i < 3; i++)
        enter(&local, ADMISSION_KNOWN, &tickets[i]);
    enter(&bob, ADMISSION_STRANGER, &tickets[3]);
    assert_int_equal(ask(&local, ADMISSION_KNOWN, &tickets[4], &limit), ADMISSION_GRANTED);
    assert_false(admission_authenticated(admission, &tickets[3])); /* there is no place for it */
    admission_leave(admission, &tickets[3]);
    assert_null(admission_next_to_leave(admission, &way_out));
    admission_leave(admission, &tickets[4]);
    admission_leave(admission, &tickets[2]);
    config.max_unauthenticated = 1;
    enter(&bob, ADMISSION_STRANGER, &tickets[3]);
    assert_int_equal(ask(&bob, ADMISSION_STRANGER, &tickets[4], &limit), ADMISSION_GRANTED);
    assert_true(admission_authenticated(admission, &tickets[3]));
    assert_null(admission_next_to_leave(admission, &way_out));
    leave_all(tickets, 2);
    leave_all(&tickets[3], 2);
}

/* Where the workers do nothing, those that are to leave do not pile up. */
static void only_so_many_leave(void **state)
{
    (void)state;
    static struct admission_ticket tickets[ADMISSION_LEAVING_MAX + 1];
    struct admission_ticket ticket;
    enum counter limit = COUNTERS;
    config.max_connections_per_address = 0;
    config.max_unauthenticated = 1;
    for (int i = 0; i <= ADMISSION_LEAVING_MAX; i++)
        assert_int_equal(ask(&bob, ADMISSION_STRANGER, &tickets[i], &limit), ADMISSION_GRANTED);
    assert_int_equal(ask(&bob, ADMISSION_STRANGER, &ticket, &limit), ADMISSION_REFUSED);
    assert_int_equal(limit, COUNTER_MAX_UNAUTHENTICATED);
    admission_leave(admission, &ticket);
    mailbox_deliver(&mailbox);
    assert_int_equal(mails, 1);
    for (int i = 0; i < ADMISSION_LEAVING_MAX; i++) {
        assert_ptr_equal(admission_next_to_leave(admission, &way_out), &tickets[i]);
        admission_leave(admission, &tickets[i]);
    }
    assert_null(admission_next_to_leave(admission, &way_out));
    admission_leave(admission, &tickets[ADMISSION_LEAVING_MAX]);
}

/* The mail is not posted again while it may still be under way. */
static void one_mail_at_a_time(void **state)
{
    (void)state;
    struct admission_ticket tickets[4];
    enum counter limit = COUNTERS;
    config.max_connections_per_address = 0;
    config.max_unauthenticated = 1;
    for (int i = 0; i < 3; i++)
        (void)ask(&bob, ADMISSION_STRANGER, &tickets[i], &limit);
    mailbox_deliver(&mailbox);
    assert_ptr_equal(admission_next_to_leave(admission, &way_out), &tickets[0]);
    (void)ask(&bob, ADMISSION_STRANGER, &tickets[3], &limit);
    for (int i = 1; i < 3; i++)
        assert_ptr_equal(admission_next_to_leave(admission, &way_out), &tickets[i]);
    assert_null(admission_next_to_leave(admission, &way_out));
    mailbox_deliver(&mailbox);
    assert_int_equal(mails, 1);
    leave_all(tickets, 4);
}

static void only_so_many_are_told(void **state)
{
    (void)state;
    struct admission_ticket inside[4];
    struct admission_ticket refused[ADMISSION_REFUSED_MAX];
    struct admission_ticket ticket;
    enum counter limit = COUNTERS;
    for (int i = 0; i < 4; i++)
        enter(&local, ADMISSION_KNOWN, &inside[i]);
    for (int i = 0; i < ADMISSION_REFUSED_MAX; i++)
        assert_int_equal(ask(&bob, ADMISSION_STRANGER, &refused[i], &limit), ADMISSION_REFUSED);
    assert_int_equal(ask(&bob, ADMISSION_STRANGER, &ticket, &limit), ADMISSION_DROPPED);
    admission_leave(admission, &refused[0]);
    assert_int_equal(ask(&bob, ADMISSION_STRANGER, &refused[0], &limit), ADMISSION_REFUSED);
    leave_all(refused, ADMISSION_REFUSED_MAX);
    leave_all(inside, 4);
}

static void out_of_memory(void **state)
{
    (void)state;
    struct admission_ticket ticket;
    enum counter limit = COUNTERS;
    for (int nth = 1; nth <= 2; nth++) { /* the count by address, and the stranger's */
        alloc_fault_arm(nth);
        assert_int_equal(ask(&bob, ADMISSION_STRANGER, &ticket, &limit), ADMISSION_DROPPED);
        assert_true(alloc_fault_fired());
        assert_int_equal(limit, COUNTER_MAX_CONNECTIONS);
        admission_leave(admission, &ticket);
        assert_int_equal(admission_count(admission), 0);
    }
    alloc_fault_arm(1);
    assert_null(admission_new());
    assert_true(alloc_fault_fired());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(by_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_stranger_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strangers_by_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_known_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_anonymous, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_the_last_moment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_so_many_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_mail_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_so_many_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("admission", tests, NULL, NULL);
}
