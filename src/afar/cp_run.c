#include "afar/cp_run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "afar/report.h"
#include "base/clock.h"

enum {
    STOP_MS = 2000, /* how long servers have to end after a signal */
    END_MS = 60000, /* how long to wait for a receipt, once all requests are answered */
    INPUT_BYTES = 131072,
    WATCHED = CP_HOSTS_MAX + 3,
    DESCRIPTORS = 4096
};

static const char *host_of(const struct cp_run *run, const struct requests *requests)
{
    for (size_t i = 0; i < run->host_count; i++) {
        if (&run->hosts[i].requests == requests)
            return run->hosts[i].name;
    }
    return NULL;
}

static void on_result(void *user, const struct copy_result *result)
{
    struct cp_run *run = user;
    if (run->progress.shown && (run->tell.verbose || result->outcome >= COPY_SKIPPED))
        progress_erase(&run->progress);
    cp_tell_result(&run->tell, result, host_of(run, result->from), host_of(run, result->to));
}

static size_t on_output(void *user, const void *data, size_t size)
{
    struct cp_run *run = user;
    return output_write(&run->output, data, size);
}

static enum copy_links links_of(const struct options *options)
{
    static const char *const words[] = {[COPY_LINKS_SAFE] = "safe",
                                        [COPY_LINKS_ALL] = "all",
                                        [COPY_LINKS_FOLLOW] = "follow",
                                        [COPY_LINKS_SKIP] = "skip"};
    for (int i = COPY_LINKS_SAFE; options->links != NULL && i <= COPY_LINKS_SKIP; i++) {
        if (strcmp(options->links, words[i]) == 0)
            return (enum copy_links)i;
    }
    return COPY_LINKS_DEFAULT;
}

bool cp_run_open(struct cp_run *run, const struct options *options)
{
    const struct copy_options how = {.recursive = options->recursive,
                                     .update = options->update,
                                     .links = links_of(options),
                                     .owner = options->owner,
                                     .in_place = options->in_place,
                                     .fsync = options->fsync,
                                     .no_verify = options->no_verify,
                                     .no_resume = options->no_resume,
                                     .limit = options->limit};
    struct rlimit limit;
    run->options = options;
    run->began_ms = clock_now_ms();
    run->deadline_ms = clock_deadline_ms(options->timeout_ms);
    copy_init(&run->copy, &how);
    run->copy.on_result = on_result;
    run->copy.on_output = on_output;
    run->copy.user = run;
    run->tell.json = options->json;
    run->tell.verbose = options->verbose;
    /* The soft limit is low only for programs that use select(2). */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS) {
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    return true;
}

void cp_run_close(struct cp_run *run)
{
    copy_close(&run->copy);
    for (size_t i = 0; i < run->host_count; i++)
        cp_host_close(&run->hosts[i]);
    if (run->has_output)
        output_close(&run->output);
    if (run->has_signals)
        signals_close(&run->signals);
}

