/* A server behind a network that delays, splits to single bytes, stops and cuts: 1,000 schedules,
 * and one short exchange cut after each of its bytes. Whatever happens, a client has the right
 * outcome or an error, never success with output missing or doubled, and never waits for ever; and
 * the server is none the worse for it.
 *
 *   AFAR_SEEDS=n  so many schedules instead of 1,000 (a tenth of them over TLS)
 *   AFAR_SEED=n   only this one */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <afar/afar.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/exchange.h"
#include "support/proxy.h"

enum {
    LANES = 8, /* exchanges at once */
    SEEDS = 1000,
    TLS_PART = 10,
    COMMANDS_MOST = 3
};

enum { WAYS = 3 }; /* of cutting */

enum { URL_TCP, URL_UNIX, URL_TLS };

static struct afard server;
static struct afar_context *context;
static struct known known;
static char folder[64];

/* One exchange through one proxy. */
struct lane {
    bool used;
    uint64_t number; /* the seed, or the number of the cut */
    struct proxy_plan plan;
    struct proxy *proxy;
    struct exchange exchange;
    int64_t deadline_ms;
};

/* What is run: as many lanes as there are numbers. */
struct schedule {
    uint64_t next;
    uint64_t end;
    /* Fills in the plan, starts the exchange, and says where the server is. */
    unsigned (*begin)(struct lane *lane);
    unsigned right;
    unsigned errors;
    struct proxy_result last;
};

