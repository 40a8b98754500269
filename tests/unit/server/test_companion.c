#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/companion.h"

enum { TASKS = 40, DEADLINE_MS = 60000 };

struct job {
    struct task task;
    int fd; /* to be read until its end; -1: no waiting */
    bool worked;
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

static void post(struct job *job, int fd)
{
    *job = (struct job){.fd = fd};
    job->task.work = work;
    job->task.done.deliver = done;
    companion_post(companion, &job->task);
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
    companion_stop(companion);
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

static void what_was_posted_is_worked_through_before_the_end(void **state)
{
    (void)state;
    static struct job jobs[TASKS];
    for (int i = 0; i < TASKS; i++)
        post(&jobs[i], -1);
    companion_stop(companion);
    for (int i = 0; i < TASKS; i++)
        assert_true(jobs[i].worked);
    assert_int_equal(companion_start(&companion, &mailbox, NULL), AFAR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(works_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_hangs_delays_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_posted_is_worked_through_before_the_end, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
