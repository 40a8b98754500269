#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/companion.h"

enum { TASKS = 40, DEADLINE_MS = 60000 };

struct job {
    struct task task;
    int fd; /* to be read until its end; -1: no waiting */
    atomic_bool worked;
    bool done;
};

static struct loop *loop;
static struct mailbox mailbox;
static struct companion *companion;
static unsigned done_count;

static void work(struct task *task)
{
    struct job *job = list_object(task, struct job, task);
    char byte = 0;
    while (job->fd >= 0 && read(job->fd, &byte, 1) > 0)
        ;
    job->worked = true;
}

static void done(struct mail *mail)
{
    struct job *job = list_object(mail, struct job, task.done);
    assert_true(job->worked);
    job->done = true;
    done_count++;
}

static void post_for(struct job *job, int fd, const void *owner)
{
    *job = (struct job){.fd = fd, .task.owner = owner};
    job->task.work = work;
    job->task.done.deliver = done;
    companion_post(companion, &job->task);
}

static void post(struct job *job, int fd)
{
    post_for(job, fd, NULL);
}

static void turn_until(unsigned count)
{
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    while (done_count < count) {
        assert_true(clock_now_ms() < deadline_ms);
        assert_int_equal(loop_turn(loop, NULL), AFAR_OK);
    }
}

static int set_up(void **state)
{
    (void)state;
    done_count = 0;
    return loop_new(&loop, NULL) != AFAR_OK || mailbox_open(&mailbox, loop, NULL) != AFAR_OK ||
           companion_start(&companion, &mailbox, NULL) != AFAR_OK;
}

static int tear_down(void **state)
{
    (void)state;
    assert_true(companion_stop(companion));
    mailbox_deliver(&mailbox);
    mailbox_close(&mailbox);
    loop_free(loop);
    return 0;
}

static void works_in_order(void **state)
{
    (void)state;
    static struct job jobs[TASKS];
    for (int i = 0; i < TASKS; i++)
        post(&jobs[i], -1);
    turn_until(TASKS);
    for (int i = 0; i < TASKS; i++)
        assert_true(jobs[i].done);
}

/* Tasks that hang do not hold up those behind them, until COMPANION_THREADS_MAX hang. */
static void one_that_hangs_delays_nobody(void **state)
{
    (void)state;
    static struct job hung[COMPANION_THREADS_MAX - 1];
    static struct job others[TASKS];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < COMPANION_THREADS_MAX - 1; i++)
        post(&hung[i], ends[0]);
    for (int i = 0; i < TASKS; i++)
        post(&others[i], -1);
    turn_until(TASKS);
    for (int i = 0; i < COMPANION_THREADS_MAX - 1; i++)
        assert_false(hung[i].done);
    (void)close(ends[1]);
    turn_until(TASKS + COMPANION_THREADS_MAX - 1);
    (void)close(ends[0]);
}

/* However many tasks of one owner hang, others find a thread; and when they hang no longer, those
 * that had to wait are done too. */
static void an_owner_has_a_share(void **state)
{
    (void)state;
    static struct job hung[TASKS];
    static struct job others[TASKS];
    static const char owner = 'a';
    static const char other = 'b';
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < TASKS; i++)
        post_for(&hung[i], ends[0], &owner);
    for (int i = 0; i < TASKS; i++)
        post_for(&others[i], -1, i % 2 == 0 ? &other : NULL);
    turn_until(TASKS);
    for (int i = 0; i < TASKS; i++)
        assert_true(others[i].done && !hung[i].done);
    (void)close(ends[1]);
    turn_until(2 * TASKS);
    for (int i = 0; i < TASKS; i++)
        assert_true(hung[i].done);
    (void)close(ends[0]);
}

