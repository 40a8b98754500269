#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/registry.h"

/* A registry with limits, and a mailbox in which turns arrive. */
struct fixture {
    struct config config;
    struct registry *registry;
    struct loop *loop;
    struct mailbox mailbox;
};

static unsigned turns; /* delivered so far; the last: */
static struct registry_entry *last_turn;

static void turn(struct mail *mail)
{
    turns++;
    last_turn = list_object(mail, struct registry_entry, granted);
}

static void set_up(struct fixture *fixture, uint64_t max_jobs, uint64_t per_identity,
                   uint64_t max_queued)
{
    turns = 0;
    last_turn = NULL;
    config_init(&fixture->config);
    fixture->config.max_jobs = max_jobs;
    fixture->config.max_jobs_per_identity = per_identity;
    fixture->config.max_queued = max_queued;
    fixture->registry = registry_new(&fixture->config);
    assert_non_null(fixture->registry);
    assert_int_equal(loop_new(&fixture->loop, NULL), AFAR_OK);
    assert_int_equal(mailbox_open(&fixture->mailbox, fixture->loop, NULL), AFAR_OK);
}

static void tear_down(struct fixture *fixture)
{
    mailbox_close(&fixture->mailbox);
    loop_free(fixture->loop);
    registry_free(fixture->registry);
}

struct answer {
    enum afar_status status;
    size_t position;
    enum counter limit;
    struct afar_error err;
};

static struct answer claim(struct fixture *fixture, struct registry_entry *entry,
                           const char *identity, bool may_wait)
{
    struct answer answer = {.status = AFAR_OK};
    const struct registry_claim wanted = {
        .identity = identity, .may_wait = may_wait, .mailbox = &fixture->mailbox};
    entry->granted.deliver = turn;
    answer.status = registry_claim(fixture->registry, entry, &wanted, &answer.position,
                                   &answer.limit, &answer.err);
    return answer;
}

static void ids_are_unlike_and_limited(void **state)
{
    (void)state;
    struct fixture fixture;
    struct registry_entry entries[3];
    set_up(&fixture, 2, 0, 10);
    assert_int_equal(claim(&fixture, &entries[0], "a", false).status, AFAR_OK);
    assert_int_equal(claim(&fixture, &entries[1], "a", true).status, AFAR_OK);
    assert_int_equal(strlen(entries[0].id), 32);
    assert_string_not_equal(entries[0].id, entries[1].id);
    struct answer third = claim(&fixture, &entries[2], "b", false);
    assert_int_equal(third.status, AFAR_ELIMIT);
    assert_int_equal(third.limit, COUNTER_MAX_JOBS);
    assert_non_null(strstr(third.err.message, "max_jobs"));
    assert_int_equal(registry_count(fixture.registry), 2);
    registry_remove(fixture.registry, &entries[0]);
    assert_int_equal(claim(&fixture, &entries[2], "b", false).status, AFAR_OK);
    registry_remove(fixture.registry, &entries[1]);
    registry_remove(fixture.registry, &entries[2]);
    assert_int_equal(registry_count(fixture.registry), 0);
    tear_down(&fixture);
    registry_free(NULL);
}

static void turns_come_in_order(void **state)
{
    (void)state;
    struct fixture fixture;
    struct registry_entry entries[4];
    set_up(&fixture, 1, 0, 2);
    assert_int_equal(claim(&fixture, &entries[0], "a", true).status, AFAR_OK);
    struct answer first = claim(&fixture, &entries[1], "a", true);
    struct answer second = claim(&fixture, &entries[2], "b", true);
    struct answer third = claim(&fixture, &entries[3], "b", true);
    assert_int_equal(first.status, AFAR_EAGAIN);
    assert_int_equal(first.position, 1);
    assert_int_equal(second.status, AFAR_EAGAIN);
    assert_int_equal(second.position, 2);
    assert_int_equal(third.status, AFAR_ELIMIT);
    assert_int_equal(third.limit, COUNTER_MAX_QUEUED);
    assert_int_equal(registry_queued(fixture.registry), 2);

    registry_remove(fixture.registry, &entries[0]);
    mailbox_deliver(&fixture.mailbox);
    assert_int_equal(turns, 1);
    assert_ptr_equal(last_turn, &entries[1]);
    assert_int_equal(registry_count(fixture.registry), 1);
    assert_false(registry_withdraw(fixture.registry, &entries[1])); /* it has its place */
    registry_remove(fixture.registry, &entries[1]);
    mailbox_deliver(&fixture.mailbox);
    assert_ptr_equal(last_turn, &entries[2]);
    registry_remove(fixture.registry, &entries[2]);
    assert_int_equal(turns, 2);
    assert_int_equal(registry_queued(fixture.registry), 0);
    tear_down(&fixture);
}

