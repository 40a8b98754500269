#include "support/threaded.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "exec/proc.h"
#include "support/program.h"

static void *command_main(void *argument)
{
    struct threaded *command = argument;
    char shell[] = "sh";
    char option[] = "-c";
    char path[] = "PATH=/bin:/usr/bin";
    char *script = strdup(command->script);
    char *environment[] = {path, command->variable, NULL};
    char *argv[] = {shell, option, script, NULL};
    const struct spawn_request request = {.argv = argv, .env = environment};
    command->status = spawn_process(&request, NULL, &command->result, NULL);
    free(script);
    (void)pthread_mutex_lock(&command->lock);
    command->started = true;
    (void)pthread_cond_signal(&command->changed);
    while (!command->over)
        (void)pthread_cond_wait(&command->changed, &command->lock);
    (void)pthread_mutex_unlock(&command->lock);
    return NULL;
}

struct orphans *threaded_orphans(void)
{
    return orphans_adopt() && orphans_are_adopted() ? orphans_new("AFAR_JOB=") : NULL;
}

void threaded_start(struct threaded *command, const char *name, const char *script)
{
    *command = (struct threaded){.script = script};
    (void)snprintf(command->variable, sizeof command->variable, "AFAR_JOB=%s-%d", name,
                   (int)getpid());
    (void)pthread_mutex_init(&command->lock, NULL);
    (void)pthread_cond_init(&command->changed, NULL);
    assert_int_equal(pthread_create(&command->thread, NULL, command_main, command), 0);
    (void)pthread_mutex_lock(&command->lock);
    while (!command->started)
        (void)pthread_cond_wait(&command->changed, &command->lock);
    (void)pthread_mutex_unlock(&command->lock);
    assert_int_equal(command->status, AFAR_OK);
    command->process = (struct process){.pid = command->result.pid, .pidfd = command->result.pidfd};
}

struct family_mark threaded_mark(const struct threaded *command)
{
    return (struct family_mark){.session = command->process.pid, .variable = command->variable};
}

void threaded_expect_line(struct threaded *command)
{
    size_t used = 0;
    while (used == 0 || command->line[used - 1] != '\n') {
        struct pollfd wait = {.fd = command->result.stdout_fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, (int)test_deadline_ms()), 1);
        ssize_t got =
            read(command->result.stdout_fd, command->line + used, sizeof command->line - 1 - used);
        assert_true(got > 0);
        used += (size_t)got;
    }
    command->line[used] = '\0';
}

void threaded_expect_end(const struct threaded *command)
{
    struct pollfd wait = {.fd = command->process.pidfd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, (int)test_deadline_ms()), 1);
}

void threaded_sweep(struct threaded *command, struct sweep *sweep, struct orphans *orphans,
                    const struct sweep_order *order)
{
    struct sweep_order whole = *order;
    whole.leader = command->process.pid;
    whole.mark = threaded_mark(command);
    whole.orphans = orphans;
    sweep_begin(sweep, &whole);
    enum sweep_progress progress = SWEEP_MORE;
    while (progress != SWEEP_DONE) {
        int64_t wait_ms = 0;
        progress = sweep_step(sweep, clock_now_us() + 1000, &wait_ms);
        if (progress == SWEEP_WAIT)
            (void)poll(NULL, 0, (int)wait_ms);
    }
}

void threaded_sweep_away(struct threaded *command, struct orphans *orphans)
{
    struct sweep sweep;
    const struct sweep_order order = {
        .leader_ended = true, .signals = {SIGKILL}, .until_none = true};
    sweep_init(&sweep);
    threaded_sweep(command, &sweep, orphans, &order);
    if (sweep.result.left > 0)
        fail_msg("%s: something is left", command->script);
    sweep_close(&sweep);
}

struct process_end threaded_close(struct threaded *command)
{
    struct process_end end;
    threaded_expect_end(command);
    assert_int_equal(process_reap(&command->process, &end, NULL), AFAR_OK);
    (void)close(command->result.stdout_fd);
    (void)close(command->result.stderr_fd);
    (void)pthread_mutex_lock(&command->lock);
    command->over = true;
    (void)pthread_cond_signal(&command->changed);
    (void)pthread_mutex_unlock(&command->lock);
    (void)pthread_join(command->thread, NULL);
    (void)pthread_cond_destroy(&command->changed);
    (void)pthread_mutex_destroy(&command->lock);
    return end;
}

static bool has_child(pid_t pid)
{
    struct proc_numbers pids = {0};
    bool found = false;
    proc_add_children(getpid(), getpid(), &pids);
    for (size_t i = 0; i < pids.count; i++)
        found = found || pid == 0 || pids.at[i] == pid;
    free(pids.at);
    return found;
}

bool is_child_of_main_thread(pid_t pid)
{
    return has_child(pid);
}

void expect_no_orphans(struct orphans *orphans)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (has_child(0)) {
        assert_true(clock_now_ms() < deadline_ms);
        while (orphans_reap(orphans, clock_now_us() + 1000))
            ;
        (void)poll(NULL, 0, 1);
    }
}