/* What has not been begun can be taken back; and that leaves no hole in the order. */
static void what_waits_can_be_withdrawn(void **state)
{
    (void)state;
    static struct job hung[TASKS];
    static const char owner = 'a';
    struct job last;
    int ends[2];
    unsigned withdrawn = 0;
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < TASKS; i++)
        post_for(&hung[i], ends[0], &owner);
    post(&last, -1);
    turn_until(1); /* as many as may hang do so by now */
    for (int i = 0; i < TASKS; i += 2)
        withdrawn += companion_withdraw(companion, &hung[i].task);
    assert_int_equal(withdrawn, (TASKS - COMPANION_SHARE) / 2);
    assert_false(companion_withdraw(companion, &last.task));
    (void)close(ends[1]);
    turn_until(1 + TASKS - withdrawn);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(hung[i].done, i < COMPANION_SHARE || i % 2 == 1);
    (void)close(ends[0]);
}

/* Threads that hang for good are replaced, so that as many as ever can hang besides. */
static void a_thread_that_was_given_up_is_replaced(void **state)
{
    (void)state;
    enum { MAX = COMPANION_THREADS_MAX };
    static struct job hung[MAX];
    static struct job more[MAX - 1];
    struct job other;
    int first[2];
    int second[2];
    assert_int_equal(pipe(first) | pipe(second), 0);
    for (int i = 0; i < MAX; i++)
        post(&hung[i], first[0]);
    for (int i = 0; i < MAX - 1; i++)
        post(&more[i], second[0]);
    post(&other, -1);
    /* All threads hang, and nothing else is done, until they are given up. */
    for (int i = 0; i < MAX; i++) {
        int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
        enum companion_loss loss = COMPANION_DONE;
        while (loss == COMPANION_DONE) { /* its thread may not have begun it yet */
            assert_true(clock_now_ms() < deadline_ms && done_count == 0);
            assert_int_equal(loop_turn(loop, NULL), AFAR_OK);
            loss = companion_give_up(companion, &hung[i].task, MAX);
        }
        assert_int_equal(loss, COMPANION_REPLACED);
    }
    turn_until(1);
    assert_true(other.done);
    /* No more than that are. */
    assert_int_equal(companion_give_up(companion, &more[0].task, MAX), COMPANION_KEPT);
    assert_int_equal(companion_give_up(companion, &other.task, MAX), COMPANION_DONE);
    /* They are done after all. */
    (void)close(first[1]);
    turn_until(1 + MAX);
    (void)close(second[1]);
    turn_until(1 + MAX + MAX - 1);
    post(&other, -1);
    turn_until(1 + MAX + MAX - 1 + 1);
    (void)close(first[0]);
    (void)close(second[0]);
}

/* It ends without them; they must find what they use, and tell nobody. */
static void a_stop_does_not_wait_for_what_was_given_up(void **state)
{
    (void)state;
    static struct job hung[2];
    struct job other;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < 2; i++)
        post(&hung[i], ends[0]);
    post(&other, -1);
    turn_until(1);
    assert_int_equal(companion_give_up(companion, &hung[0].task, 1), COMPANION_REPLACED);
    assert_int_equal(companion_give_up(companion, &hung[1].task, 1), COMPANION_KEPT);
    static struct companion *left_behind; /* its threads use it to their end */
    left_behind = companion;
    assert_false(companion_stop(companion));
    assert_non_null(left_behind);
    (void)close(ends[1]);
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    while (!hung[0].worked || !hung[1].worked) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 1);
    }
    mailbox_deliver(&mailbox);
    assert_false(hung[0].done || hung[1].done);
    (void)close(ends[0]);
    assert_int_equal(companion_start(&companion, &mailbox, NULL), AFAR_OK);
}

static void what_was_posted_is_worked_through_before_the_end(void **state)
{
    (void)state;
    static struct job jobs[TASKS];
    for (int i = 0; i < TASKS; i++)
        post(&jobs[i], -1);
    assert_true(companion_stop(companion));
    for (int i = 0; i < TASKS; i++)
        assert_true(jobs[i].worked);
    assert_int_equal(companion_start(&companion, &mailbox, NULL), AFAR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(works_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_hangs_delays_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_owner_has_a_share, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_waits_can_be_withdrawn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_thread_that_was_given_up_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_does_not_wait_for_what_was_given_up, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_was_posted_is_worked_through_before_the_end, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
