/* The keeper's main function: sets up its descriptors and its loop, and runs it to the end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/orphans.h"
#include "exec/spawn.h"
#include "keep/keeper_internal.h"

enum {
    LINGER_MS = 10000, /* how long the keeper stays after its job has ended, for late readers */
    WINDOW_BYTES = OUTPUT_LOG_CAPACITY_MIN
};

static bool bytes_before(const struct run_spool *run_spool, uint64_t seq, uint64_t bytes[2])
{
    const struct keeper *keeper = list_object(run_spool, struct keeper, run_spool);
    if (keeper->ended && seq == keeper->end.seq + 1) { /* after the receipt */
        spool_bytes(keeper->spool, bytes);
        return true;
    }
    return spool_bytes_before(keeper->spool, seq, bytes);
}

static void pump_all(struct loop_deferred *deferred)
{
    readers_pump(list_object(deferred, struct keeper, pump));
}

static bool wants_again(const struct keeper *keeper)
{
    return keeper->waiting > 0 || (keeper->ended && !keeper->stored);
}

static void timer_fired(struct timer *timer)
{
    struct keeper *keeper = list_object(timer, struct keeper, timer);
    struct timers *timers = loop_timers(keeper->host.loop);
    int64_t now_ms = clock_now_ms();
    if (keeper->resting)
        readers_accept_again(keeper);
    if (wants_again(keeper))
        kept_job_retry(keeper);
    loop_defer(keeper->host.loop, &keeper->pump);
    if (keeper->ended && keeper->leave_at_ms == DEADLINE_NEVER)
        keeper->leave_at_ms = clock_deadline_ms(LINGER_MS);
    /* A reader that still reads is not interrupted. */
    if (keeper->stored && list_empty(&keeper->readers) && now_ms >= keeper->leave_at_ms)
        keeper->done = true;
    bool again = keeper->ended || keeper->resting || wants_again(keeper);
    timer_arm(timers, timer, again ? now_ms + KEEPER_AGAIN_MS : DEADLINE_NEVER);
}

static void job_left(struct job_host *host)
{
    (void)host;
}

/* ---- making it ------------------------------------------------------------------------------- */

static enum afar_status open_loop(struct keeper *keeper, struct afar_error *err)
{
    keeper->host.left = job_left;
    keeper->host.counters = &keeper->counters;
    keeper->host.figures = &keeper->figures;
    keeper->host.self = pthread_self();
    job_host_init(&keeper->host);
    loop_deferred_init(&keeper->pump, pump_all);
    keeper->leave_at_ms = DEADLINE_NEVER;
    enum afar_status status = loop_new(&keeper->host.loop, err);
    if (status == AFAR_OK)
        status = mailbox_open(&keeper->mailbox, keeper->host.loop, err);
    if (status == AFAR_OK)
        status = timer_attach(loop_timers(keeper->host.loop), &keeper->timer, timer_fired, err);
    return status;
}

static enum afar_status open_folder(struct keeper *keeper, struct afar_error *err)
{
    enum afar_status status = jobdir_read_request(keeper->folder_fd, &keeper->request, err);
    if (status == AFAR_OK)
        status = jobdir_read_token(keeper->folder_fd, keeper->token, err);
    const struct spool_limits limits = {.bytes = keeper->request.spool_bytes,
                                        .when_full = keeper->request.when_full};
    if (status == AFAR_OK)
        status = spool_open(&keeper->spool, keeper->folder_fd, &limits, err);
    return status;
}

static enum afar_status open_run(struct keeper *keeper, const struct keep_order *order,
                                 struct afar_error *err)
{
    keeper->run_spool.bytes_before = bytes_before;
    keeper->cursor.fd = -1;
    if (keeper->request.window_bytes < WINDOW_BYTES)
        keeper->request.window_bytes = WINDOW_BYTES;
    const struct run_host_setup setup = {
        .holder = keeper->ended ? keeper->end.holder : keeper->request.holder,
        .resume_ms = keeper->request.resume_ms,
        .spool = &keeper->run_spool,
        .stdin_stream = order != NULL && order->stdin_stream,
        .stdin_credit = order != NULL ? order->stdin_credit : MESSAGE_STDIN_CREDIT_BYTES,
        .window_bytes = keeper->request.window_bytes,
        .window_max = order != NULL ? order->window_max : 0,
        .window_most = KEEPER_WINDOW_MOST_BYTES};
    enum afar_status status = run_host_open(&keeper->run, &setup, clock_now_ms(), err);
    if (keeper->ended) {
        keeper->run.next_attempt = keeper->end.next_attempt;
        run_host_spooled(&keeper->run, keeper->end.seq + 1);
    }
    return status;
}

/* SIGCHLD must wake this thread, so the threads that are started meanwhile block it. */
static void hold_children(bool hold)
{
    sigset_t children;
    (void)sigemptyset(&children);
    (void)sigaddset(&children, SIGCHLD);
    (void)pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &children, NULL);
}

