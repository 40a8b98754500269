/* Commands that carry much are moved to bulk workers, and their connections home again: with every
 * end that a command and its server can have, around a move. Here every byte is much. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <afar/afar.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/raw.h"
#include "support/seeded.h"

enum { PATTERN_BYTES = 3000017, REQUESTS = 30, ENDS = 150, FLIES = 8 };

static struct afard server;
static struct afar_context *context;
static uint8_t pattern[PATTERN_BYTES];
static unsigned holders;

static void start(const char *const *more)
{
    const char *args[32] = {"--listen", "tcp://127.0.0.1:0", "--listen", "tls://127.0.0.1:0",
                            "--http",   "tcp://127.0.0.1:0", "--set",    "workers=3",
                            "--set",    "bulk_bytes=1",      "--set",    "resume_ms=20000",
                            "--set",    "kill_grace_ms=200"};
    size_t used = 14;
    for (; more != NULL && *more != NULL; more++)
        args[used++] = *more;
    afard_start_tls(&server, args);
    const struct afar_credentials credentials =
        AFAR_CREDENTIALS_INIT(.ca_file = server.ca, .cert_file = server.client_cert,
                              .key_file = server.client_key);
    assert_int_equal(afar_context_new(&context, &credentials, NULL), AFAR_OK);
}

static int set_up(void **state)
{
    struct seeded seeded = {0};
    (void)state;
    seeded_fill(&seeded, pattern, sizeof pattern);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    afar_context_free(context);
    context = NULL;
    return server.program.pid > 0 ? afard_stop(&server) : 0;
}

static double moves(void)
{
    return afard_metric(&server, "afard_bulk_moves_total");
}

static void wait_metric(const char *name, double value)
{
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (afard_metric(&server, name) != value) {
        if (clock_now_ms() > deadline_ms)
            fail_msg("%s is %g instead of %g", name, afard_metric(&server, name), value);
        (void)usleep(5000);
    }
}

/* ---- byte by byte ---------------------------------------------------------------------------- */

struct echo {
    size_t written;
    size_t got;
    bool wrong;
    bool input_ended;
};

static size_t take(void *user, const void *data, size_t size)
{
    struct echo *echo = user;
    if (echo->got + size > sizeof pattern || memcmp(data, pattern + echo->got, size) != 0)
        echo->wrong = true;
    echo->got += size;
    return size;
}

/* All of the pattern goes through a cat. */
static void echo_once(struct afar_client *client, const char *shell)
{
    struct echo echo = {0};
    struct afar_error err = {0};
    const struct afar_command command = AFAR_COMMAND_INIT(.shell = shell, .with_stdin = true,
                                                          .with_digest = true, .resume_ms = 10000);
    const struct afar_callbacks callbacks = AFAR_CALLBACKS_INIT(.on_stdout = take, .user = &echo);
    assert_int_equal(afar_start(client, &command, &callbacks, &err), AFAR_OK);
    while (afar_receipt(client) == NULL) {
        size_t taken = 0;
        if (echo.written < sizeof pattern &&
            afar_write_stdin(client, pattern + echo.written, sizeof pattern - echo.written, &taken,
                             &err) == AFAR_OK)
            echo.written += taken;
        if (echo.written == sizeof pattern && !echo.input_ended) {
            assert_int_equal(afar_close_stdin(client, NULL), AFAR_OK);
            echo.input_ended = true;
        }
        struct pollfd look = {.fd = afar_fd(client), .events = afar_events(client)};
        (void)poll(&look, 1, afar_timeout(client));
        if (afar_process(client, &err) != AFAR_OK)
            fail_msg("%s", err.message);
    }
    assert_false(echo.wrong);
    assert_int_equal(echo.got, sizeof pattern);
    assert_int_equal(afar_receipt(client)->code, 7);
}

/* Every request moves, and begins at home again: else it would not move. */
static void there_and_back(unsigned url)
{
    struct afar_client *client = NULL;
    struct afar_error err = {0};
    start(NULL);
    if (afar_connect(&client, context, server.url[url], test_deadline_ms(), &err) != AFAR_OK)
        fail_msg("%s", err.message);
    for (int i = 0; i < REQUESTS; i++) {
        const double before = moves();
        echo_once(client, i % 2 == 0 ? "cat; exit 7" : "cat | cat; exit 7");
        assert_true(moves() == before + 1);
    }
    afar_close(client);
    assert_true(afard_metric(&server, "afard_bulk_stays_total") == 0);
    wait_metric("afard_connections", 0);
    afard_expect_calm(&server);
}

static void there_and_back_over_tcp(void **state)
{
    (void)state;
    there_and_back(0);
}

