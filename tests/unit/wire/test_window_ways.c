/* A run's windows on ways of many kinds, by a clock that only the test moves: the real run_host, and a
 * network, a client and a command that do what a table says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "wire/run_host.h"

enum {
    KIB = 1024,
    MIB = 1 << 20,
    TICK_US = 100,
    QUEUE = 4096,
    ACK_WITHIN_US = 20000,
    TOO_LONG_US = 200000000
};

enum { FRAME, PING, ACK, PONG };

/* Something on its way. */
struct event {
    int kind;
    int64_t due_us;
    uint64_t number; /* frame: its seq; ack: next, or input taken; stdin: the end of it */
    uint64_t bytes;  /* or, of an ack for input, the credit */
};

struct queue {
    struct event at[QUEUE];
    size_t first;
    size_t count;
};

/* What is between the two, and who they are. Rates in bytes for each millisecond; 0: no bound. */
struct way {
    const char *name;
    int64_t one_way_us;
    uint64_t link_rate;
    uint64_t reader_rate;
    int64_t
        reader_rests_us; /* it takes all that there is each time that these are over; 0: always */
    uint64_t window_max;
    uint64_t total;
    /* What must come of it. */
    unsigned most_trips; /* 0: of no account */
    size_t least_window;
    size_t most_window;
};

static struct run_host host;
static struct queue up;
static struct queue down;
static int64_t now_us;
static size_t largest;
static unsigned pings;

static void put(struct queue *queue, struct event event)
{
    assert_true(queue->count < QUEUE);
    queue->at[(queue->first + queue->count) % QUEUE] = event;
    queue->count++;
}

static bool take(struct queue *queue, struct event *event)
{
    if (queue->count == 0 || queue->at[queue->first].due_us > now_us)
        return false;
    *event = queue->at[queue->first];
    queue->first = (queue->first + 1) % QUEUE;
    queue->count--;
    return true;
}

static void open_world(const struct way *way)
{
    static const int session;
    const struct run_host_setup setup = {.holder = "alice-0123456789",
                                         .resume_ms = 1000,
                                         .stdin_stream = true,
                                         .stdin_credit = MIB,
                                         .window_bytes = 2 * MIB,
                                         .window_max = way->window_max,
                                         .window_most = 16 * MIB,
                                         .session = &session,
                                         .id = 1};
    memset(&up, 0, sizeof up);
    memset(&down, 0, sizeof down);
    now_us = 1000000;
    largest = 0;
    pings = 0;
    assert_int_equal(run_host_open(&host, &setup, 0, NULL), AFAR_OK);
}

static void settle(void)
{
    run_host_set_window(&host, run_host_wants_window(&host));
    run_host_set_credit(&host, run_host_wants_credit(&host));
}

/* ---- output ---------------------------------------------------------------------------------- */

/* The link's end is free from then on. */
static int64_t through(const struct way *way, int64_t *free_us, uint64_t bytes)
{
    if (*free_us < now_us)
        *free_us = now_us;
    if (way->link_rate > 0)
        *free_us += (int64_t)(bytes * 1000 / way->link_rate);
    return *free_us + way->one_way_us;
}

static void server_hears(void)
{
    struct event event;
    bool resume = false;
    while (take(&up, &event)) {
        run_host_clock(&host, now_us);
        if (event.kind == PONG)
            run_host_answered(&host);
        else
            assert_int_equal(run_host_ack(&host, host.session, event.number, &resume, NULL),
                             AFAR_OK);
        settle();
    }
    if (output_log_capacity(host.log) > largest)
        largest = output_log_capacity(host.log);
}

static void server_sends(const struct way *way, uint64_t *left, int64_t *free_us)
{
    uint8_t *room = NULL;
    const uint8_t *data = NULL;
    size_t size = 0;
    while (*left > 0 && output_log_reserve(host.log, &room, &size, NULL) == AFAR_OK) {
        size = *left < size ? (size_t)*left : size;
        output_log_commit(host.log, STREAM_STDOUT, size);
        *left -= size;
    }
    while (run_host_peek(&host, host.session, &data, &size)) {
        const uint64_t seq = output_log_cursor(host.log);
        run_host_clock(&host, now_us);
        run_host_sent(&host, host.session, size);
        put(&down, (struct event){FRAME, through(way, free_us, size), seq, size});
        if (run_host_ask(&host)) {
            put(&down, (struct event){PING, through(way, free_us, 40), 0, 40});
            pings++;
        }
    }
}

struct reader {
    struct queue kept;
    uint64_t kept_bytes;
    uint64_t may_take;
    uint64_t next;
    uint64_t acked;
    uint64_t unacked_bytes;
    int64_t ack_by_us;
};