/* One identity does not fill the queue for others, and those end up with equal shares. */
static void a_full_queue_is_shared(void **state)
{
    (void)state;
    enum { MANY = 8 };
    struct fixture fixture;
    struct registry_entry running;
    struct registry_entry greedy[MANY];
    struct registry_entry others[MANY / 2];
    struct registry_entry late;
    set_up(&fixture, 1, 0, MANY);
    assert_int_equal(claim(&fixture, &running, "a", true).status, AFAR_OK);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(claim(&fixture, &greedy[i], "a", true).status, AFAR_EAGAIN);
    assert_int_equal(claim(&fixture, &late, "a", true).limit, COUNTER_MAX_QUEUED);
    for (int i = 0; i < MANY / 2; i++) {
        struct answer answer = claim(&fixture, &others[i], "b", true);
        assert_int_equal(answer.status, AFAR_EAGAIN);
        assert_int_equal(answer.position, MANY);
        mailbox_deliver(&fixture.mailbox);
        assert_ptr_equal(last_turn, &greedy[MANY - 1 - i]); /* the newest */
        assert_true(last_turn->displaced);
        assert_false(registry_withdraw(fixture.registry, last_turn));
        registry_remove(fixture.registry, last_turn);
        assert_int_equal(registry_queued(fixture.registry), MANY);
        assert_int_equal(registry_count(fixture.registry), 1);
    }
    assert_int_equal(claim(&fixture, &late, "b", true).status, AFAR_ELIMIT);
    assert_int_equal(claim(&fixture, &late, "a", true).status, AFAR_ELIMIT);
    /* A third one finds room, too; and whose turn it is stays as it was. */
    assert_int_equal(claim(&fixture, &late, "c", true).status, AFAR_EAGAIN);
    mailbox_deliver(&fixture.mailbox);
    assert_true(last_turn->displaced);
    registry_remove(fixture.registry, last_turn);
    registry_remove(fixture.registry, &running);
    mailbox_deliver(&fixture.mailbox);
    assert_ptr_equal(last_turn, &greedy[0]);
    assert_false(last_turn->displaced);
    unsigned left = MANY - 1;
    for (; left > 0; left--) {
        registry_remove(fixture.registry, last_turn);
        mailbox_deliver(&fixture.mailbox);
        assert_false(last_turn->displaced);
    }
    assert_ptr_equal(last_turn, &late);
    registry_remove(fixture.registry, last_turn);
    tear_down(&fixture);
}

static void whoever_withdraws_gets_no_turn(void **state)
{
    (void)state;
    struct fixture fixture;
    struct registry_entry entries[3];
    set_up(&fixture, 1, 0, 10);
    assert_int_equal(claim(&fixture, &entries[0], "a", true).status, AFAR_OK);
    assert_int_equal(claim(&fixture, &entries[1], "a", true).status, AFAR_EAGAIN);
    assert_int_equal(claim(&fixture, &entries[2], "a", true).status, AFAR_EAGAIN);
    assert_true(registry_withdraw(fixture.registry, &entries[1]));
    registry_remove(fixture.registry, &entries[1]);
    assert_int_equal(registry_count(fixture.registry), 1);
    registry_remove(fixture.registry, &entries[0]);
    mailbox_deliver(&fixture.mailbox);
    assert_int_equal(turns, 1);
    assert_ptr_equal(last_turn, &entries[2]);
    registry_remove(fixture.registry, &entries[2]);
    tear_down(&fixture);
}