static void there_and_back_over_tls(void **state)
{
    (void)state;
    there_and_back(1);
}

/* Files, which are streams of the command that serves them. */
static void files(void **state)
{
    struct program program;
    char to[1024];
    (void)state;
    start(NULL);
    (void)snprintf(to, sizeof to, "%.500s:%s/copy", server.url[1], server.folder);
    const char *up[] = {"afar", "cp", "-", to, NULL};
    assert_int_equal(program_run(&program, up, (const char *)pattern, sizeof pattern), 0);
    program_close(&program);
    assert_true(moves() >= 1);
    const char *down[] = {"afar", "cp", to, "-", NULL};
    assert_int_equal(program_run(&program, down, NULL, 0), 0);
    assert_int_equal(program.stdout_size, sizeof pattern);
    assert_memory_equal(program.stdout_data, pattern, sizeof pattern);
    program_close(&program);
    assert_true(moves() >= 2);
    (void)snprintf(to, sizeof to, "%s/copy", server.folder);
    (void)unlink(to);
}

/* Where there are none, or nothing carries so much, nothing moves. */
static void switched_off(void **state)
{
    const char *const none[] = {"--set", "bulk_workers=0", NULL};
    struct afar_client *client = NULL;
    (void)state;
    start(none);
    assert_int_equal(afar_connect(&client, context, server.url[0], test_deadline_ms(), NULL),
                     AFAR_OK);
    echo_once(client, "cat; exit 7");
    afar_close(client);
    assert_true(moves() == 0);
    assert_true(afard_metric(&server, "afard_worker_connections{worker=\"2\"}") >= 0);
    assert_true(afard_metric(&server, "afard_worker_connections{worker=\"3\"}") < 0);
}

/* ---- every end ------------------------------------------------------------------------------- */

/* A connection with a command that carries much for ever. */
struct fly {
    int fd; /* -1: none */
    char job[64];
    unsigned holder;
};

static void begin(struct fly *fly, unsigned timeout_ms, bool resume)
{
    char resumable[96] = "";
    fly->holder = ++holders;
    fly->job[0] = '\0';
    fly->fd = raw_connect(afard_port(&server, 0));
    if (resume)
        (void)snprintf(resumable, sizeof resumable,
                       ",\"holder\":\"holder-%016u\",\"resume_ms\":60000", fly->holder);
    raw_say(
        fly->fd,
        "{\"type\":\"exec\",\"v\":1,\"id\":1,\"shell\":\"exec cat /dev/zero\",\"timeout_ms\":%u%s}",
        timeout_ms, resumable);
}

/* Reads frames, and acknowledges them, until one has either text in it; its header, to be freed. */
static char *hear_either(int fd, const char *text, const char *other)
{
    for (;;) {
        char *header = raw_read_header(fd, NULL);
        if (header == NULL)
            fail_msg("the connection ended without %s", text);
        const char *id = strstr(header, "\"id\":");
        const char *seq = strstr(header, "\"seq\":");
        if (id != NULL && seq != NULL)
            raw_say(fd, "{\"type\":\"ack\",\"id\":%lu,\"next\":%lu}", strtoul(id + 5, NULL, 10),
                    strtoul(seq + 6, NULL, 10) + 1);
        if (strstr(header, text) != NULL || strstr(header, other) != NULL)
            return header;
        free(header);
    }
}

static char *hear(int fd, const char *text)
{
    return hear_either(fd, text, text);
}

static void learn_job(struct fly *fly)
{
    char *started = hear(fly->fd, "\"started\"");
    const char *job = strstr(started, "\"job\":\"");
    assert_non_null(job);
    assert_int_equal(sscanf(job + 7, "%63[^\"]", fly->job), 1);
    free(started);
}

static void close_fly(struct fly *fly)
{
    raw_reset(fly->fd);
    fly->fd = -1;
}

static void kill_job(const struct fly *fly)
{
    int fd = raw_connect(afard_port(&server, 0));
    raw_say(fd, "{\"type\":\"kill\",\"id\":5,\"job\":\"%s\",\"name\":\"KILL\"}", fly->job);
    free(hear(fd, "\"id\":5"));
    (void)close(fd);
}

/* Its client comes back on another connection: the run is found wherever it is, also on its way. */
static void come_back(struct fly *fly)
{
    int fd = raw_connect(afard_port(&server, 0));
    raw_say(
        fd,
        "{\"type\":\"attach\",\"id\":7,\"holder\":\"holder-%016u\",\"attempt\":1,\"resume\":true,"
        "\"next\":0,\"ack\":0,\"next_bytes\":{\"stdout\":0,\"stderr\":0}}",
        fly->holder);
    char *attached = hear(fd, "\"id\":7");
    if (strstr(attached, "\"attached\"") == NULL)
        fail_msg("%s", attached);
    free(attached);
    raw_reset(fly->fd);
    fly->fd = fd;
    raw_say(fd, "{\"type\":\"signal\",\"id\":7,\"name\":\"KILL\"}");
    free(hear(fd, "\"exit\""));
}