static void client_acks(const struct way *way, struct reader *reader)
{
    if (reader->next == reader->acked)
        return;
    if (reader->ack_by_us == 0)
        reader->ack_by_us = now_us + ACK_WITHIN_US;
    if (reader->unacked_bytes < WINDOW_ACK_BYTES && now_us < reader->ack_by_us)
        return;
    reader->acked = reader->next;
    reader->unacked_bytes = 0;
    reader->ack_by_us = 0;
    put(&up, (struct event){ACK, now_us + way->one_way_us, reader->next, 0});
}

static void client_reads(const struct way *way, struct reader *reader)
{
    struct event event;
    while (take(&down, &event)) {
        if (event.kind == PING) {
            put(&up, (struct event){PONG, now_us + way->one_way_us, 0, 0});
            continue;
        }
        reader->kept_bytes += event.bytes;
        assert_true(reader->kept_bytes <= (way->window_max > 0 ? way->window_max : 2U * MIB));
        put(&reader->kept, event);
    }
    reader->may_take += way->reader_rate > 0 ? way->reader_rate * TICK_US / 1000 : UINT32_MAX;
    if (reader->kept.count == 0)
        reader->may_take = 0;
    if (way->reader_rests_us > 0 && now_us % way->reader_rests_us != 0)
        return;
    while (reader->kept.count > 0 &&
           reader->may_take >= reader->kept.at[reader->kept.first].bytes &&
           take(&reader->kept, &event)) {
        reader->may_take -= event.bytes;
        reader->kept_bytes -= event.bytes;
        reader->unacked_bytes += event.bytes;
        reader->next = event.number + 1;
        client_acks(way, reader);
    }
    client_acks(way, reader);
}

/* How many round trips until all has been acknowledged. */
static unsigned run_output(const struct way *way)
{
    static struct reader reader;
    uint64_t left = way->total;
    int64_t free_us = 0;
    memset(&reader, 0, sizeof reader);
    open_world(way);
    const int64_t begun_us = now_us;
    while (left > 0 || output_log_held(host.log) > 0) {
        server_hears();
        server_sends(way, &left, &free_us);
        client_reads(way, &reader);
        now_us += TICK_US;
        assert_true(now_us - begun_us < TOO_LONG_US);
    }
    run_host_close(&host);
    return (unsigned)((now_us - begun_us + way->one_way_us) / (2 * way->one_way_us));
}

static void check(const struct way *way, unsigned trips)
{
    print_message("%s: %u round trips, at most %zu KiB, %u pings\n", way->name, trips,
                  largest / KIB, pings);
    assert_true(way->most_trips == 0 || trips <= way->most_trips);
    assert_true(largest >= way->least_window && largest <= way->most_window);
    assert_true(pings <= 1 && (way->window_max > 0 || pings == 0));
}

