/* Full-duplex deadlock hunts. Data goes through a cat and comes back, with every mix of ends that
 * are slow and that stop altogether: while everything is stuck, a `signal` on the same connection
 * and a `kill` from another one must reach the command, that is, before anything is released; then
 * all the data must arrive.
 *
 *   AFAR_DUPLEX_BYTES=n  so many bytes for each mix (4 MiB), in which everything stops three times
 *                        instead of once
 *
 * How long the signals took is printed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <afar/afar.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/raw.h"
#include "support/seeded.h"
#include "support/slow_cat.h"

enum {
    BYTES = 4 << 20, /* twice the default window */
    ROUNDS_MAX = 3,
    RELEASE_ALL = 1024,      /* rounds, of which there are far fewer */
    PATTERN_BYTES = 1000003, /* a prime: a piece that is lost or doubled does not fit */
    TURN_MS = 10,
    TURN_BYTES = 1 << 20,
    QUIET_TURNS = 5, /* without anything moving: it is stuck, as far as one can tell from outside */
    CLIENT_WRITES = 4,
    CLIENT_READS = 8, /* these two on top of enum slow_end */
    MIXES = 16
};

enum { URL_TCP, URL_TLS, URL_UNIX };

static struct afard server;
static struct afar_context *context;
static char folder[64];
static char effects_path[80];
static char release_path[80];
static char self[256];
static uint8_t pattern[2 * PATTERN_BYTES];
static int64_t worst_signal_us;
static int64_t worst_kill_us;

/* One cat, and what has gone through it. */
struct duplex {
    struct afar_client *client;
    unsigned mix;
    uint64_t total; /* at least: it goes on until every round is over */
    uint64_t every;
    uint64_t released;
    unsigned rounds; /* that are to come */
    uint64_t written;
    uint64_t got;
    bool blocked; /* the last attempt to write found no room */
    bool took_less;
    bool wrong;
    bool input_ended;
    char job[64];
    int effects_fd;
    int release_fd;
    unsigned effects[3]; /* ready, USR1, USR2 */
    bool gone;           /* the process */
};