static void one_identity_does_not_hold_up_another(void **state)
{
    (void)state;
    struct fixture fixture;
    struct registry_entry entries[5];
    set_up(&fixture, 3, 2, 10);
    assert_int_equal(claim(&fixture, &entries[0], "a", true).status, AFAR_OK);
    assert_int_equal(claim(&fixture, &entries[1], "a", true).status, AFAR_OK);
    struct answer refused = claim(&fixture, &entries[2], "a", false);
    assert_int_equal(refused.status, AFAR_ELIMIT);
    assert_int_equal(refused.limit, COUNTER_MAX_JOBS_PER_IDENTITY);
    assert_int_equal(claim(&fixture, &entries[2], "a", true).status, AFAR_EAGAIN);
    /* A place is free, and the one that waits may not have it. */
    assert_int_equal(claim(&fixture, &entries[3], "b", true).status, AFAR_OK);
    assert_int_equal(claim(&fixture, &entries[4], "b", true).status, AFAR_EAGAIN);
    registry_remove(fixture.registry, &entries[3]);
    mailbox_deliver(&fixture.mailbox);
    assert_ptr_equal(last_turn, &entries[4]);
    registry_remove(fixture.registry, &entries[0]);
    mailbox_deliver(&fixture.mailbox);
    assert_ptr_equal(last_turn, &entries[2]);
    for (int i = 1; i < 5; i++) {
        if (i != 3)
            registry_remove(fixture.registry, &entries[i]);
    }
    assert_int_equal(turns, 2);
    tear_down(&fixture);
}

static void higher_limits_let_the_waiting_in(void **state)
{
    (void)state;
    struct fixture fixture;
    struct registry_entry entries[3];
    set_up(&fixture, 1, 0, 10);
    assert_int_equal(claim(&fixture, &entries[0], "a", true).status, AFAR_OK);
    assert_int_equal(claim(&fixture, &entries[1], "a", true).status, AFAR_EAGAIN);
    assert_int_equal(claim(&fixture, &entries[2], "a", true).status, AFAR_EAGAIN);
    fixture.config.max_jobs = 3;
    registry_set_limits(fixture.registry, &fixture.config);
    mailbox_deliver(&fixture.mailbox);
    assert_int_equal(turns, 2);
    for (int i = 0; i < 3; i++)
        registry_remove(fixture.registry, &entries[i]);
    tear_down(&fixture);
}

enum { NO_SUCH_PID = 0x3fffffff }; /* beyond the kernel's PID_MAX_LIMIT */

static void only_a_running_job_is_signalled(void **state)
{
    (void)state;
    struct fixture fixture;
    struct registry_entry entry;
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setpgid(0, 0);
        for (;;)
            (void)pause();
    }
    (void)setpgid(pid, pid); /* whoever is first */
    set_up(&fixture, 10, 0, 0);
    assert_int_equal(claim(&fixture, &entry, "a", false).status, AFAR_OK);
    /* Not started yet. */
    assert_int_equal(registry_signal(fixture.registry, entry.id, NULL, SIGTERM, NULL), AFAR_EINVAL);
    registry_set_leader(fixture.registry, &entry, pid);
    assert_int_equal(registry_signal(fixture.registry, "0000", NULL, SIGTERM, NULL), AFAR_EINVAL);
    assert_int_equal(registry_signal(fixture.registry, "", NULL, SIGTERM, NULL), AFAR_EINVAL);
    /* Not b's. */
    assert_int_equal(registry_signal(fixture.registry, entry.id, "b", SIGTERM, NULL), AFAR_EINVAL);
    assert_int_equal(registry_signal(fixture.registry, entry.id, "aa", SIGTERM, NULL), AFAR_EINVAL);
    /* A signal that could not be sent is not taken for one that was. */
    registry_set_leader(fixture.registry, &entry, NO_SUCH_PID);
    assert_int_equal(registry_signal(fixture.registry, entry.id, "a", SIGTERM, NULL), AFAR_ESYSTEM);
    assert_false(registry_clear_leader(fixture.registry, &entry));
    registry_set_leader(fixture.registry, &entry, pid);
    assert_int_equal(registry_signal(fixture.registry, entry.id, "a", SIGTERM, NULL), AFAR_OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGTERM);
    assert_true(registry_clear_leader(fixture.registry, &entry));
    /* The pid may be a stranger's now. */
    assert_int_equal(registry_signal(fixture.registry, entry.id, NULL, SIGTERM, NULL), AFAR_EINVAL);
    registry_remove(fixture.registry, &entry);
    tear_down(&fixture);
}

/* ---- spawns ---------------------------------------------------------------------------------- */

static unsigned spawn_turns;
static struct registry_entry *last_spawn_turn;

static void spawn_turn(struct mail *mail)
{
    spawn_turns++;
    last_spawn_turn = list_object(mail, struct registry_entry, may_spawn);
}