static int set_up(void **state)
{
    char unix_url[128];
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-proxy-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(unix_url, sizeof unix_url, "unix://%s/s", folder);
    /* The smallest window, so that output often fills it. Nobody reads the log meanwhile. */
    const char *args[] = {"--listen", "tcp://127.0.0.1:0",       "--listen",    unix_url,
                          "--listen", "tls://127.0.0.1:0",       "--set",       "kill_grace_ms=100",
                          "--set",    "output_log_bytes=262144", "--log-level", "warn",
                          NULL};
    afard_start_tls(&server, args);
    const struct afar_credentials credentials =
        AFAR_CREDENTIALS_INIT(.ca_file = server.ca, .cert_file = server.client_cert,
                              .key_file = server.client_key);
    known_make(&known);
    return afar_context_new(&context, &credentials, NULL) == AFAR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    afar_context_free(context);
    known_free(&known);
    int status = afard_stop(&server);
    (void)rmdir(folder);
    return status;
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static void open_lane(struct lane *lane, struct schedule *schedule)
{
    *lane = (struct lane){.used = true, .number = schedule->next++};
    unsigned url = schedule->begin(lane);
    lane->deadline_ms = clock_deadline_ms(test_deadline_ms());
    lane->proxy = proxy_start(server.url[url], &lane->plan);
    exchange_connect(&lane->exchange, context, proxy_url(lane->proxy), test_deadline_ms());
}

static void explain(const struct lane *lane, const struct proxy_result *result, const char *what)
{
    char plan[1024];
    proxy_plan_format(&lane->plan, plan, sizeof plan);
    fail_msg("seed %llu: %s (passed %llu to the server, %llu to the client; plan: %s)",
             (unsigned long long)lane->number, what,
             (unsigned long long)result->passed[PROXY_TO_SERVER],
             (unsigned long long)result->passed[PROXY_TO_CLIENT], plan);
}

/* A cut is nothing else. While connecting it has more names; and a TLS client has connected before
 * the server has: what OpenSSL's server says to a stream that ends then is an alert. */
static bool is_a_disconnect(const struct lane *lane)
{
    enum afar_status code = lane->exchange.err.code;
    bool connecting =
        lane->exchange.client == NULL || strncmp(proxy_url(lane->proxy), "tls:", 4) == 0;
    if (code == AFAR_ESYSTEM || code == AFAR_ETRUST || code == AFAR_EPEER)
        return connecting;
    return code == AFAR_ECLOSED;
}

static void close_lane(struct lane *lane, struct schedule *schedule)
{
    struct exchange *exchange = &lane->exchange;
    struct proxy_result result;
    bool disconnected = is_a_disconnect(lane);
    proxy_stop(lane->proxy, &result);
    lane->used = false;
    schedule->last = result;
    if (result.failed)
        explain(lane, &result, "the proxy failed");
    switch (exchange->end) {
    case EXCHANGE_RUNS:
        explain(lane, &result, "neither an outcome nor an error came");
        break;
    case EXCHANGE_WRONG:
        explain(lane, &result, exchange->problem);
        break;
    case EXCHANGE_RIGHT:
        schedule->right++;
        break;
    case EXCHANGE_ERROR:
        schedule->errors++;
        if (!result.cut || !disconnected)
            explain(lane, &result, exchange->err.message);
        break;
    }
    exchange_close(exchange);
}

/* Waits until one of them can go on, or, where there is more to do, while none is free. */
static void wait_for_lanes(const struct lane *lanes, bool more)
{
    struct pollfd polls[LANES];
    int timeout_ms = 1000; /* for the lanes' deadlines */
    for (unsigned i = 0; i < LANES; i++) {
        const struct exchange *exchange = &lanes[i].exchange;
        polls[i] = (struct pollfd){.fd = -1};
        if (!lanes[i].used && more)
            return;
        if (!lanes[i].used)
            continue;
        if (exchange->client != NULL)
            polls[i] = (struct pollfd){.fd = afar_fd(exchange->client),
                                       .events = afar_events(exchange->client)};
        int wanted_ms = exchange->client != NULL ? exchange_timeout(exchange) : 0;
        if (wanted_ms >= 0 && wanted_ms < timeout_ms)
            timeout_ms = wanted_ms;
    }
    (void)poll(polls, LANES, timeout_ms);
}

static void run(struct schedule *schedule)
{
    struct lane *lanes = calloc(LANES, sizeof *lanes);
    assert_non_null(lanes);
    unsigned used = 1;
    while (used > 0) {
        used = 0;
        for (unsigned i = 0; i < LANES; i++) {
            struct lane *lane = &lanes[i];
            if (!lane->used && schedule->next < schedule->end)
                open_lane(lane, schedule);
            if (!lane->used)
                continue;
            used++;
            if (exchange_step(&lane->exchange) || clock_now_ms() > lane->deadline_ms)
                close_lane(lane, schedule);
        }
        if (used > 0)
            wait_for_lanes(lanes, schedule->next < schedule->end);
    }
    free(lanes);
}

/* All that was cut off has ended, and a client that comes straight to the server is served. */
static void expect_a_sound_server(void)
{
    struct program client;
    const char *argv[] = {"afar", "run", server.url[URL_TCP], "--", "echo", "sound", NULL};
    afard_expect_calm(&server);
    assert_int_equal(program_run(&client, argv, NULL, 0), 0);
    assert_string_equal(client.stdout_data, "sound\n");
    program_close(&client);
    afard_expect_calm(&server);
}

/* ---- schedules from seeds -------------------------------------------------------------------- */

static unsigned begin_plain(struct lane *lane)
{
    proxy_plan_random(&lane->plan, lane->number);
    exchange_start(&lane->exchange, &known, lane->number, COMMANDS_MOST);
    return lane->number % 2 == 0 ? URL_TCP : URL_UNIX;
}

static unsigned begin_tls(struct lane *lane)
{
    (void)begin_plain(lane);
    return URL_TLS;
}

static void run_seeds(unsigned (*begin)(struct lane *lane), uint64_t seeds)
{
    uint64_t only = number_from("AFAR_SEED", UINT64_MAX);
    struct schedule schedule = {.begin = begin, .end = seeds};
    if (only != UINT64_MAX) {
        schedule.next = only;
        schedule.end = only + 1;
    }
    run(&schedule);
    unsigned all = schedule.right + schedule.errors;
    print_message("%u schedules: %u ended right, %u by an error\n", all, schedule.right,
                  schedule.errors);
    if (all >= 50) { /* else the test would prove little */
        assert_true(schedule.right >= all / 4);
        assert_true(schedule.errors >= all / 10);
    }
    expect_a_sound_server();
}

static void seeds_over_plain_sockets(void **state)
{
    (void)state;
    uint64_t seeds = number_from("AFAR_SEEDS", SEEDS);
    run_seeds(begin_plain, seeds - seeds / TLS_PART);
}

static void seeds_over_tls(void **state)
{
    (void)state;
    run_seeds(begin_tls, number_from("AFAR_SEEDS", SEEDS) / TLS_PART);
}

/* ---- a cut after every byte ------------------------------------------------------------------ */

/* Both streams, in and out, in few bytes. */
static const struct exchange_command short_command = {.kind = EXCHANGE_ECHO, .input_size = 6};

static unsigned begin_uncut(struct lane *lane)
{
    exchange_start_with(&lane->exchange, &known, &short_command);
    return lane->number % 2 == 0 ? URL_TCP : URL_UNIX;
}

/* The number is three times the count of bytes, and how. */
static unsigned begin_cut(struct lane *lane, enum proxy_direction direction)
{
    static const enum proxy_action cuts[WAYS] = {PROXY_FIN, PROXY_RESET, PROXY_HALF_CLOSE};
    unsigned after = (unsigned)(lane->number / WAYS);
    proxy_plan_cut(&lane->plan, direction, after, cuts[lane->number % WAYS]);
    exchange_start_with(&lane->exchange, &known, &short_command);
    return after % 2 == 0 ? URL_TCP : URL_UNIX;
}

static unsigned begin_cut_to_server(struct lane *lane)
{
    return begin_cut(lane, PROXY_TO_SERVER);
}

static unsigned begin_cut_to_client(struct lane *lane)
{
    return begin_cut(lane, PROXY_TO_CLIENT);
}

static void a_cut_after_every_byte(void **state)
{
    (void)state;
    struct schedule uncut = {.begin = begin_uncut, .end = 1};
    run(&uncut);
    assert_int_equal(uncut.right, 1);
    struct schedule cuts[2] = {{.begin = begin_cut_to_server}, {.begin = begin_cut_to_client}};
    for (int d = 0; d < 2; d++) {
        cuts[d].end = WAYS * (uncut.last.passed[d] + 1);
        run(&cuts[d]);
        print_message("cut after each of %llu bytes to the %s: %u ended right, %u by an error\n",
                      (unsigned long long)uncut.last.passed[d], d == 0 ? "server" : "client",
                      cuts[d].right, cuts[d].errors);
    }
    /* Not all are errors: the uncut one may have had an ack more, or longer numbers. */
    assert_true(cuts[PROXY_TO_SERVER].errors > cuts[PROXY_TO_SERVER].right);
    assert_true(cuts[PROXY_TO_CLIENT].errors > 2 * cuts[PROXY_TO_CLIENT].right);
    expect_a_sound_server();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_after_every_byte),
        cmocka_unit_test(seeds_over_plain_sockets),
        cmocka_unit_test(seeds_over_tls),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
