/* Sizes a reader's windows: what wire/window.h wants, as far as the server allows. */
#include "keep/reader.h"

#include "base/clock.h"

enum { PING_ID = 1 };

void room_clock(struct reader *reader)
{
    struct run_host *host = reader_host(reader);
    if (host != NULL && run_host_wants_clock(host))
        run_host_clock(host, clock_now_us());
}

void room_ask(struct reader *reader)
{
    struct run_host *host = reader_host(reader);
    if (host != NULL && run_host_ask(host))
        reader_check(reader, message_put_ping(&reader->out, PING_ID, NULL));
}

static size_t beyond(size_t bytes, size_t own_bytes)
{
    return bytes > own_bytes ? bytes - own_bytes : 0;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void put(struct reader *reader, size_t window, size_t credit)
{
    struct reader_room *room = &reader->room;
    room->asking = window > room->window_allowed || credit > room->credit_allowed;
    room->window_told = window;
    room->credit_told = credit;
    room->window_allowed = smaller(room->window_allowed, window);
    room->credit_allowed = smaller(room->credit_allowed, credit);
    reader_check(reader, message_put_room(&reader->out, reader->id, window, credit, NULL));
}

static size_t window_beyond(const struct run_host *host)
{
    return beyond(run_host_window_in_use(host), host->windows.out.least_bytes);
}

static size_t credit_beyond(const struct run_host *host)
{
    return beyond(run_host_credit_in_use(host), host->windows.in.least_bytes);
}

/* Tells the server what is wanted, or that less is in use than it knows of. */
static void tell(struct reader *reader, const struct run_host *host)
{
    const struct reader_room *room = &reader->room;
    const size_t window = larger(beyond(room->window_wanted, host->windows.out.least_bytes),
                                 smaller(window_beyond(host), room->window_told));
    const size_t credit = larger(beyond(room->credit_wanted, host->windows.in.least_bytes),
                                 smaller(credit_beyond(host), room->credit_told));
    const bool less = window < room->window_told || credit < room->credit_told;
    if (!room->asking && (less || room->window_wanted > 0 || room->credit_wanted > 0))
        put(reader, window, credit);
}

void room_begin(struct reader *reader)
{
    struct run_host *host = reader_host(reader);
    reader->room = (struct reader_room){0};
    if (host == NULL)
        return;
    /* The keeper does not know how far away its client is. */
    run_host_started(host, true);
    room_ask(reader);
    /* What an earlier client has left behind. */
    if (window_beyond(host) + credit_beyond(host) > 0)
        put(reader, window_beyond(host), credit_beyond(host));
}

static void set_credit(struct reader *reader, struct run_host *host, size_t bytes)
{
    if (reader->keeper->job != NULL)
        job_allow_stdin(reader->keeper->job, bytes);
    run_host_set_credit(host, bytes);
}

/* It is to grow beyond what the server allows. */
static bool must_ask(size_t size, size_t now, size_t allowed)
{
    return size > now && size > allowed;
}

void room_settle(struct reader *reader)
{
    struct reader_room *room = &reader->room;
    struct run_host *host = reader_host(reader);
    if (host == NULL || !run_host_wants_clock(host))
        return;
    const size_t window = run_host_wants_window(host);
    const size_t credit = run_host_wants_credit(host);
    if (must_ask(window, output_log_capacity(host->log),
                 host->windows.out.least_bytes + room->window_allowed))
        room->window_wanted = window;
    else if (window != output_log_capacity(host->log))
        run_host_set_window(host, window);
    if (must_ask(credit, (size_t)host->stdin_credit,
                 host->windows.in.least_bytes + room->credit_allowed))
        room->credit_wanted = credit;
    else if (credit != host->stdin_credit)
        set_credit(reader, host, credit);
    tell(reader, host);
}

void room_answered(struct reader *reader, const struct message *message)
{
    struct run_host *host = reader_host(reader);
    if (host == NULL || message->id != PING_ID)
        return;
    room_clock(reader);
    run_host_answered(host);
    room_settle(reader);
}

/* The next size: what is wanted, or else what there is, as far as it is allowed. */
static size_t next_size(size_t now, size_t wanted, size_t allowed)
{
    return smaller(larger(now, wanted), allowed);
}

/* An answer; or, without a question, other commands want room. */
void room_take(struct reader *reader, const struct message *message)
{
    struct reader_room *room = &reader->room;
    struct run_host *host = reader_host(reader);
    if (host == NULL || !run_host_wants_clock(host))
        return;
    /* It may have crossed what was told: the server counts no more than that. */
    const size_t window_most = room->asking ? room->window_told : room->window_allowed;
    const size_t credit_most = room->asking ? room->credit_told : room->credit_allowed;
    room->window_allowed = smaller((size_t)message->window, window_most);
    room->credit_allowed = smaller((size_t)message->credit, credit_most);
    const size_t window = next_size(output_log_capacity(host->log), room->window_wanted,
                                    host->windows.out.least_bytes + room->window_allowed);
    const size_t credit = next_size((size_t)host->stdin_credit, room->credit_wanted,
                                    host->windows.in.least_bytes + room->credit_allowed);
    room->asking = false;
    room->window_wanted = room->credit_wanted = 0;
    if (window != output_log_capacity(host->log))
        run_host_set_window(host, window);
    if (credit != host->stdin_credit)
        set_credit(reader, host, credit);
    tell(reader, host);
}