static int set_up(void **state)
{
    struct seeded seeded = {0};
    char unix_url[128];
    (void)state;
    seeded_fill(&seeded, pattern, PATTERN_BYTES);
    memcpy(pattern + PATTERN_BYTES, pattern, PATTERN_BYTES);
    (void)snprintf(folder, sizeof folder, "/tmp/afar-duplex-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(effects_path, sizeof effects_path, "%s/effects", folder);
    (void)snprintf(release_path, sizeof release_path, "%s/release", folder);
    (void)snprintf(unix_url, sizeof unix_url, "unix://%s/socket", folder);
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    const char *args[] = {
        "--listen", "tcp://127.0.0.1:0", "--listen", "tls://127.0.0.1:0", "--listen", unix_url,
        NULL};
    afard_start_tls(&server, args);
    const struct afar_credentials credentials =
        AFAR_CREDENTIALS_INIT(.ca_file = server.ca, .cert_file = server.client_cert,
                              .key_file = server.client_key);
    return afar_context_new(&context, &credentials, NULL) == AFAR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    print_message("worst time from afar_signal to its effect: %" PRId64
                  " us; from afar_kill: %" PRId64 " us\n",
                  worst_signal_us, worst_kill_us);
    afar_context_free(context);
    int status = afard_stop(&server);
    (void)rmdir(folder);
    return status;
}

/* ---- the client's ends ----------------------------------------------------------------------- */

static bool stopped(const struct duplex *duplex, unsigned end, uint64_t moved)
{
    return (duplex->mix & end) != 0 && moved / duplex->every > duplex->released;
}

static size_t piece(const struct duplex *duplex, unsigned end)
{
    return (duplex->mix & end) != 0 ? SLOW_PIECE_BYTES : SLOW_FULL_BYTES;
}

static size_t take(void *user, const void *data, size_t size)
{
    struct duplex *duplex = user;
    if (stopped(duplex, CLIENT_READS, duplex->got))
        return 0;
    size_t most = piece(duplex, CLIENT_READS);
    size_t now = size < most ? size : most;
    const char *bytes = data;
    if (memcmp(bytes, pattern + duplex->got % PATTERN_BYTES, now) != 0)
        duplex->wrong = true;
    duplex->got += now;
    duplex->took_less = now < size;
    return now;
}

static void note_start(void *user, const char *job)
{
    struct duplex *duplex = user;
    (void)snprintf(duplex->job, sizeof duplex->job, "%s", job);
}

/* Writes what can be written. Not to the end before the last round: there is always more to come.
 */
static void feed(struct duplex *duplex)
{
    uint64_t enough = duplex->written + TURN_BYTES; /* a command that has ended takes everything */
    duplex->blocked = false;
    while ((duplex->written < duplex->total || duplex->rounds > 0) && !duplex->blocked &&
           duplex->written < enough && !stopped(duplex, CLIENT_WRITES, duplex->written)) {
        size_t taken = 0;
        enum afar_status status =
            afar_write_stdin(duplex->client, pattern + duplex->written % PATTERN_BYTES,
                             piece(duplex, CLIENT_WRITES), &taken, NULL);
        duplex->blocked = status == AFAR_EAGAIN;
        if (status != AFAR_OK)
            return;
        duplex->written += taken;
    }
    if (duplex->written >= duplex->total && duplex->rounds == 0 && !duplex->input_ended) {
        assert_int_equal(afar_close_stdin(duplex->client, NULL), AFAR_OK);
        duplex->input_ended = true;
    }
}

static void take_effects(struct duplex *duplex)
{
    char effects[16];
    ssize_t got = read(duplex->effects_fd, effects, sizeof effects);
    duplex->gone = got == 0 && duplex->job[0] != '\0';
    for (ssize_t i = 0; i < got; i++)
        duplex->effects[effects[i] - SLOW_CAT_READY]++;
}

/* One turn of a program's loop. False: nothing moved for TURN_MS. */
static bool turn(struct duplex *duplex)
{
    struct afar_error err = {0};
    uint64_t written = duplex->written;
    uint64_t got = duplex->got;
    feed(duplex);
    struct pollfd polls[2] = {
        {.fd = afar_fd(duplex->client), .events = afar_events(duplex->client)},
        {.fd = duplex->gone ? -1 : duplex->effects_fd, .events = POLLIN}};
    (void)poll(polls, 2, duplex->took_less || duplex->written != written ? 0 : TURN_MS);
    duplex->took_less = false;
    if (afar_process(duplex->client, &err) != AFAR_OK)
        fail_msg("mix %u: %s", duplex->mix, err.message);
    if (polls[1].revents != 0)
        take_effects(duplex);
    if (duplex->wrong)
        fail_msg("mix %u: byte %" PRIu64 " or one soon after it is wrong", duplex->mix, got);
    return duplex->written != written || duplex->got != got || polls[0].revents != 0;
}

/* ---- one cat --------------------------------------------------------------------------------- */

static struct afar_client *connect_to(unsigned url)
{
    struct afar_client *client = NULL;
    struct afar_error err = {0};
    if (afar_connect(&client, context, server.url[url], test_deadline_ms(), &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return client;
}

static void make_fifos(int *effects_fd, int *release_fd)
{
    (void)unlink(effects_path); /* of a test that has failed */
    (void)unlink(release_path);
    assert_int_equal(mkfifo(effects_path, 0600), 0);
    assert_int_equal(mkfifo(release_path, 0600), 0);
    *effects_fd = open(effects_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    *release_fd = open(release_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_true(*effects_fd >= 0 && *release_fd >= 0);
}

static void remove_fifos(int effects_fd, int release_fd)
{
    (void)close(effects_fd);
    (void)close(release_fd);
    assert_int_equal(unlink(effects_path), 0);
    assert_int_equal(unlink(release_path), 0);
}

static void open_duplex(struct duplex *duplex, unsigned mix, unsigned url)
{
    const char *bytes = getenv("AFAR_DUPLEX_BYTES");
    bool longer = bytes != NULL && bytes[0] != '\0';
    char ends[16];
    char every[32];
    *duplex = (struct duplex){.mix = mix, .rounds = longer ? ROUNDS_MAX : 1};
    duplex->total = longer ? strtoull(bytes, NULL, 10) : BYTES;
    duplex->every = duplex->total / (duplex->rounds + 1);
    assert_true(duplex->every > 0);
    make_fifos(&duplex->effects_fd, &duplex->release_fd);
    (void)snprintf(ends, sizeof ends, "%u", mix & (SLOW_CAT_READS | SLOW_CAT_WRITES));
    (void)snprintf(every, sizeof every, "%" PRIu64, duplex->every);
    const char *argv[] = {self, SLOW_CAT_OPTION, effects_path, release_path, ends, every, NULL};
    const struct afar_command command =
        AFAR_COMMAND_INIT(.argv = argv, .with_stdin = true, .with_digest = true);
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_stdout = take, .on_started = note_start, .user = duplex);
    duplex->client = connect_to(url);
    assert_int_equal(afar_start(duplex->client, &command, &callbacks, NULL), AFAR_OK);
}

static void close_duplex(struct duplex *duplex)
{
    afar_close(duplex->client);
    remove_fifos(duplex->effects_fd, duplex->release_fd);
}

/* Until everything is stuck; or, where no end ever stops, so much has come that it is in full flow.
 */
static void run_until_stuck(struct duplex *duplex)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    uint64_t full_flow = duplex->every * (duplex->released + 1);
    unsigned quiet = 0;
    for (;;) {
        quiet = turn(duplex) ? 0 : quiet + 1;
        bool nothing_to_write = stopped(duplex, CLIENT_WRITES, duplex->written);
        bool full = duplex->mix == 0 && duplex->got >= full_flow;
        bool stuck = quiet >= QUIET_TURNS && (duplex->blocked || nothing_to_write);
        /* The command may be ready before we have heard what its name is. */
        if (duplex->effects[0] > 0 && duplex->job[0] != '\0' && (full || stuck))
            return;
        if (quiet == 0)
            deadline_ms = clock_deadline_ms(test_deadline_ms());
        if (clock_now_ms() > deadline_ms)
            fail_msg("mix %u: neither stuck nor moving: %" PRIu64 " written, %" PRIu64 " came back",
                     duplex->mix, duplex->written, duplex->got);
    }
}

/* Until that has come, or, where `what` is "", the receipt, for which there is more time. */
static void run_until(struct duplex *duplex, const char *what, bool (*done)(const struct duplex *))
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (!done(duplex)) {
        if (turn(duplex) && what[0] == '\0')
            deadline_ms = clock_deadline_ms(test_deadline_ms());
        if (clock_now_ms() > deadline_ms)
            fail_msg("mix %u: %s did not come: %" PRIu64 " written, %" PRIu64 " came back",
                     duplex->mix, what[0] != '\0' ? what : "the receipt", duplex->written,
                     duplex->got);
    }
}

static bool has_usr1(const struct duplex *duplex)
{
    return duplex->effects[1] > 0;
}

static bool has_usr2(const struct duplex *duplex)
{
    return duplex->effects[2] > 0;
}

static bool is_gone(const struct duplex *duplex)
{
    return duplex->gone;
}

static bool has_receipt(const struct duplex *duplex)
{
    return afar_receipt(duplex->client) != NULL;
}

static void note_time(int64_t *worst_us, int64_t since_us)
{
    int64_t took_us = clock_now_us() - since_us;
    if (took_us > *worst_us)
        *worst_us = took_us;
}

/* By a connection of its own. */
static void kill_job(const struct duplex *duplex, unsigned url, const char *name)
{
    struct afar_error err = {0};
    struct afar_client *other = connect_to(url);
    if (afar_kill(other, duplex->job, name, test_deadline_ms(), &err) != AFAR_OK)
        fail_msg("mix %u: kill of '%s': %s", duplex->mix, duplex->job, err.message);
    afar_close(other);
}

static void release(struct duplex *duplex, unsigned rounds)
{
    static const char tokens[RELEASE_ALL];
    duplex->released += rounds;
    assert_int_equal(write(duplex->release_fd, tokens, rounds), rounds);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void signals_then_all_the_data(unsigned mix, unsigned url)
{
    struct duplex duplex;
    open_duplex(&duplex, mix, url);
    while (duplex.rounds > 0) {
        run_until_stuck(&duplex);
        duplex.effects[1] = duplex.effects[2] = 0;
        int64_t since_us = clock_now_us();
        assert_int_equal(afar_signal(duplex.client, "USR1", NULL), AFAR_OK);
        run_until(&duplex, "the signal", has_usr1);
        note_time(&worst_signal_us, since_us);
        since_us = clock_now_us();
        kill_job(&duplex, url, "USR2");
        run_until(&duplex, "the kill", has_usr2);
        note_time(&worst_kill_us, since_us);
        duplex.rounds--;
        release(&duplex, 1);
    }
    release(&duplex, RELEASE_ALL);
    run_until(&duplex, "", has_receipt);
    const struct afar_receipt *receipt = afar_receipt(duplex.client);
    assert_int_equal(receipt->outcome, AFAR_OUTCOME_EXITED);
    assert_int_equal(receipt->code, 0);
    assert_int_equal(receipt->stdin_bytes, duplex.written);
    assert_int_equal(receipt->stdout_bytes, duplex.written);
    assert_int_equal(duplex.got, duplex.written);
    close_duplex(&duplex);
}

static void signals_over_tcp(void **state)
{
    (void)state;
    for (unsigned mix = 0; mix < MIXES; mix++)
        signals_then_all_the_data(mix, URL_TCP);
    afard_expect_calm(&server);
}

static void signals_over_tls(void **state)
{
    (void)state;
    for (unsigned mix = 0; mix < MIXES; mix++)
        signals_then_all_the_data(mix, URL_TLS);
    afard_expect_calm(&server);
}

/* A kill that is the end: what came out of the command before it arrives all the same. */
static void a_kill_that_ends_it(void **state)
{
    (void)state;
    for (unsigned mix = 0; mix < MIXES; mix++) {
        struct duplex duplex;
        open_duplex(&duplex, mix, URL_UNIX);
        run_until_stuck(&duplex);
        kill_job(&duplex, URL_TCP, "KILL");
        run_until(&duplex, "the end", is_gone);
        release(&duplex, RELEASE_ALL);
        run_until(&duplex, "", has_receipt);
        const struct afar_receipt *receipt = afar_receipt(duplex.client);
        assert_int_equal(receipt->outcome, AFAR_OUTCOME_KILLED);
        assert_int_equal(receipt->stdout_bytes, duplex.got);
        close_duplex(&duplex);
    }
    afard_expect_calm(&server);
}

/* Waits for an effect: SLOW_CAT_USR1, or 0 for the process's end. */
static void expect_effect(int effects_fd, char expected)
{
    char effect = 0;
    struct pollfd wait = {.fd = effects_fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, (int)test_deadline_ms()), 1);
    assert_int_equal(read(effects_fd, &effect, 1), expected != 0);
    assert_int_equal(effect, expected);
}

/* Starts the cat with endless input, and gives its job. Odd pieces: a frame that fills a segment
 * would let the send stick between two frames, and one of less than 4 KiB is sent together with
 * others. */
static int start_flood(const struct afard *afard, int effects_fd, char job[33])
{
    char header[1024];
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"exec\",\"v\":1,\"id\":1,\"shell\":\"exec %s %s %s %s %d %lld "
                   "</dev/zero\"}",
                   self, SLOW_CAT_OPTION, effects_path, release_path, SLOW_CAT_ODD, 1LL << 60);
    int fd = raw_connect(afard_port(afard, 0));
    raw_send_frame(fd, header);
    char *started = raw_read_header(fd, NULL);
    const char *id = strstr(started, "\"job\":\"");
    assert_non_null(id);
    (void)snprintf(job, 33, "%.32s", id + strlen("\"job\":\""));
    free(started);
    expect_effect(effects_fd, SLOW_CAT_READY);
    return fd;
}

/* Until the output log is full. It is larger than all that sockets can hold, so that the server's
 * send has been stuck for long. */
static void wait_until_full(struct afard *afard)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    const char *found = NULL;
    while (found == NULL) { /* a counter that is 0 is not shown */
        size_t offset = afard->program.stderr_size;
        assert_int_equal(kill(afard->program.pid, SIGUSR1), 0);
        (void)program_expect_after(&afard->program, 2, offset, "\n");
        found = strstr(afard->program.stderr_data, "output_log_bytes=");
        if (clock_now_ms() > deadline_ms)
            fail_msg("the output log was never full");
    }
}

