// Jobs without a server: a loop, its companions, and a place that allows everything.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/environment.h"
#include "exec/helper.h"
#include "job/internal.h"
#include "job/move.h"

enum { DEADLINE_MS = 30000, OUTPUT_BYTES = 4096 };

static struct job_host host;
static struct mailbox mailbox;
static struct counters counters;
static struct figures figures;
static struct job_base base;
static unsigned left;             /* jobs that the host was told of */
static struct job_host *moved_to; /* the place, of the job; NULL: it was not */

/* What is known of the one job. */
struct run {
    struct job_owner owner;
    struct job_place place;
    struct job_decider decider;
    struct job *job; /* NULL: it has ended or was refused */
    struct afar_receipt receipt;
    struct refusal refusal;
    const struct rule *rule; /* NULL: none */
    bool refuse;
    bool in_turn; /* may_spawn says so */
    bool queued;
    bool started;
    bool ran;
    bool spoke;
    bool gone;
    char output[2][OUTPUT_BYTES];
    size_t size[2];
};

/* ---- the owner ------------------------------------------------------------------------------- */

static struct run *run_of(struct job_owner *owner)
{
    return list_object(owner, struct run, owner);
}

static void on_started(struct job_owner *owner)
{
    run_of(owner)->started = true;
}

static enum afar_status on_reserve(struct job_owner *owner, enum stream stream, uint8_t **room,
                                   size_t *size, struct afar_error *err)
{
    struct run *run = run_of(owner);
    *room = (uint8_t *)run->output[stream] + run->size[stream];
    *size = OUTPUT_BYTES - 1 - run->size[stream];
    return *size > 0 ? AFAR_OK : afar_fail(err, AFAR_EAGAIN, "no room");
}

static void on_commit(struct job_owner *owner, enum stream stream, size_t size)
{
    run_of(owner)->size[stream] += size;
    run_of(owner)->spoke = run_of(owner)->spoke || size > 0;
}

static void on_stdin_taken(struct job_owner *owner)
{
    (void)owner;
}

static void on_ended(struct job_owner *owner, const struct afar_receipt *receipt)
{
    struct run *run = run_of(owner);
    run->receipt = *receipt;
    run->job = NULL;
}

static void on_refused(struct job_owner *owner, const struct refusal *refusal)
{
    struct run *run = run_of(owner);
    run->refusal = *refusal;
    run->job = NULL;
}

static const struct job_owner_ops owner_ops = {.started = on_started,
                                               .reserve = on_reserve,
                                               .commit = on_commit,
                                               .stdin_taken = on_stdin_taken,
                                               .ended = on_ended,
                                               .refused = on_refused};

/* ---- the place ------------------------------------------------------------------------------- */

static struct run *run_at(struct job_place *place)
{
    return list_object(place, struct run, place);
}

static bool on_leave(struct job_place *place)
{
    run_at(place)->queued = false;
    return true;
}

static bool on_may_spawn(struct job_place *place)
{
    return run_at(place)->in_turn;
}

static bool on_withdraw_spawn(struct job_place *place)
{
    return !run_at(place)->in_turn;
}

static void on_runs(struct job_place *place, pid_t leader)
{
    run_at(place)->ran = leader > 0 && kill(leader, 0) == 0;
}

static bool on_ends(struct job_place *place)
{
    (void)place;
    return false;
}

static void on_note_end(struct job_place *place, const struct job_launch *launch, pid_t pid,
                        const struct afar_receipt *receipt)
{
    (void)place, (void)launch, (void)pid, (void)receipt;
    fail(); /* nothing was audited */
}

static void on_explain(struct job_place *place, const struct job_launch *launch,
                       const enum afar_outcome *stopped, struct refusal *refusal)
{
    (void)place;
    refusal->code = launch->refused   ? REFUSAL_DENIED
                    : stopped != NULL ? REFUSAL_DRAINING
                                      : REFUSAL_BUSY;
    (void)snprintf(refusal->text, sizeof refusal->text, "%s", launch->error.message);
}

static void on_gone(struct job_place *place)
{
    run_at(place)->gone = true;
}

static void on_moved(struct job_place *place, struct job_host *to)
{
    (void)place;
    moved_to = to;
}

