// wrap: epoll_ctl epoll_wait
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/companion.h"
#include "loop/loop.h"
#include "loop/mailbox.h"

static int control_errno; /* the next call fails so; 0: it does not */
static int wait_errno;

int __real_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    if (control_errno != 0) {
        errno = control_errno;
        control_errno = 0;
        return -1;
    }
    return __real_epoll_ctl(epoll_fd, operation, fd, event);
}

int __real_epoll_wait(int epoll_fd, struct epoll_event *events, int most, int timeout_ms);
int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int most, int timeout_ms);
int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int most, int timeout_ms)
{
    if (wait_errno != 0) {
        errno = wait_errno;
        wait_errno = 0;
        return -1;
    }
    return __real_epoll_wait(epoll_fd, events, most, timeout_ms);
}

static struct loop *loop;

static int set_up(void **state)
{
    (void)state;
    return loop_new(&loop, NULL) == AFAR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

/* A pipe with a byte in it. */
struct ready {
    struct loop_source source;
    int ends[2];
    struct ready *removes; /* when it is ready */
    unsigned count;
};

static void note(struct loop_source *source, uint32_t events)
{
    struct ready *ready = list_object(source, struct ready, source);
    assert_true((events & EPOLLIN) != 0);
    ready->count++;
    if (ready->removes != NULL)
        loop_remove(loop, &ready->removes->source);
}

static void open_ready(struct ready *ready)
{
    *ready = (struct ready){.count = 0};
    assert_int_equal(pipe(ready->ends), 0);
    assert_int_equal(write(ready->ends[1], "x", 1), 1);
    assert_int_equal(loop_add(loop, &ready->source, ready->ends[0], EPOLLIN, note, NULL), AFAR_OK);
}

static void close_ready(struct ready *ready)
{
    loop_remove(loop, &ready->source);
    (void)close(ready->ends[0]);
    (void)close(ready->ends[1]);
}

static void turn(void)
{
    assert_int_equal(loop_turn(loop, NULL), AFAR_OK);
}

static void events_come_while_they_are_wanted(void **state)
{
    (void)state;
    struct ready one;
    open_ready(&one);
    turn();
    turn(); /* level-triggered: the byte is still there */
    assert_int_equal(one.count, 2);
    struct ready other;
    open_ready(&other); /* so that the next turn has something to do */
    assert_int_equal(loop_set_events(loop, &one.source, 0, NULL), AFAR_OK);
    (void)close(one.ends[1]); /* a hang-up is not reported either */
    turn();
    assert_int_equal(one.count, 2);
    assert_int_equal(other.count, 1);
    assert_int_equal(loop_set_events(loop, &one.source, EPOLLIN, NULL), AFAR_OK);
    turn();
    assert_int_equal(one.count, 3);
    one.ends[1] = dup(one.ends[0]);
    close_ready(&one);
    close_ready(&other);
}

/* Both are reported in one turn; whichever comes first removes the other, which must not be called.
 */
static void removed_in_the_same_turn(void **state)
{
    (void)state;
    struct ready one;
    struct ready other;
    open_ready(&one);
    open_ready(&other);
    one.removes = &other;
    other.removes = &one;
    turn();
    assert_int_equal(one.count + other.count, 1);
    close_ready(&one);
    close_ready(&other);
}

static unsigned deferred_count;

static void count_deferred(struct loop_deferred *deferred)
{
    (void)deferred;
    deferred_count++;
}

static void deferred_work_runs_once(void **state)
{
    (void)state;
    struct ready one;
    struct loop_deferred deferred;
    struct loop_deferred cancelled;
    open_ready(&one);
    loop_deferred_init(&deferred, count_deferred);
    loop_deferred_init(&cancelled, count_deferred);
    loop_defer(loop, &deferred);
    loop_defer(loop, &deferred);
    loop_defer(loop, &cancelled);
    loop_deferred_cancel(&cancelled);
    turn();
    turn();
    assert_int_equal(deferred_count, 1);
    close_ready(&one);
}

static void the_kernels_limits(void **state)
{
    (void)state;
    struct ready one;
    struct loop_source source;
    struct afar_error err;
    open_ready(&one);
    control_errno = ENOSPC;
    assert_int_equal(loop_add(loop, &source, one.ends[1], EPOLLOUT, note, &err), AFAR_ESYSTEM);
    assert_int_equal(source.fd, -1);
    assert_int_equal(err.sys_errno, ENOSPC);
    loop_remove(loop, &source); /* harmless */
    control_errno = ENOMEM;
    assert_int_equal(loop_set_events(loop, &one.source, EPOLLIN | EPOLLOUT, &err), AFAR_ENOMEM);
    assert_int_equal(one.source.events, EPOLLIN);
    wait_errno = EINTR;
    turn();
    wait_errno = EBADF;
    assert_int_equal(loop_turn(loop, &err), AFAR_ESYSTEM);
    close_ready(&one);
}

/* ---- mailbox and companion ------------------------------------------------------------------- */

enum { LETTERS = 200, SENDERS = 4 };

struct letter {
    struct mail mail;
    unsigned number;
};

static struct mailbox mailbox;
static struct letter letters[SENDERS][LETTERS];
static unsigned delivered;
static unsigned last[SENDERS];

static void deliver(struct mail *mail)
{
    const struct letter *letter = list_object(mail, struct letter, mail);
    unsigned sender = letter->number / LETTERS;
    unsigned number = letter->number % LETTERS;
    assert_true(number == 0 || last[sender] == number - 1); /* in the order of posting */
    last[sender] = number;
    delivered++;
}

static void *send_letters(void *argument)
{
    struct letter *mine = argument;
    for (unsigned i = 0; i < LETTERS; i++)
        mailbox_post(&mailbox, &mine[i].mail);
    return NULL;
}

static void mail_from_many_threads(void **state)
{
    (void)state;
    pthread_t threads[SENDERS];
    assert_int_equal(mailbox_open(&mailbox, loop, NULL), AFAR_OK);
    for (unsigned s = 0; s < SENDERS; s++) {
        for (unsigned i = 0; i < LETTERS; i++)
            letters[s][i] = (struct letter){.mail.deliver = deliver, .number = s * LETTERS + i};
        assert_int_equal(pthread_create(&threads[s], NULL, send_letters, letters[s]), 0);
    }
    while (delivered < SENDERS * LETTERS)
        turn();
    for (unsigned s = 0; s < SENDERS; s++)
        (void)pthread_join(threads[s], NULL);
    mailbox_close(&mailbox);
}

struct work {
    struct task task;
    pthread_t worked_in;
    unsigned done;
};

static void work(struct task *task)
{
    list_object(task, struct work, task)->worked_in = pthread_self();
}

static void work_done(struct mail *mail)
{
    list_object(mail, struct work, task.done)->done++;
}

static void a_companion_works_elsewhere(void **state)
{
    (void)state;
    struct companion *companion = NULL;
    struct work works[3];
    assert_int_equal(mailbox_open(&mailbox, loop, NULL), AFAR_OK);
    assert_int_equal(companion_start(&companion, &mailbox, NULL), AFAR_OK);
    for (unsigned i = 0; i < 3; i++) {
        works[i] = (struct work){.task = {.work = work, .done.deliver = work_done}};
        companion_post(companion, &works[i].task);
    }
    while (works[2].done == 0)
        turn();
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(works[i].done, 1);
        assert_false(pthread_equal(works[i].worked_in, pthread_self()));
    }
    /* What was posted before the end is done; its mail can still be fetched. */
    works[0].done = 0;
    companion_post(companion, &works[0].task);
    assert_true(companion_stop(companion));
    mailbox_deliver(&mailbox);
    assert_int_equal(works[0].done, 1);
    mailbox_close(&mailbox);
}