static void end(struct fly *fly, struct seeded *seeded)
{
    static const char *const ends[] = {"{\"type\":\"detach\",\"id\":1}",
                                       "{\"type\":\"signal\",\"id\":1,\"name\":\"TERM\"}",
                                       "{\"type\":\"close\",\"id\":1,\"stream\":\"stdout\"}"};
    unsigned which = seeded_below(seeded, 7);
    if (which >= 2 && fly->job[0] == '\0') /* it may not have begun */
        which = 7;
    if (which < 3) {
        raw_say(fly->fd, "%s", ends[which]);
        /* (its time may have been over already) */
        free(hear_either(fly->fd, "\"exit\"", "\"detached\""));
        raw_say(fly->fd, "{\"type\":\"exec\",\"v\":1,\"id\":2,\"shell\":\"echo again\"}");
        free(hear(fly->fd, "\"exit\""));
    } else if (which == 3) {
        kill_job(fly);
        free(hear(fly->fd, "\"exit\""));
    }
    close_fly(fly);
}

static void every_end(void **state)
{
    const char *const more[] = {"--set", "max_jobs_per_identity=0", "--set", "max_jobs=100", NULL};
    struct fly flies[FLIES] = {{.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1},
                               {.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1}};
    struct seeded seeded = {.state = 20};
    (void)state;
    start(more);
    for (int i = 0; i < ENDS; i++) {
        struct fly *fly = &flies[seeded_below(&seeded, FLIES)];
        if (fly->fd >= 0)
            end(fly, &seeded);
        const bool resume = seeded_below(&seeded, 4) == 0;
        begin(fly, seeded_below(&seeded, 3) == 0 ? 1 + seeded_below(&seeded, 20) : 0, resume);
        if (resume) {
            (void)usleep(seeded_below(&seeded, 3000));
            learn_job(fly);
            come_back(fly);
            close_fly(fly);
        } else if (seeded_below(&seeded, 2) == 0) {
            learn_job(fly);
        }
        if (i % 10 == 0)
            (void)kill(server.program.pid, SIGHUP);
    }
    for (unsigned i = 0; i < FLIES; i++) {
        if (flies[i].fd >= 0)
            close_fly(&flies[i]);
    }
    assert_true(moves() > 0);
    wait_metric("afard_jobs{state=\"running\"}", 0);
    wait_metric("afard_connections", 0);
    for (int i = 0; i < 5; i++) { /* nobody is counted where he is not */
        char name[64];
        (void)snprintf(name, sizeof name, "afard_worker_connections{worker=\"%d\"}", i);
        wait_metric(name, 0);
    }
    afard_expect_calm(&server);
}

/* The server ends while commands are on their way. `how`: 0: they are ended at once; 1: killed, by a
 * second signal; 2: the client goes. */
static void end_server(unsigned how, unsigned wait_us)
{
    const char *const more[] = {"--set", how == 0 ? "drain_ms=0" : "drain_ms=60000", "--set",
                                "last_words_ms=100", NULL};
    struct fly flies[4];
    start(more);
    for (unsigned i = 0; i < 4; i++) {
        begin(&flies[i], 0, i == 0);
        if (i % 2 == 0)
            learn_job(&flies[i]);
    }
    (void)usleep(wait_us);
    (void)kill(server.program.pid, SIGTERM);
    if (how == 1) { /* two of them at once would be one */
        afard_expect_log(&server, "draining: ");
        (void)kill(server.program.pid, SIGTERM);
    }
    for (unsigned i = 0; i < 4; i++) {
        size_t size = 0;
        if (how != 2) /* until it is closed */
            free(raw_read_rest(flies[i].fd, &size));
        close_fly(&flies[i]);
    }
    assert_int_equal(afard_stop(&server), 0);
    server.program.pid = 0;
    afar_context_free(context);
    context = NULL;
}

static void the_server_ends(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 12; i++)
        end_server(i % 3, i * 700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(there_and_back_over_tcp, tear_down),
        cmocka_unit_test_teardown(there_and_back_over_tls, tear_down),
        cmocka_unit_test_teardown(files, tear_down),
        cmocka_unit_test_teardown(switched_off, tear_down),
        cmocka_unit_test_teardown(every_end, tear_down),
        cmocka_unit_test_teardown(the_server_ends, tear_down),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