static const struct job_place_ops place_ops = {.leave = on_leave,
                                               .moved = on_moved,
                                               .may_spawn = on_may_spawn,
                                               .withdraw_spawn = on_withdraw_spawn,
                                               .runs = on_runs,
                                               .ends = on_ends,
                                               .note_end = on_note_end,
                                               .explain = on_explain,
                                               .gone = on_gone};

/* In the companion. */
static enum afar_status decide(struct job_decider *decider, struct job_launch *launch,
                               struct afar_error *err)
{
    const struct run *run = list_object(decider, struct run, decider);
    char *last[] = {launch->variable, NULL};
    launch->refused = run->refuse;
    if (run->refuse)
        return afar_fail(err, AFAR_EREFUSED, "not today");
    launch->decision.allowed = true;
    launch->decision.rule = run->rule;
    return environment_build(&launch->environment, environ, launch->request->env, last, err);
}

/* ---- running --------------------------------------------------------------------------------- */

static void job_left(struct job_host *which)
{
    assert_ptr_equal(which, moved_to != NULL ? moved_to : &host);
    left++;
}

static int set_up(void **state)
{
    (void)state;
    host = (struct job_host){.log = log_new(STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT),
                             .counters = &counters,
                             .figures = &figures,
                             .orphans = orphans_new(JOB_VARIABLE),
                             .base = &base,
                             .left = job_left,
                             .limits = {.stdin_bytes = 1 << 20,
                                        .spawn_timeout_ms = 10000,
                                        .kill_grace_ms = 10000,
                                        .linger_ms = 100,
                                        .linger_max_ms = 1000},
                             .self = pthread_self()};
    if (getrlimit(RLIMIT_NOFILE, &base.descriptors) != 0 || getrlimit(RLIMIT_CORE, &base.core) != 0)
        return -1;
    (void)signal(SIGPIPE, SIG_IGN);
    left = 0;
    moved_to = NULL;
    job_host_init(&host);
    assert_int_equal(loop_new(&host.loop, NULL), AFAR_OK);
    assert_int_equal(mailbox_open(&mailbox, host.loop, NULL), AFAR_OK);
    return job_host_start(&host, &mailbox, NULL) == AFAR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    bool stopped = job_host_stop(&host, &mailbox);
    mailbox_close(&mailbox);
    loop_free(host.loop);
    orphans_free(host.orphans);
    log_free(host.log);
    return stopped && list_empty(&host.jobs) ? 0 : -1;
}

/* A job for the shell line, which may be changed before it begins. */
static void make(struct run *run, const char *line)
{
    struct exec_request *request = calloc(1, sizeof *request);
    *run = (struct run){.owner.ops = &owner_ops,
                        .place.ops = &place_ops,
                        .decider.decide = decide,
                        .in_turn = true};
    assert_non_null(request);
    request->argv = calloc(4, sizeof *request->argv);
    assert_non_null(request->argv);
    request->shell = strdup(line);
    request->stdin_stream = true;
    request->digest = true;
    request->start_within_ms = DEADLINE_MS;
    static char shell[] = "/bin/sh";
    static char option[] = "-c";
    request->argv[0] = shell;
    request->argv[1] = option;
    request->argv[2] = request->shell;
    assert_int_equal(job_new(&run->job, &host, &run->place, &run->owner, request, "a test", NULL),
                     AFAR_OK);
    job_set_id(run->job, "0123456789abcdef");
}

static void begin(struct run *run, const char *line)
{
    make(run, line);
    job_begin(run->job, &run->decider, NULL);
}

static void turn_until(const bool *what, const struct run *run)
{
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    while (run->job != NULL && (what == NULL || !*what)) {
        assert_true(clock_now_ms() < deadline_ms);
        assert_int_equal(loop_turn(host.loop, NULL), AFAR_OK);
    }
}