/* Reads everything up to the receipt, as a client does that takes it. Returns how many pongs came.
 */
static unsigned read_all(int fd)
{
    unsigned pongs = 0;
    unsigned long seq = 0;
    for (;;) {
        char ack[64];
        char *header = raw_read_header(fd, NULL);
        assert_non_null(header);
        bool ended = strstr(header, "\"type\":\"exit\"") != NULL;
        bool output = strstr(header, "\"type\":\"stdout\"") != NULL;
        pongs += strstr(header, "\"type\":\"pong\"") != NULL;
        if (ended)
            assert_non_null(strstr(header, "\"outcome\":\"killed\""));
        free(header);
        if (ended)
            return pongs;
        seq += output;
        (void)snprintf(ack, sizeof ack, "{\"type\":\"ack\",\"id\":1,\"next\":%lu}", seq);
        if (output)
            raw_send_frame(fd, ack);
    }
}

/* Not even its socket: the server's send is stuck in the middle of a frame, and still it listens;
 * and what it answers meanwhile does not go into that frame. */
static void a_client_that_reads_nothing_at_all(void **state)
{
    enum { PINGS = 10 };
    (void)state;
    struct afard other;
    int effects_fd = -1;
    int release_fd = -1;
    char header[128];
    char job[33];
    /* More than all buffers of a socket on loopback. */
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "output_log_bytes=33554432",
                          NULL};
    afard_start(&other, args);
    make_fifos(&effects_fd, &release_fd);
    int fd = start_flood(&other, effects_fd, job);
    wait_until_full(&other);
    for (unsigned i = 0; i < PINGS; i++) {
        (void)snprintf(header, sizeof header, "{\"type\":\"ping\",\"id\":%u}", 2 + i);
        raw_send_frame(fd, header);
    }
    raw_send_frame(fd, "{\"type\":\"signal\",\"id\":1,\"name\":\"USR1\"}");
    expect_effect(effects_fd, SLOW_CAT_USR1);
    int killer = raw_connect(afard_port(&other, 0));
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"kill\",\"id\":1,\"job\":\"%s\",\"name\":\"KILL\"}", job);
    raw_send_frame(killer, header);
    expect_effect(effects_fd, 0);
    (void)close(killer);
    assert_int_equal(read_all(fd), PINGS);
    (void)close(fd);
    afard_expect_calm(&other);
    remove_fifos(effects_fd, release_fd);
    assert_int_equal(afard_stop(&other), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], SLOW_CAT_OPTION) == 0)
        return slow_cat_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_over_tcp),
        cmocka_unit_test(signals_over_tls),
        cmocka_unit_test(a_kill_that_ends_it),
        cmocka_unit_test(a_client_that_reads_nothing_at_all),
    };
    int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    /* Once more, and each command is moved to a bulk worker as soon as anything comes. */
    (void)setenv("AFARD_BULK_BYTES", "1", 1);
    return failed + cmocka_run_group_tests(tests, set_up, tear_down);
}