/* So many of one identity at a time; the others wait in the order of their coming. */
static void an_identity_has_a_share_of_the_spawns(void **state)
{
    (void)state;
    struct fixture fixture;
    struct registry_entry a[4];
    struct registry_entry b;
    set_up(&fixture, 10, 0, 0);
    fixture.config.spawns_per_identity = 2;
    registry_set_limits(fixture.registry, &fixture.config);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(claim(&fixture, &a[i], "a", false).status, AFAR_OK);
        a[i].may_spawn.deliver = spawn_turn;
        assert_int_equal(registry_begin_spawn(fixture.registry, &a[i]), i < 2);
    }
    assert_int_equal(claim(&fixture, &b, "b", false).status, AFAR_OK);
    assert_true(registry_begin_spawn(fixture.registry, &b));
    registry_remove(fixture.registry, &b);
    mailbox_deliver(&fixture.mailbox);
    assert_int_equal(spawn_turns, 0);
    /* One runs: the next may begin. */
    registry_set_leader(fixture.registry, &a[0], NO_SUCH_PID);
    mailbox_deliver(&fixture.mailbox);
    assert_int_equal(spawn_turns, 1);
    assert_ptr_equal(last_spawn_turn, &a[2]);
    assert_false(registry_withdraw_spawn(fixture.registry, &a[2]));
    /* One that has waited in vain, and one that ends after it ran, give nothing back. */
    assert_true(registry_withdraw_spawn(fixture.registry, &a[3]));
    registry_remove(fixture.registry, &a[3]);
    registry_remove(fixture.registry, &a[0]);
    assert_int_equal(claim(&fixture, &a[0], "a", false).status, AFAR_OK);
    a[0].may_spawn.deliver = spawn_turn;
    assert_false(registry_begin_spawn(fixture.registry, &a[0]));
    /* One that could not be started does. */
    registry_remove(fixture.registry, &a[1]);
    mailbox_deliver(&fixture.mailbox);
    assert_int_equal(spawn_turns, 2);
    assert_ptr_equal(last_spawn_turn, &a[0]);
    registry_remove(fixture.registry, &a[0]);
    registry_remove(fixture.registry, &a[2]);
    tear_down(&fixture);
}

static void a_rule_has_its_own_limit(void **state)
{
    struct fixture fixture;
    struct registry_entry first;
    struct registry_entry second;
    struct afar_error err;
    (void)state;
    set_up(&fixture, 10, 0, 0);
    assert_int_equal(claim(&fixture, &first, "a", false).status, AFAR_OK);
    assert_int_equal(claim(&fixture, &second, "b", false).status, AFAR_OK);
    assert_int_equal(registry_claim_rule(fixture.registry, &first, "ci", 1, &err), AFAR_OK);
    assert_int_equal(registry_claim_rule(fixture.registry, &second, "ci", 1, &err), AFAR_ELIMIT);
    assert_string_equal(err.message,
                        "1 jobs of the rule 'ci' are running, which is its limit (max_jobs)");
    registry_remove(fixture.registry, &first);
    assert_int_equal(registry_claim_rule(fixture.registry, &second, "ci", 1, &err), AFAR_OK);
    registry_remove(fixture.registry, &second);
    tear_down(&fixture);
}

/* ---- runs to which a client can come back ---------------------------------------------------- */

/* Workers are only compared. */
static struct worker *const here = (struct worker *)(void *)&turns;
static struct worker *const elsewhere = (struct worker *)(void *)&last_turn;