static void run_to_end(const struct run *run)
{
    turn_until(NULL, run);
    assert_true(run->gone);
    assert_int_equal(left, 1);
    assert_true(list_empty(&host.jobs));
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void output_input_and_receipt(void **state)
{
    (void)state;
    struct run run;
    begin(&run, "read line; echo \"got $line as $AFAR_JOB\"; echo oops >&2; exit 7");
    assert_false(job_has_run(run.job));
    assert_int_equal(job_write_stdin(run.job, "hello\n", 6, NULL), AFAR_OK);
    job_close_stdin(run.job);
    run_to_end(&run);
    assert_true(run.started && run.ran);
    assert_string_equal(run.output[STREAM_STDOUT], "got hello as 0123456789abcdef\n");
    assert_string_equal(run.output[STREAM_STDERR], "oops\n");
    assert_int_equal(run.receipt.outcome, AFAR_OUTCOME_EXITED);
    assert_int_equal(run.receipt.code, 7);
    assert_int_equal(run.receipt.stdin_bytes, 6);
    assert_int_equal(run.receipt.stdout_bytes, run.size[STREAM_STDOUT]);
    assert_int_equal(strlen(run.receipt.stdout_sha256), 64);
    assert_int_equal(atomic_load(&counters.value[COUNTER_JOBS_ENDED]), 1);
}

static void a_timeout_ends_it(void **state)
{
    (void)state;
    struct run run;
    make(&run, "sleep 1000");
    host.limits.job_timeout_ms = 50;
    job_begin(run.job, &run.decider, NULL);
    run_to_end(&run);
    assert_int_equal(run.receipt.outcome, AFAR_OUTCOME_TIMED_OUT);
    assert_string_equal(run.receipt.limit.name, "timeout");
    assert_int_equal(run.receipt.limit.by, AFAR_BY_SERVER);
}

static void stopped_by_its_owner(void **state)
{
    (void)state;
    struct run run;
    begin(&run, "sleep 1000");
    turn_until(&run.started, &run);
    job_stop(run.job, AFAR_OUTCOME_DISCONNECTED);
    run_to_end(&run);
    assert_int_equal(run.receipt.outcome, AFAR_OUTCOME_DISCONNECTED);
    assert_string_equal(run.receipt.signal, "TERM");
}

static void killed_with_its_host(void **state)
{
    (void)state;
    struct run run;
    begin(&run, "trap '' TERM; echo ready; while :; do sleep 1000; done");
    turn_until(&run.started, &run);
    turn_until(&run.spoke, &run);
    job_host_kill_jobs(&host, AFAR_OUTCOME_KILLED);
    run_to_end(&run);
    assert_int_equal(run.receipt.outcome, AFAR_OUTCOME_KILLED);
    assert_string_equal(run.receipt.signal, "KILL");
}

static void a_rule_limits_its_output(void **state)
{
    (void)state;
    struct rule rule = {.max_output = {.set = true, .value = 10}};
    struct run run;
    make(&run, "echo 0123456789; sleep 1000");
    run.rule = &rule;
    job_begin(run.job, &run.decider, NULL);
    run_to_end(&run);
    assert_int_equal(run.receipt.outcome, AFAR_OUTCOME_OUTPUT_LIMIT);
    assert_int_equal(run.receipt.stdout_bytes, 10);
    assert_int_equal(run.receipt.limit.by, AFAR_BY_RULE);
}

static void it_cannot_be_started(void **state)
{
    (void)state;
    const struct rule rule = {.memory_bytes = {.set = true, .value = 1 << 30}};
    struct run run;
    make(&run, "true");
    run.rule = &rule;
    job_begin(run.job, &run.decider, NULL);
    run_to_end(&run);
    assert_false(run.started);
    assert_int_equal(run.receipt.outcome, AFAR_OUTCOME_SPAWN_FAILED);
    assert_string_equal(run.receipt.error_stage, "cgroup");
}

static void its_decider_refuses_it(void **state)
{
    (void)state;
    struct run run;
    make(&run, "true");
    run.refuse = true;
    job_begin(run.job, &run.decider, NULL);
    run_to_end(&run);
    assert_false(run.started);
    assert_int_equal(run.refusal.code, REFUSAL_DENIED);
    assert_string_equal(run.refusal.text, "not today");
}

static void it_waits_and_begins(void **state)
{
    (void)state;
    struct run run;
    make(&run, "cat");
    job_wait(run.job);
    assert_true(job_is_wanted(run.job));
    assert_int_equal(job_write_stdin(run.job, "early", 5, NULL), AFAR_OK);
    job_close_stdin(run.job);
    run.in_turn = false;
    job_begin(run.job, &run.decider, NULL);
    run.in_turn = true;
    job_spawn_turn(run.job);
    run_to_end(&run);
    assert_string_equal(run.output[STREAM_STDOUT], "early");
    assert_int_equal(run.receipt.outcome, AFAR_OUTCOME_EXITED);
}

static void it_waits_in_vain(void **state)
{
    (void)state;
    struct run run;
    make(&run, "true");
    run.queued = true;
    job_wait(run.job);
    job_host_drain(&host);
    assert_false(job_is_wanted(run.job));
    run_to_end(&run);
    assert_false(run.queued || run.started);
    assert_int_equal(run.refusal.code, REFUSAL_DRAINING);
}

static void abandoned_it_ends_alone(void **state)
{
    (void)state;
    struct run run;
    begin(&run, "echo said; sleep 1000");
    turn_until(&run.started, &run);
    job_abandon(run.job);
    assert_null(job_owner(run.job));
    turn_until(&run.gone, &run);
    assert_true(list_empty(&host.jobs));
}

/* Another host, in the same thread. */
static void open_other(struct job_host *other, struct mailbox *its)
{
    *other = (struct job_host){.log = host.log,
                               .counters = &counters,
                               .figures = &figures,
                               .orphans = host.orphans,
                               .base = &base,
                               .left = job_left,
                               .limits = host.limits,
                               .self = pthread_self()};
    job_host_init(other);
    assert_int_equal(loop_new(&other->loop, NULL), AFAR_OK);
    assert_int_equal(mailbox_open(its, other->loop, NULL), AFAR_OK);
    assert_int_equal(job_host_start(other, its, NULL), AFAR_OK);
    assert_int_equal(timers_keep(loop_timers(other->loop), 1, NULL), AFAR_OK);
}

static void close_other(struct job_host *other, struct mailbox *its)
{
    assert_true(job_host_stop(other, its));
    assert_true(list_empty(&other->jobs));
    mailbox_close(its);
    loop_free(other->loop);
}

/* One of its descriptors cannot be watched there: it stays, and nothing of it is left there. */
static void refuse_offers(const struct run *run, struct job_host *other)
{
    const struct job *job = run->job;
    const int fds[] = {job->streams.output[0].source.fd, job->streams.output[1].source.fd,
                       job->exit_source.fd};
    struct loop_source watched;
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        assert_int_equal(loop_add(other->loop, &watched, fds[i], EPOLLIN, NULL, NULL), AFAR_OK);
        assert_int_equal(job_offer(job, other, NULL), AFAR_ESYSTEM); /* EEXIST */
        loop_remove(other->loop, &watched);
    }
    assert_int_equal(job_offer(job, other, NULL), AFAR_OK);
    job_unoffer(job, other);
    assert_int_equal(job_offer(job, other, NULL), AFAR_OK);
}

