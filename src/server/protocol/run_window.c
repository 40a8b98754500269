/* Sizes a run's windows: what wire/window.h wants, as far as server/window_pool.h allows. */
#include "server/protocol/run.h"

#include "base/clock.h"
#include "server/protocol/native_internal.h"

static struct window_pool *pool_of(const struct run *run)
{
    return &run->worker->shared->windows;
}

/* Sets the run's share of the pool so that the window has `wanted` bytes, including those that
 * every run has. Returns the size that it may have. */
static size_t take(struct run *run, struct run_share *share, size_t wanted)
{
    bool refused = false;
    const size_t more = wanted > share->own_bytes ? wanted - share->own_bytes : 0;
    const size_t got = window_pool_take(pool_of(run), &share->bytes, more, &refused);
    if (refused)
        counters_count(&run->worker->shared->counters, COUNTER_WINDOW_TOTAL_BYTES);
    return share->own_bytes + got;
}

size_t run_window_begin(struct run *run, struct run_share *share, size_t own_bytes, size_t bytes)
{
    share->own_bytes = own_bytes;
    return bytes > own_bytes ? take(run, share, bytes) : bytes;
}

void run_window_end(struct run *run)
{
    (void)take(run, &run->out_share, 0);
    (void)take(run, &run->in_share, 0);
}

/* The next size of a window, from what is wanted and what is fair. */
static size_t settle(struct run *run, struct run_share *share, size_t now, size_t wanted)
{
    if (wanted > now) {
        const size_t got = take(run, share, wanted);
        if (got <= now)
            return now;
        counters_count(&run->worker->shared->counters, COUNTER_WINDOWS_GROWN);
        return got;
    }
    if (wanted < now)
        return wanted; /* the peer has become slower */
    const size_t fair = window_pool_fair(pool_of(run), share->bytes);
    return fair < share->bytes ? share->own_bytes + fair : now;
}

/* Releases the part of a window that is not needed any more and is empty. */
static void give_back(struct run *run, struct run_share *share, size_t in_use)
{
    if (share->bytes > 0 && in_use < share->own_bytes + share->bytes)
        (void)take(run, share, in_use);
}

void run_window_settle(struct run *run)
{
    struct run_host *host = &run->host;
    const size_t window = output_log_capacity(host->log);
    const size_t credit = (size_t)host->stdin_credit;
    const size_t next_window = settle(run, &run->out_share, window, run_host_wants_window(host));
    const size_t next_credit = settle(run, &run->in_share, credit, run_host_wants_credit(host));
    if (next_window != window)
        run_host_set_window(host, next_window);
    if (next_credit != credit) {
        if (run->job != NULL)
            job_allow_stdin(run->job, next_credit);
        run_host_set_credit(host, next_credit);
    }
    give_back(run, &run->out_share, run_host_window_in_use(host));
    give_back(run, &run->in_share, run_host_credit_in_use(host));
}

void run_window_rest(struct run *run)
{
    struct run_host *host = &run->host;
    if (run->out_share.bytes + run->in_share.bytes == 0)
        return;
    if (output_log_held(host->log) == 0)
        run_host_set_window(host, 0);
    if (host->stdin_taken == host->stdin_received)
        run_host_set_credit(host, 0);
    run_window_settle(run);
}

void run_window_clock(struct run *run)
{
    if (run_host_wants_clock(&run->host))
        run_host_clock(&run->host, clock_now_us());
}

/* A TLS handshake takes one round trip and some milliseconds. A client whose handshake took less
 * than this seems near, and is asked only after something was sent. */
enum { FAR_HANDSHAKE_MS = 20 };

void run_window_started(struct run *run)
{
    run_window_clock(run);
    run_host_started(&run->host, run->native->connection->handshake_ms >= FAR_HANDSHAKE_MS);
    run_window_ask(run);
}

void native_time_way(struct native *native)
{
    native->heartbeats++;
    native->window_ping = native->heartbeats;
    native_check_queued(native,
                        message_put_ping(&native->connection->out, native->heartbeats, NULL));
}

void run_window_ask(struct run *run)
{
    if (run->native != NULL && run_host_ask(&run->host))
        native_time_way(run->native);
}

void run_window_answered(struct run *run)
{
    run_window_clock(run);
    run_host_answered(&run->host);
    run_window_settle(run);
    if (run->job != NULL)
        job_resume_output(run->job); /* there may be room now */
}