static void runs_are_found_by_their_owner_alone(void **state)
{
    (void)state;
    struct fixture fixture;
    struct registry_entry entry;
    atomic_uint guests = 0;
    int object = 0;
    void *found = NULL;
    struct registry_run run = {.home = here, .guests = &guests, .object = &object};
    struct registry_run other = {.home = here, .guests = &guests};
    set_up(&fixture, 2, 0, 0);
    struct registry *registry = fixture.registry;
    assert_int_equal(claim(&fixture, &entry, "a", false).status, AFAR_OK);
    assert_int_equal(registry_enter_run(registry, &run, "a", "holder-0123456789", NULL), AFAR_OK);
    registry_bind_run(registry, &run, entry.id);
    /* Nobody begins two with one name; another owner has names of its own. */
    assert_int_equal(registry_enter_run(registry, &other, "a", "holder-0123456789", NULL),
                     AFAR_EINVAL);
    registry_leave_run(registry, &other);
    assert_int_equal(registry_enter_run(registry, &other, "b", "holder-0123456789", NULL), AFAR_OK);
    assert_true(registry_find_run(registry, "a", "", "holder-0123456789", here, &found) == here);
    assert_true(found == &object);
    assert_true(registry_find_run(registry, "a", entry.id, "x", here, &found) == here);
    assert_null(registry_find_run(registry, "b", entry.id, "x", here, &found));
    assert_null(registry_find_run(registry, "c", "", "holder-0123456789", here, &found));
    /* Who may have anybody's names it by its job. */
    assert_true(registry_find_run(registry, NULL, entry.id, "x", here, &found) == here);
    assert_null(registry_find_run(registry, NULL, "", "holder-0123456789", here, &found));
    /* Whoever comes from elsewhere has been counted. */
    assert_int_equal(guests, 0);
    assert_true(registry_find_run(registry, "a", entry.id, "x", elsewhere, &found) == here);
    assert_int_equal(guests, 1);
    assert_true(registry_rename_run(registry, &run, "holder-another-one"));
    assert_null(registry_find_run(registry, "a", "", "holder-0123456789", here, &found));
    assert_true(registry_find_run(registry, "a", "", "holder-another-one", here, &found) == here);
    registry_leave_run(registry, &other);
    registry_leave_run(registry, &run);
    assert_null(registry_find_run(registry, "a", entry.id, "x", here, &found));
    registry_remove(registry, &entry);
    tear_down(&fixture);
}

/* Only a session whose client is away is ended for another one of its owner. */
static void one_that_is_away_ends_for_its_owner(void **state)
{
    (void)state;
    struct fixture fixture;
    struct registry_entry entry;
    atomic_uint guests = 0;
    int status = 0;
    struct registry_run run = {.home = here, .guests = &guests};
    set_up(&fixture, 2, 0, 0);
    struct registry *registry = fixture.registry;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)setpgid(0, 0);
        (void)pause();
        _exit(0);
    }
    (void)setpgid(child, child);
    assert_int_equal(claim(&fixture, &entry, "a", false).status, AFAR_OK);
    registry_set_leader(registry, &entry, child);
    assert_false(
        registry_end_away(registry, entry.id, "a")); /* no run that anybody comes back to */
    assert_int_equal(registry_enter_run(registry, &run, "a", "holder-0123456789", NULL), AFAR_OK);
    registry_bind_run(registry, &run, entry.id);
    assert_false(registry_end_away(registry, entry.id, "a")); /* it is attached */
    registry_set_away(registry, &run, true);
    assert_false(registry_end_away(registry, entry.id, "b"));
    assert_false(registry_end_away(registry, "x", "a"));
    registry_set_away(registry, &run, false);
    assert_false(registry_end_away(registry, entry.id, "a"));
    registry_set_away(registry, &run, true);
    assert_true(registry_end_away(registry, entry.id, "a"));
    assert_true(registry_clear_leader(registry, &entry));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    registry_leave_run(registry, &run);
    registry_remove(registry, &entry);
    tear_down(&fixture);
}

static void no_mail(struct mail *mail)
{
    (void)mail;
    fail();
}

/* Until it has come, also its new home is sent after it. */
static void a_run_is_found_where_it_goes(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mail mail = {.deliver = no_mail};
    atomic_uint guests[2] = {0, 0};
    int object = 0;
    void *found = NULL;
    struct registry_run run = {.home = here, .guests = &guests[0], .object = &object};
    set_up(&fixture, 2, 0, 0);
    struct registry *registry = fixture.registry;
    assert_int_equal(registry_enter_run(registry, &run, "a", "holder-0123456789", NULL), AFAR_OK);
    registry_move_run(registry, &run, elsewhere, &guests[1], &fixture.mailbox, &mail);
    assert_ptr_equal(fixture.mailbox.first, &mail);
    fixture.mailbox.first = NULL;
    fixture.mailbox.last = &fixture.mailbox.first;
    struct worker *home = registry_find_run(registry, "a", "", run.holder, here, &found);
    assert_true(home == elsewhere && found == NULL);
    home = registry_find_run(registry, "a", "", run.holder, elsewhere, &found);
    assert_true(home == elsewhere && found == NULL);
    assert_int_equal(guests[0], 0);
    assert_int_equal(guests[1], 2);
    registry_run_arrived(registry, &run);
    home = registry_find_run(registry, "a", "", run.holder, elsewhere, &found);
    assert_true(home == elsewhere && found == &object);
    assert_int_equal(guests[1], 2);
    registry_leave_run(registry, &run);
    tear_down(&fixture);
}