struct cp_host *cp_run_host(struct cp_run *run, const char *name)
{
    for (size_t i = 0; i < run->host_count; i++) {
        if (run->hosts[i].name != NULL && strcmp(run->hosts[i].name, name) == 0)
            return &run->hosts[i];
    }
    if (run->host_count == CP_HOSTS_MAX) {
        report("cp: more than %d hosts at once", CP_HOSTS_MAX);
        return NULL;
    }
    struct cp_host *host = &run->hosts[run->host_count++];
    if (!cp_host_open(host, run->options, name))
        return NULL;
    return host;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int least(int a, int b)
{
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

static void move_hosts(struct cp_run *run)
{
    for (size_t i = 0; i < run->host_count; i++)
        cp_host_move(&run->hosts[i]);
}

static void take_signal(struct cp_run *run)
{
    int number = signals_next(&run->signals);
    if (number != SIGINT && number != SIGTERM && number != SIGHUP && number != SIGQUIT)
        return;
    run->over = run->signal != 0;
    if (run->signal == 0)
        run->give_up_ms = clock_now_ms() + STOP_MS;
    run->signal = number;
}

/* The end by --timeout is ours and not the server's: so partial files are left, or removed, as
 * after a signal. */
static void check_deadline(struct cp_run *run)
{
    if (run->timed_out || run->signal != 0 || clock_now_ms() < run->deadline_ms)
        return;
    run->timed_out = true;
    run->give_up_ms = clock_now_ms() + STOP_MS;
}

static void say_timed_out(const struct cp_run *run, const char *more)
{
    const long long ms = (long long)run->options->timeout_ms;
    report("cp: timed out after %lld %s%s", ms % 1000 == 0 ? ms / 1000 : ms,
           ms % 1000 == 0 ? "s" : "ms", more);
}

/* Nothing was copied yet, so that the servers have nothing to end; but queries that nobody waits
 * for any more must not be answered later. */
static void give_up_hosts(struct cp_run *run, int status)
{
    for (size_t i = 0; i < run->host_count; i++)
        cp_host_give_up(&run->hosts[i], status);
}

static void read_input(struct cp_run *run)
{
    static char data[INPUT_BYTES];
    ssize_t got = read(STDIN_FILENO, data, sizeof data);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    copy_input(&run->copy, data, got > 0 ? (size_t)got : 0, got < 0 ? errno : 0);
}

static void wait_ready(struct cp_run *run, bool at_once)
{
    struct pollfd watched[WATCHED];
    bool reads = copy_wants_input(&run->copy);
    bool writes = run->has_output && buffer_size(&run->copy.output) > 0;
    int timeout_ms = least(copy_timeout_ms(&run->copy), progress_timeout_ms(&run->progress));
    nfds_t count = 3;
    watched[0] = (struct pollfd){.fd = run->has_signals ? run->signals.fd : -1, .events = POLLIN};
    watched[1] = (struct pollfd){.fd = reads ? STDIN_FILENO : -1, .events = POLLIN};
    watched[2] = (struct pollfd){.fd = writes ? run->output.fd : -1, .events = POLLOUT};
    for (size_t i = 0; i < run->host_count; i++) {
        const struct cp_host *host = &run->hosts[i];
        if (host->ended || host->remote.client == NULL)
            continue;
        watched[count++] = (struct pollfd){.fd = afar_fd(host->remote.client),
                                           .events = afar_events(host->remote.client)};
        timeout_ms = least(timeout_ms, afar_timeout(host->remote.client));
        at_once = at_once || cp_host_has_more(host);
    }
    if (run->signal != 0 || run->timed_out)
        timeout_ms = least(timeout_ms, clock_poll_timeout(run->give_up_ms));
    else
        timeout_ms = least(timeout_ms, clock_poll_timeout(run->deadline_ms));
    if (poll(watched, count, at_once ? 0 : timeout_ms) <= 0)
        return;
    if (watched[0].revents != 0)
        take_signal(run);
    if (watched[1].revents != 0)
        read_input(run);
    if (watched[2].revents != 0)
        run->output.blocked = false;
}

bool cp_run_wait(struct cp_run *run, const struct query *query)
{
    for (;;) {
        move_hosts(run);
        for (size_t i = 0; i < run->host_count; i++) {
            if (run->hosts[i].ended) {
                give_up_hosts(run, run->hosts[i].status);
                return false;
            }
        }
        if (query->done)
            return true;
        check_deadline(run);
        if (run->timed_out) {
            say_timed_out(run, "");
            give_up_hosts(run, STATUS_TIMED_OUT);
            return false;
        }
        wait_ready(run, false);
    }
}

/* ---- the copy -------------------------------------------------------------------------------- */

static void open_streams(struct cp_run *run)
{
    run->has_signals = signals_open(&run->signals, false);
    progress_open(&run->progress, run->options->quiet || run->options->json);
    if (!run->to_output)
        return;
    output_open(&run->output, STDOUT_FILENO, "cannot write to standard output");
    run->has_output = true;
}

/* True if the copy must end: a server is gone, a signal came, or the output has no reader. */
static bool check_end(struct cp_run *run, int *status)
{
    for (size_t i = 0; i < run->host_count; i++) {
        if (run->hosts[i].ended && *status == 0) {
            *status = run->hosts[i].status;
            run->tell.silent = true;
        }
    }
    if (run->has_output && (run->output.closed || run->output.failure != 0) && *status == 0) {
        if (run->output.failure != 0)
            report("cannot write to standard output: %s", strerror(run->output.failure));
        *status = STATUS_FAILED;
        run->tell.silent = true;
    }
    if (run->signal != 0 && *status == 0) {
        *status = 128 + run->signal;
        run->tell.silent = true;
    }
    check_deadline(run);
    if (run->timed_out && *status == 0) {
        *status = STATUS_TIMED_OUT;
        run->tell.silent = true;
    }
    return *status != 0;
}

static void say_stopped(const struct cp_run *run)
{
    const char *more = "; files that were not whole have not replaced anything; the same command "
                       "goes on where large ones ended";
    if (run->options->in_place || run->to_output) /* what is damaged is told file by file */
        more = "";
    else if (run->options->no_resume)
        more = "; files that were not whole have not replaced anything";
    if (run->signal != 0)
        report("interrupted by %s%s", sigabbrev_np(run->signal), more);
    else
        say_timed_out(run, more);
}

static int finish(struct cp_run *run, int status)
{
    progress_erase(&run->progress);
    const bool stopped = run->signal != 0 || run->timed_out;
    if (stopped)
        say_stopped(run);
    for (size_t i = 0; i < run->host_count && !run->over; i++) {
        int ended = cp_host_end(&run->hosts[i], stopped ? STOP_MS : END_MS);
        status = status == 0 ? ended : status;
    }
    if (status == 0 && run->copy.counts.outcomes[COPY_FAILED] > 0)
        status = 1;
    cp_tell_total(&run->tell, &run->copy.counts, clock_now_ms() - run->began_ms, status);
    /* The total was flushed; an error may also be of an earlier line. */
    if (run->options->json && (fflush(stdout) != 0 || ferror(stdout) != 0)) {
        report("cannot write to standard output: what was copied is not told completely");
        status = status == 0 ? STATUS_FAILED : status;
    }
    return status;
}

int cp_run_copy(struct cp_run *run)
{
    int status = 0;
    open_streams(run);
    for (size_t i = 0; i < run->host_count; i++) {
        run->hosts[i].copy = &run->copy;
        run->hosts[i].stop_fd = run->has_signals ? run->signals.fd : 0;
        if (&run->hosts[i] != run->target)
            run->hosts[i].next_to = run->target;
        afar_keep_session(run->hosts[i].remote.client);
    }
    while (!copy_done(&run->copy) && !run->over) {
        /* First flush output: data that was held back for it causes no event. */
        if (run->has_output)
            (void)copy_flush(&run->copy);
        move_hosts(run);
        if (check_end(run, &status))
            copy_stop(&run->copy);
        bool more = copy_step(&run->copy);
        if (copy_done(&run->copy))
            break;
        progress_show(&run->progress, &run->copy);
        wait_ready(run, more);
        if ((run->signal != 0 || run->timed_out) && clock_now_ms() >= run->give_up_ms)
            run->over = true;
    }
    return finish(run, status);
}