/* Starts a new job. */
static enum afar_status open_new(struct keeper *keeper, struct afar_error *err)
{
    enum afar_status status = order_take(&keeper->order, KEEPER_ORDER_FD, err);
    if (status != AFAR_OK)
        return status;
    const struct keep_order *order = order_of(keeper->order);
    keeper->host.base = &order->base;
    keeper->host.limits = order->limits;
    keeper->lock_fd = KEEPER_LOCK_FD;
    keeper->host.orphans = orphans_new(JOB_VARIABLE);
    if (keeper->host.orphans == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for orphans");
    hold_children(true);
    status = job_host_start(&keeper->host, &keeper->mailbox, err);
    hold_children(false);
    if (status == AFAR_OK)
        status = open_run(keeper, order, err);
    if (status == AFAR_OK)
        status = readers_open(keeper, KEEPER_LISTENER_FD, err);
    return status == AFAR_OK ? kept_job_begin(keeper, err) : status;
}

/* Serves a job that has ended. *other: another keeper serves it already. */
static enum afar_status open_old(struct keeper *keeper, bool *other, struct afar_error *err)
{
    uint64_t bytes[2];
    int listener_fd = -1;
    keeper->lock_fd =
        openat(keeper->folder_fd, "read", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (keeper->lock_fd >= 0 && flock(keeper->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        *other = errno == EWOULDBLOCK;
        return afar_fail_errno(err, errno, "cannot lock a job's folder");
    }
    enum afar_status status = jobdir_read_end(keeper->folder_fd, &keeper->end, err);
    if (status != AFAR_OK)
        return status;
    keeper->ended = keeper->stored = true;
    bytes[0] = keeper->end.receipt.stdout_bytes;
    bytes[1] = keeper->end.receipt.stderr_bytes;
    spool_complete(keeper->spool, keeper->end.seq, bytes);
    status = open_run(keeper, NULL, err);
    if (status == AFAR_OK)
        status = jobdir_listen(keeper->folder_fd, &listener_fd, err);
    if (status == AFAR_OK)
        status = readers_open(keeper, listener_fd, err);
    timer_arm(loop_timers(keeper->host.loop), &keeper->timer, clock_now_ms() + KEEPER_AGAIN_MS);
    return status;
}

/* ---- the program ----------------------------------------------------------------------------- */

/* The command must inherit none of these descriptors. An inherited lock would look like a living
 * keeper. */
static void close_on_exec(void)
{
    for (int fd = KEEPER_FIRST_FD; fd < KEEPER_FIRST_FD + KEEPER_FDS; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void wake(int number)
{
    (void)number; /* it only has to interrupt the loop's wait */
}

/* No signal but KILL ends the keeper: it must outlive its command. */
static void set_signals(void)
{
    const struct sigaction action = {.sa_handler = wake};
    (void)sigaction(SIGCHLD, &action, NULL);

    static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        (void)signal(ignored[i], SIG_IGN);
}

static void reap(struct keeper *keeper)
{
    if (keeper->host.orphans != NULL)
        (void)orphans_reap(keeper->host.orphans, clock_now_us() + 2000);
}

static int keep(struct keeper *keeper, bool reads)
{
    bool other = false;
    struct afar_error err;
    enum afar_status status = open_loop(keeper, &err);
    if (status == AFAR_OK)
        status = open_folder(keeper, &err);
    if (status == AFAR_OK)
        status = reads ? open_old(keeper, &other, &err) : open_new(keeper, &err);
    if (status != AFAR_OK && !other)
        return EXIT_FAILURE;
    if (write(KEEPER_STATUS_FD, "k", 1) != 1) {
        /* Nobody waits for the report any more; run nevertheless. */
    }
    (void)close(KEEPER_STATUS_FD);
    while (!other && !keeper->done) {
        if (loop_turn(keeper->host.loop, NULL) != AFAR_OK)
            break;
        reap(keeper);
    }
    return EXIT_SUCCESS;
}

int keeper_main(int argc, char **argv)
{
    static struct keeper keeper;
    const bool reads = argc > 1 && strcmp(argv[1], KEEPER_READ) == 0;
    if (fcntl(KEEPER_STATUS_FD, F_GETFD) < 0 || fcntl(KEEPER_FOLDER_FD, F_GETFD) < 0)
        _exit(127); /* not started by keep_start or keep_read */
    /* Before another file can get this number. */
    keeper.fence_fd = fcntl(KEEPER_FENCE_FD, F_GETFD) >= 0 ? KEEPER_FENCE_FD : 0;
    (void)close(KEEPER_PROGRAM_FD);
    pid_t child = fork(); /* the parent exits, so that init adopts this process */
    if (child != 0)
        _exit(child > 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    (void)setsid();
    (void)prctl(PR_SET_NAME, "afard-keep"); /* not "exe", as it was executed */
    set_signals();
    close_on_exec();
    (void)prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
    (void)orphans_adopt();
    keeper.folder_fd = KEEPER_FOLDER_FD;
    /* The end of the process frees the rest. */
    _exit(keep(&keeper, reads));
}