/* Or "run, do not acknowledge, hang up" would hold memory without bound. */
static void a_run_keeps_its_jobs_place(void **state)
{
    (void)state;
    struct fixture fixture;
    struct registry_entry entries[2];
    atomic_uint guests = 0;
    struct registry_run run = {.home = here, .guests = &guests};
    set_up(&fixture, 1, 0, 0);
    struct registry *registry = fixture.registry;
    assert_int_equal(claim(&fixture, &entries[0], "a", false).status, AFAR_OK);
    assert_int_equal(registry_enter_run(registry, &run, "a", "holder-0123456789", NULL), AFAR_OK);
    registry_bind_run(registry, &run, entries[0].id);
    registry_remove(registry, &entries[0]);
    assert_int_equal(registry_count(registry), 1);
    assert_int_equal(claim(&fixture, &entries[1], "a", false).status, AFAR_ELIMIT);
    registry_leave_run(registry, &run);
    assert_int_equal(registry_count(registry), 0);
    assert_int_equal(claim(&fixture, &entries[1], "a", false).status, AFAR_OK);
    /* One that ends before its job leaves it the place. */
    assert_int_equal(registry_enter_run(registry, &run, "a", "holder-0123456789", NULL), AFAR_OK);
    registry_bind_run(registry, &run, entries[1].id);
    registry_leave_run(registry, &run);
    assert_int_equal(registry_count(registry), 1);
    registry_remove(registry, &entries[1]);
    assert_int_equal(registry_count(registry), 0);
    tear_down(&fixture);
}

/* A kept command has its job's place from then on, and one that was found running takes one more. */
static void test_places_that_are_kept(void **state)
{
    (void)state;
    struct fixture fixture;
    struct registry_entry entry = {0};
    struct registry_entry next = {0};
    struct registry_hold passed = {0};
    struct registry_hold found = {0};
    set_up(&fixture, 2, 2, 0);
    struct registry *registry = fixture.registry;
    assert_int_equal(claim(&fixture, &entry, "a", false).status, AFAR_OK);
    assert_int_equal(registry_claim_rule(registry, &entry, "r", 1, NULL), AFAR_OK);
    assert_true(registry_pass(registry, &entry, &passed));
    registry_remove(registry, &entry);
    assert_int_equal(registry_count(registry), 1);
    /* If the rule's place cannot be counted, there is none. */
    char longest[TALLY_NAME_BYTES + 2];
    memset(longest, 'r', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_false(registry_hold(registry, &found, "a", longest));
    assert_null(found.identity);
    assert_int_equal(registry_count(registry), 1);
    assert_true(registry_hold(registry, &found, "a", "q"));
    assert_int_equal(registry_count(registry), 2);
    assert_int_equal(claim(&fixture, &next, "b", false).status, AFAR_ELIMIT);
    registry_release(registry, &found);
    registry_release(registry, &found);
    assert_int_equal(claim(&fixture, &next, "b", false).status, AFAR_OK);
    assert_int_equal(registry_claim_rule(registry, &next, "r", 1, NULL), AFAR_ELIMIT);
    registry_release(registry, &passed);
    assert_int_equal(registry_claim_rule(registry, &next, "r", 1, NULL), AFAR_OK);
    registry_remove(registry, &next);
    assert_int_equal(registry_count(registry), 0);
    tear_down(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_that_are_kept),
        cmocka_unit_test(ids_are_unlike_and_limited),
        cmocka_unit_test(an_identity_has_a_share_of_the_spawns),
        cmocka_unit_test(a_rule_has_its_own_limit),
        cmocka_unit_test(turns_come_in_order),
        cmocka_unit_test(a_full_queue_is_shared),
        cmocka_unit_test(whoever_withdraws_gets_no_turn),
        cmocka_unit_test(one_identity_does_not_hold_up_another),
        cmocka_unit_test(higher_limits_let_the_waiting_in),
        cmocka_unit_test(only_a_running_job_is_signalled),
        cmocka_unit_test(runs_are_found_by_their_owner_alone),
        cmocka_unit_test(a_run_is_found_where_it_goes),
        cmocka_unit_test(a_run_keeps_its_jobs_place),
        cmocka_unit_test(one_that_is_away_ends_for_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