static void it_goes_to_another_host(void **state)
{
    struct job_host other;
    struct mailbox its;
    struct run run;
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    (void)state;
    open_other(&other, &its);
    make(&run, "echo before; read line; echo \"got $line\"; sleep 1000");
    assert_false(job_may_move(run.job));
    host.limits.job_timeout_ms = 500;
    job_begin(run.job, &run.decider, NULL);
    assert_false(job_may_move(run.job));
    turn_until(&run.spoke, &run);
    assert_true(job_may_move(run.job));
    refuse_offers(&run, &other);
    job_leave(run.job, &other);
    assert_ptr_equal(moved_to, &other);
    assert_true(list_empty(&host.jobs));
    job_arrive(run.job);
    assert_int_equal(job_write_stdin(run.job, "it\n", 3, NULL), AFAR_OK);
    /* Its time is over there, and its processes are ended by the sweeper there. */
    while (run.job != NULL) {
        assert_true(clock_now_ms() < deadline_ms);
        assert_int_equal(loop_turn(other.loop, NULL), AFAR_OK);
    }
    assert_true(run.gone);
    assert_string_equal(run.output[STREAM_STDOUT], "before\ngot it\n");
    assert_int_equal(run.receipt.outcome, AFAR_OUTCOME_TIMED_OUT);
    close_other(&other, &its);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    /* A job that wants the helper would execute this program, and all tests again, without end. */
    if (argc < 1 || strcmp(argv[0], HELPER_NAME) == 0)
        return 127;
    const struct CMUnitTest tests[] = {
        TEST(output_input_and_receipt), TEST(a_timeout_ends_it),        TEST(stopped_by_its_owner),
        TEST(killed_with_its_host),     TEST(a_rule_limits_its_output), TEST(it_cannot_be_started),
        TEST(its_decider_refuses_it),   TEST(it_waits_and_begins),      TEST(it_waits_in_vain),
        TEST(abandoned_it_ends_alone),  TEST(it_goes_to_another_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