/* Nothing is reported where it is offered before it has come, nor where it was after it has left. */
static void a_source_goes_to_another_loop(void **state)
{
    struct loop *other = NULL;
    struct ready ready;
    (void)state;
    assert_int_equal(loop_new(&other, NULL), AFAR_OK);
    open_ready(&ready);
    (void)close(ready.ends[1]); /* a hang-up is reported whatever is waited for */
    control_errno = ENOSPC;
    assert_int_equal(loop_offer(other, &ready.source, NULL), AFAR_ESYSTEM);
    assert_int_equal(loop_turn(loop, NULL), AFAR_OK); /* as it was */
    assert_int_equal(ready.count, 1);
    assert_int_equal(loop_offer(other, &ready.source, NULL), AFAR_OK);
    assert_int_equal(loop_turn(other, NULL), AFAR_OK);
    assert_int_equal(ready.count, 1);
    loop_unoffer(other, &ready.source);
    assert_int_equal(loop_offer(other, &ready.source, NULL), AFAR_OK);
    loop_leave(loop, &ready.source);
    assert_int_equal(loop_take(other, &ready.source, NULL), AFAR_OK);
    assert_int_equal(loop_turn(other, NULL), AFAR_OK);
    assert_int_equal(ready.count, 2);
    loop_remove(other, &ready.source);
    /* It is watched nowhere any more. */
    assert_int_equal(loop_add(loop, &ready.source, ready.ends[0], EPOLLIN, note, NULL), AFAR_OK);
    loop_remove(loop, &ready.source);
    /* What waits for nothing has nothing to offer; what cannot be taken waits for nothing. */
    assert_int_equal(loop_add(loop, &ready.source, ready.ends[0], 0, note, NULL), AFAR_OK);
    assert_int_equal(loop_offer(other, &ready.source, NULL), AFAR_OK);
    loop_leave(loop, &ready.source);
    assert_int_equal(loop_take(other, &ready.source, NULL), AFAR_OK);
    assert_int_equal(loop_set_events(other, &ready.source, EPOLLIN, NULL), AFAR_OK);
    assert_int_equal(loop_offer(loop, &ready.source, NULL), AFAR_OK);
    loop_leave(other, &ready.source);
    control_errno = ENOMEM;
    assert_int_equal(loop_take(loop, &ready.source, NULL), AFAR_ENOMEM);
    assert_int_equal(ready.source.events, 0);
    assert_int_equal(loop_set_events(loop, &ready.source, EPOLLIN, NULL), AFAR_OK);
    loop_remove(loop, &ready.source);
    (void)close(ready.ends[0]);
    loop_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_while_they_are_wanted),
        cmocka_unit_test(removed_in_the_same_turn),
        cmocka_unit_test(deferred_work_runs_once),
        cmocka_unit_test(the_kernels_limits),
        cmocka_unit_test(a_source_goes_to_another_loop),
        cmocka_unit_test(mail_from_many_threads),
        cmocka_unit_test(a_companion_works_elsewhere),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