static void test_output(void **state)
{
    (void)state;
    static const struct way ways[] = {
        {"far", 50000, 0, 0, 0, 64 * MIB, 64 * MIB, 7, 16 * MIB, 16 * MIB},
        {"very far", 150000, 0, 0, 0, 64 * MIB, 64 * MIB, 7, 16 * MIB, 16 * MIB},
        {"an old client", 50000, 0, 0, 0, 0, 64 * MIB, 0, 2 * MIB, 2 * MIB},
        {"a client that holds 4 MiB", 50000, 0, 0, 0, 4 * MIB, 64 * MIB, 18, 4 * MIB, 4 * MIB},
        {"a slow reader, near", 50, 0, 3 * KIB, 0, 64 * MIB, 16 * MIB, 0, 2 * MIB, 2 * MIB},
        {"a slow reader, far", 50000, 0, 3 * KIB, 0, 64 * MIB, 16 * MIB, 0, 2 * MIB, 2 * MIB},
        {"it rests and takes all", 50, 0, 0, 1000000, 64 * MIB, 32 * MIB, 0, 2 * MIB, 2 * MIB},
        {"the same, not so near", 2000, 0, 0, 700000, 64 * MIB, 32 * MIB, 0, 2 * MIB, 2 * MIB},
        {"a slow network", 5000, 3 * KIB, 0, 0, 64 * MIB, 16 * MIB, 0, 2 * MIB, 2 * MIB},
        {"a slow network, far", 50000, 3 * KIB, 0, 0, 64 * MIB, 16 * MIB, 0, 2 * MIB, 2 * MIB},
        {"100 Mbit/s, 200 ms", 100000, 12500, 0, 0, 64 * MIB, 64 * MIB, 0, 4 * MIB, 8 * MIB},
        {"next door", 100, 0, 0, 0, 64 * MIB, 64 * MIB, 0, 2 * MIB, 2 * MIB},
        {"next door, 2 GB/s", 50, 2000000, 0, 0, 64 * MIB, 64 * MIB, 0, 2 * MIB, 2 * MIB},
        {"a reader of 25 MB/s", 50000, 0, 25000, 0, 64 * MIB, 64 * MIB, 0, 4 * MIB, 8 * MIB},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        check(&ways[i], run_output(&ways[i]));
}

/* ---- input ----------------------------------------------------------------------------------- */

struct writer {
    uint64_t sent;
    uint64_t end; /* it may send up to this */
    uint64_t credit;
};

static void input_comes(const struct way *way, struct writer *writer)
{
    struct event event;
    struct run_host_input input;
    while (take(&down, &event)) { /* to the client: acks and pings */
        if (event.kind == PING) {
            put(&up, (struct event){PONG, now_us + way->one_way_us, 0, 0});
            continue;
        }
        if (event.bytes > 0)
            writer->credit = event.bytes;
        writer->end = event.number + writer->credit;
    }
    while (take(&up, &event)) { /* to the server: frames and pongs */
        run_host_clock(&host, now_us);
        if (event.kind == PONG)
            run_host_answered(&host);
        else
            assert_int_equal(run_host_stdin(&host, host.session, event.number - event.bytes,
                                            event.bytes, false, &input, NULL),
                             AFAR_OK);
        settle();
    }
}

static void input_goes(const struct way *way, struct writer *writer, int64_t *free_us)
{
    const uint64_t may = writer->end < way->total ? writer->end : way->total;
    while (writer->sent < may) {
        uint64_t size = may - writer->sent < 256 * KIB ? may - writer->sent : 256 * KIB;
        writer->sent += size;
        put(&up, (struct event){FRAME, through(way, free_us, size), writer->sent, size});
    }
}

/* A pipe takes 256 KiB before the command does. */
static void input_is_read(const struct way *way, uint64_t *read, uint64_t *may_read)
{
    uint64_t taken = 0;
    int64_t by_ms = 0;
    const uint64_t waits = host.stdin_received - *read;
    *may_read += way->reader_rate > 0 ? way->reader_rate * TICK_US / 1000 : UINT32_MAX;
    const uint64_t size = *may_read < waits ? *may_read : waits;
    *read += size;
    *may_read = *read == host.stdin_received ? 0 : *may_read - size;
    taken = *read + 256 * KIB;
    run_host_clock(&host, now_us);
    run_host_stdin_taken(&host, taken < host.stdin_received ? taken : host.stdin_received);
    settle();
    if (!run_host_stdin_ack_due(&host, now_us / 1000, &taken, &by_ms))
        return;
    put(&down, (struct event){ACK, now_us + way->one_way_us, taken, run_host_told_credit(&host)});
    run_host_stdin_acked(&host, taken);
    if (run_host_ask(&host)) {
        put(&down, (struct event){PING, now_us + way->one_way_us, 0, 0});
        pings++;
    }
    if (host.stdin_credit > largest)
        largest = (size_t)host.stdin_credit;
}

/* The client waits for `started` before it sends anything, as afar does. */
static unsigned run_input(const struct way *way, bool early)
{
    struct writer writer = {.credit = MIB};
    uint64_t read = 0;
    uint64_t may_read = 0;
    int64_t free_us = 0;
    open_world(way);
    largest = MIB;
    run_host_clock(&host, now_us);
    run_host_started(&host, early);
    put(&down, (struct event){ACK, now_us + way->one_way_us, 0, MIB});
    if (run_host_ask(&host)) {
        put(&down, (struct event){PING, now_us + way->one_way_us, 0, 0});
        pings++;
    }
    const int64_t begun_us = now_us;
    while (read < way->total) {
        input_comes(way, &writer);
        input_is_read(way, &read, &may_read);
        input_goes(way, &writer, &free_us);
        now_us += TICK_US;
        assert_true(now_us - begun_us < TOO_LONG_US);
    }
    run_host_close(&host);
    return (unsigned)((now_us - begun_us + way->one_way_us) / (2 * way->one_way_us));
}

static void test_input(void **state)
{
    (void)state;
    static const struct way ways[] = {
        {"far", 50000, 0, 0, 0, 64 * MIB, 64 * MIB, 8, 16 * MIB, 16 * MIB},
        {"an old client", 50000, 0, 0, 0, 0, 64 * MIB, 0, MIB, MIB},
        {"a client that holds 4 MiB", 50000, 0, 0, 0, 4 * MIB, 64 * MIB, 19, 4 * MIB, 4 * MIB},
        {"a slow command, near", 50, 0, 3 * KIB, 0, 64 * MIB, 16 * MIB, 0, MIB, MIB},
        {"a slow command, far", 50000, 0, KIB, 0, 64 * MIB, 16 * MIB, 0, MIB, MIB},
        {"a slow network", 5000, 3 * KIB, 0, 0, 64 * MIB, 16 * MIB, 0, MIB, MIB},
        {"next door", 100, 0, 0, 0, 64 * MIB, 64 * MIB, 0, MIB, MIB},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const unsigned trips = run_input(&ways[i], false);
        check(&ways[i], trips);
        if (ways[i].window_max == 0)
            continue;
        /* With a ping beside `started` it is known one round trip earlier. */
        const unsigned fewer = run_input(&ways[i], true);
        check(&ways[i], fewer);
        assert_true(fewer <= trips && (ways[i].most_trips == 0 || fewer < trips));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
