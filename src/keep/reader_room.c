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
    if (window == room->window_counted && credit == room->credit_counted)
        return;
    room->asking = window > room->window_counted || credit > room->credit_counted;
    room->window_counted = window;
    room->credit_counted = credit;
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

/* Tells the server what is wanted, and what it counts that is not in use any more. What it has
 * refused to count is not asked for again. */
static void tell(struct reader *reader, const struct run_host *host)
{
    const struct reader_room *room = &reader->room;
    const struct windows *windows = &host->windows;
    if (room->asking)
        return;
    put(reader,
        larger(beyond(room->window_wanted, windows->out.least_bytes),
               smaller(window_beyond(host), room->window_counted)),
        larger(beyond(room->credit_wanted, windows->in.least_bytes),
               smaller(credit_beyond(host), room->credit_counted)));
}

void room_begin(struct reader *reader)
{
    struct run_host *host = reader_host(reader);
    reader->room = (struct reader_room){0};
    /* The keeper does not know how far away its client is. */
    if (host == NULL)
        return;
    run_host_started(host, true);
    room_ask(reader);
    /* What an earlier client has left behind. */
    put(reader, window_beyond(host), credit_beyond(host));
}

static void set_credit(struct reader *reader, struct run_host *host, size_t bytes)
{
    if (reader->keeper->job != NULL)
        job_allow_stdin(reader->keeper->job, bytes);
    run_host_set_credit(host, bytes);
}

/* It is to grow beyond what the server counts. */
static bool must_ask(const struct reader_room *room, size_t size, size_t now, size_t counted)
{
    return size > now && (room->asking || size > counted);
}

void room_settle(struct reader *reader)
{
    struct reader_room *room = &reader->room;
    struct run_host *host = reader_host(reader);
    if (host == NULL || !run_host_wants_clock(host))
        return;
    const size_t window = run_host_wants_window(host);
    const size_t credit = run_host_wants_credit(host);
    if (must_ask(room, window, output_log_capacity(host->log),
                 host->windows.out.least_bytes + room->window_counted))
        room->window_wanted = window;
    else if (window != output_log_capacity(host->log))
        run_host_set_window(host, window);
    if (must_ask(room, credit, (size_t)host->stdin_credit,
                 host->windows.in.least_bytes + room->credit_counted))
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

void room_take(struct reader *reader, const struct message *message)
{
    struct reader_room *room = &reader->room;
    struct run_host *host = reader_host(reader);
    if (host == NULL || !run_host_wants_clock(host))
        return;
    const size_t now = output_log_capacity(host->log);
    const size_t window = next_size(now, room->window_wanted,
                                    host->windows.out.least_bytes + (size_t)message->window);
    const size_t credit = next_size((size_t)host->stdin_credit, room->credit_wanted,
                                    host->windows.in.least_bytes + (size_t)message->credit);
    /* An answer says what the server counts. Otherwise other commands want room: it counts less when
     * it is told that less is in use. (If the two cross, the answer that comes second is more.) */
    if (room->asking || room->window_counted < message->window)
        room->window_counted = (size_t)message->window;
    if (room->asking || room->credit_counted < message->credit)
        room->credit_counted = (size_t)message->credit;
    room->asking = false;
    room->window_wanted = room->credit_wanted = 0;
    if (window != now)
        run_host_set_window(host, window);
    if (credit != host->stdin_credit)
        set_credit(reader, host, credit);
    tell(reader, host);
}
