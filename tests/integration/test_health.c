/* `http`: health and metrics of a real server, whatever state it is in. */
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
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/watch/http.h"
#include "support/afard.h"
#include "support/raw.h"
#include "support/threads.h"

static struct afard server;

static struct threads workers; /* that a test has frozen */

static int tear_down(void **state)
{
    threads_kill(&workers, server.program.pid);
    (void)state;
    return afard_stop(&server);
}

static int http_connect_from(const char *source)
{
    const char *colon = strrchr(server.http, ':');
    assert_non_null(colon);
    return raw_connect_from((uint16_t)atoi(colon + 1), source);
}

static int http_connect(void)
{
    return http_connect_from("127.0.0.1");
}

/* Sends `request` and reads to the end; to be freed. */
static char *ask(const char *request)
{
    int fd = http_connect();
    size_t size = 0;
    raw_send(fd, request, strlen(request));
    char *answer = raw_read_rest(fd, &size);
    (void)close(fd);
    return answer;
}

static char *get(const char *path)
{
    char request[256];
    (void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    return ask(request);
}

static void expect_answer(char *answer, const char *begin, const char *end)
{
    size_t size = strlen(answer);
    if (strncmp(answer, begin, strlen(begin)) != 0 || size < strlen(end) ||
        strcmp(answer + size - strlen(end), end) != 0)
        fail_msg("'%s' does not begin with '%s' and end with '%s'", answer, begin, end);
    free(answer);
}

/* The value of a metric, named with its labels. */
static double metric(const char *name)
{
    char line[160];
    char *answer = get("/metrics");
    (void)snprintf(line, sizeof line, "\n%s ", name);
    const char *found = strstr(answer, line);
    if (found == NULL)
        fail_msg("no %s in %s", name, answer);
    double value = strtod(found + strlen(line), NULL);
    free(answer);
    return value;
}

static void expect_metric(const char *name, int value)
{
    double got = metric(name);
    if ((int)got != value)
        fail_msg("%s is %g, not %d", name, got, value);
}

/* What changes a moment after the client has heard. */
static void wait_metric(const char *name, int value)
{
    int64_t deadline_ms = clock_now_ms() + test_deadline_ms();
    while ((int)metric(name) != value && clock_now_ms() < deadline_ms)
        (void)poll(NULL, 0, 2);
    expect_metric(name, value);
}

static int run(const char *option, const char *script)
{
    struct program client;
    const char *argv[] = {"afar", "run", server.url[0], "--", "sh", "-c", script, NULL};
    const char *with[] = {"afar", "run", option, server.url[0], "--", "sh", "-c", script, NULL};
    int status = program_run(&client, option == NULL ? argv : with, NULL, 0);
    program_close(&client);
    return status;
}

static void start_plain(const char *const *more)
{
    const char *args[16] = {"--listen", "tcp://127.0.0.1:0", "--http", "tcp://127.0.0.1:0"};
    for (unsigned i = 0; more != NULL && more[i] != NULL; i++)
        args[4 + i] = more[i];
    afard_start(&server, args);
}

static void pages(void **state)
{
    (void)state;
    start_plain(NULL);
    afard_expect_log(&server, ": this machine can read health and metrics over HTTP");
    expect_answer(get("/healthz"), "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n");
    expect_answer(get("/readyz"), "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n");
    expect_answer(get("/readyz?verbose=1"), "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n");
    expect_answer(get("/"), "HTTP/1.1 404 Not Found\r\n", "there is no such page\n");
    expect_answer(get("/../etc/passwd"), "HTTP/1.1 404 Not Found\r\n", "there is no such page\n");
    expect_answer(ask("HEAD /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), "HTTP/1.1 200 OK\r\n",
                  "Content-Length: 3\r\n\r\n");
    expect_answer(ask("GET /healthz HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n");
    expect_answer(ask("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"),
                  "HTTP/1.1 405 Method Not Allowed\r\n", "only GET and HEAD\n");
    expect_answer(ask("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"), "HTTP/1.1 421 ",
                  "as localhost\n");
    char *metrics = get("/metrics");
    assert_non_null(strstr(metrics, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    free(metrics);
}

/* What each outcome adds to. */
static void sums(void **state)
{
    (void)state;
    struct program client;
    start_plain(NULL);
    assert_int_equal(run(NULL, "exit 0"), 0);
    assert_int_equal(run(NULL, "printf 12345; exit 3"), 3);
    assert_int_equal(run(NULL, "kill -9 $$"), 137);
    assert_int_equal(run("--timeout=50ms", "exec sleep 60"), 124);
    const char *absent[] = {"afar", "run", server.url[0], "--", "/no/such/program", NULL};
    assert_int_equal(program_run(&client, absent, NULL, 0), 127);
    program_close(&client);
    wait_metric("afard_connections", 0);
    expect_metric("afard_ready", 1);
    expect_metric("afard_exposed_users", 0); /* there is no file to get at */
    expect_metric("afard_jobs_ended_total{outcome=\"exited\"}", 2);
    expect_metric("afard_jobs_ended_total{outcome=\"signaled\"}", 1);
    expect_metric("afard_jobs_ended_total{outcome=\"timed_out\"}", 1);
    expect_metric("afard_jobs_ended_total{outcome=\"spawn_failed\"}", 1);
    expect_metric("afard_jobs_ended_total{outcome=\"refused\"}", 0);
    expect_metric("afard_jobs_started_total", 4);
    expect_metric("afard_job_queue_seconds_count", 5);
    expect_metric("afard_job_run_seconds_count", 4);
    expect_metric("afard_job_run_seconds_bucket{le=\"+Inf\"}", 4);
    assert_true(metric("afard_job_run_seconds_sum") >= 0.05);
    expect_metric("afard_limit_reached_total{limit=\"job_timeout\"}", 1);
    expect_metric("afard_handshakes_total{result=\"plain\"}", 5);
    expect_metric("afard_connections_accepted_total", 5);
    static const char *const states[] = {"queued", "spawning", "running", "draining", "sweeping"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "afard_jobs{state=\"%s\"}", states[i]);
        expect_metric(name, 0);
    }
    double before = metric("afard_bytes_total{direction=\"out\"}");
    assert_int_equal(run(NULL, "head -c 1000000 /dev/zero"), 0);
    double sent = metric("afard_bytes_total{direction=\"out\"}") - before;
    assert_true(sent > 1000000 && sent < 1100000);
    assert_true(metric("afard_worker_lag_seconds_count") > 0);
    assert_true(metric("process_open_fds") > 10);
}

/* The pool has one thread and one place, and both are taken. */
static void saturated(void **state)
{
    (void)state;
    enum { CROWD = 30 };
    int crowd[CROWD];
    struct program job;
    struct program waiting;
    const char *more[] = {"--workers", "1", "--set", "max_jobs=1", NULL};
    start_plain(more);
    const char *cat[] = {"afar", "run", server.url[0], "--", "sh", "-c", "echo in; cat", NULL};
    program_start(&job, cat, NULL);
    program_expect(&job, 1, "in\n");
    for (int i = 0; i < CROWD; i++)
        crowd[i] = raw_connect(afard_port(&server, 0));
    const char *wait[] = {"afar", "run", "--start-within=1m", server.url[0], "--", "true", NULL};
    program_start(&waiting, wait, NULL);
    wait_metric("afard_jobs{state=\"queued\"}", 1);
    expect_metric("afard_jobs{state=\"running\"}", 1);
    wait_metric("afard_connections", CROWD + 2);
    wait_metric("afard_worker_connections{worker=\"0\"}", CROWD + 2);
    assert_int_equal(run(NULL, "exit 0"), 125);
    wait_metric("afard_limit_reached_total{limit=\"max_jobs\"}", 1);
    expect_answer(get("/healthz"), "HTTP/1.1 200 OK\r\n", "ok\n");
    expect_answer(get("/readyz"), "HTTP/1.1 200 OK\r\n", "ok\n");
    program_finish(&job, NULL, 0);
    program_close(&job);
    program_finish(&waiting, NULL, 0);
    assert_int_equal(program_exit_status(&waiting), 0);
    program_close(&waiting);
    wait_metric("afard_jobs{state=\"queued\"}", 0);
    for (int i = 0; i < CROWD; i++)
        (void)close(crowd[i]);
    wait_metric("afard_connections", 0);
}

/* No worker does anything any more: whoever asks one gets no answer, but these pages. */
static void workers_that_hang(void **state)
{
    (void)state;
    const char *more[] = {"--workers", "2", "--set", "bulk_workers=2", NULL};
    start_plain(more);
    free(get("/healthz")); /* its thread has got its name by then */
    if (!threads_seize(&workers, server.program.pid, "MHD-single")) {
        print_message("ptrace(2) is not allowed here: skipped\n");
        skip();
    }
    /* Each has a companion and a sweeper, the two bulk workers, too; TSan one of its own. */
    assert_in_range(workers.count, 3 * (2 + 2), 3 * (2 + 2) + 1);
    threads_freeze(&workers);
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(fd, "{\"type\":\"ping\",\"id\":1}");
    assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 100), 0);
    expect_answer(get("/healthz"), "HTTP/1.1 200 OK\r\n", "ok\n"); /* for ten seconds */
    expect_answer(get("/readyz"), "HTTP/1.1 200 OK\r\n", "ok\n");
    expect_metric("afard_ready", 1);
    wait_metric("afard_connections_accepted_total", 1);
    expect_metric("afard_worker_connections{worker=\"1\"}", 0);
    threads_thaw(&workers);
    threads_release(&workers);
    char *pong = raw_read_header(fd, NULL);
    assert_non_null(strstr(pong, "pong"));
    free(pong);
    (void)close(fd);
}

static void draining(void **state)
{
    (void)state;
    struct program job;
    const char *more[] = {"--set", "drain_ms=60000", NULL};
    start_plain(more);
    const char *cat[] = {"afar", "run", server.url[0], "--", "sh", "-c", "echo in; cat", NULL};
    program_start(&job, cat, NULL);
    program_expect(&job, 1, "in\n");
    assert_int_equal(kill(server.program.pid, SIGTERM), 0);
    afard_expect_log(&server, "draining: 1 jobs");
    wait_metric("afard_ready", 0);
    expect_answer(get("/readyz"), "HTTP/1.1 503 Service Unavailable\r\n", "draining\n");
    expect_answer(get("/healthz"), "HTTP/1.1 200 OK\r\n", "ok\n");
    expect_metric("afard_jobs{state=\"running\"}", 1);
    program_finish(&job, "on\n", 3);
    assert_string_equal(job.stdout_data, "in\non\n");
    program_close(&job);
    program_finish(&server.program, NULL, 0);
    assert_int_equal(program_exit_status(&server.program), 0);
}

/* Clients that are slow, many, or none of HTTP's. */
static void misuse(void **state)
{
    (void)state;
    int silent[HTTP_PER_ADDRESS_MAX - 2];
    start_plain(NULL);
    size_t count = sizeof silent / sizeof silent[0];
    for (size_t i = 0; i < count; i++) {
        silent[i] = http_connect();
        raw_send(silent[i], "GET /metr", 9);
    }
    expect_answer(get("/healthz"), "HTTP/1.1 200 OK\r\n", "ok\n");
    expect_answer(ask("\x16\x03\x01\x02\x01\r\n\r\n"), "", ""); /* closed: not HTTP */
    static const char begin[] = "GET / HTTP/1.1\r\nX: ";
    char *big = malloc(100000);
    assert_non_null(big);
    memset(big, 'x', 99999);
    big[99999] = '\0';
    memcpy(big, begin, sizeof begin - 1);
    int fd = http_connect();
    size_t size = 0;
    (void)send(fd, big, 99999, MSG_NOSIGNAL); /* it may close in the middle */
    char *answer = raw_read_rest(fd, &size);
    if (size > 0) /* else a reset was faster than the words */
        assert_int_equal(strncmp(answer, "HTTP/1.1 431 ", 13), 0);
    free(answer);
    free(big);
    (void)close(fd);
    for (size_t i = 0; i < count; i++)
        (void)close(silent[i]);
    assert_int_equal(run(NULL, "exit 3"), 3);
}

/* Opens those that are not open, every other one with the beginning of a request. */
static void fill_up(int *held, unsigned count, unsigned addresses)
{
    char source[32];
    for (unsigned i = 0; i < count; i++) {
        if (held[i] >= 0 && poll(&(struct pollfd){.fd = held[i], .events = POLLRDHUP}, 1, 0) == 0)
            continue;
        if (held[i] >= 0)
            (void)close(held[i]);
        (void)snprintf(source, sizeof source, "127.0.0.%u", 1 + i % addresses);
        held[i] = http_connect_from(source);
        if (i % 2 == 0)
            raw_send(held[i], "GET /metr", 9);
    }
}

/* Whoever holds connections and asks for nothing keeps no probe out, from wherever. If each had to
 * wait until one of them has been silent for too long, all would take twice the time. */
static void idle_crowd(void **state)
{
    (void)state;
    enum { ADDRESSES = 100, HELD = 100, PROBES = 10 };
    static int held[HELD];
    static const unsigned addresses[] = {1, 2, ADDRESSES}; /* the first has the probes', too */
    start_plain(NULL);
    for (size_t round = 0; round < sizeof addresses / sizeof addresses[0]; round++) {
        for (unsigned i = 0; i < HELD; i++)
            held[i] = -1;
        int64_t begin_ms = clock_now_ms();
        for (int i = 0; i < PROBES; i++) {
            fill_up(held, HELD, addresses[round]);
            expect_answer(get("/healthz"), "HTTP/1.1 200 OK\r\n", "ok\n");
        }
        assert_true(clock_now_ms() - begin_ms < (int64_t)PROBES * HTTP_TIMEOUT_S * 1000 / 2);
        for (unsigned i = 0; i < HELD; i++)
            (void)close(held[i]);
    }
}

static void expect_ping(const char *url, int status, const char *text)
{
    struct program client;
    const char *argv[] = {"afar", "ping", url, NULL};
    assert_int_equal(program_run(&client, argv, NULL, 0), status);
    const char *said = status == 0 ? client.stdout_data : client.stderr_data;
    if (strncmp(said, text, strlen(text)) != 0)
        fail_msg("'%s' does not begin with '%s'", said, text);
    program_close(&client);
}

/* `afar ping http://…`: the check of a container that has no other client. */
static void ping(void **state)
{
    (void)state;
    char url[600];
    struct program client;
    start_plain(NULL);
    (void)snprintf(url, sizeof url, "http:%.500s", strchr(server.http, ':') + 1);
    expect_ping(url, 0, "ok from http://127.0.0.1:");
    (void)snprintf(url, sizeof url, "http:%.500s/readyz", strchr(server.http, ':') + 1);
    expect_ping(url, 0, "ok from http://127.0.0.1:");
    (void)snprintf(url, sizeof url, "http:%.500s/", strchr(server.http, ':') + 1);
    expect_ping(url, 0, "ok from http://127.0.0.1:");
    (void)snprintf(url, sizeof url, "http:%.500s/metrics", strchr(server.http, ':') + 1);
    expect_ping(url, 0, "# HELP ");
    (void)snprintf(url, sizeof url, "http:%.500s/none", strchr(server.http, ':') + 1);
    expect_ping(url, 125, "afar: http://127.0.0.1:");
    (void)snprintf(url, sizeof url, "http:%.500s", strchr(server.url[0], ':') + 1);
    expect_ping(url, 125, "afar: http://127.0.0.1:");
    expect_ping("http://127.0.0.1:1", 125, "afar: cannot connect to tcp://127.0.0.1:1");
    expect_ping("http://", 125, "afar: 'http://' is not http://HOST[:PORT][/PATH]");
    expect_ping("http:///healthz", 125, "afar: 'http:///healthz' is not http://");
    expect_ping("http://a b", 125, "afar: 'http://a b' is not http://");
    (void)snprintf(url, sizeof url, "http:%.500s", strchr(server.http, ':') + 1);
    const char *argv[] = {"afar", "ping", "--json", "--count", "2", url, NULL};
    assert_int_equal(program_run(&client, argv, NULL, 0), 0);
    assert_non_null(strstr(client.stdout_data, ",\"words\":\"ok\"}\n{\"host\":\"http://"));
    program_close(&client);
}

/* What `openssl x509 -enddate` says, as Unix time. */
static double expiry(const char *certificate)
{
    struct program shell;
    const char *argv[] = {
        "sh", "-c", "date +%s -d \"$(openssl x509 -noout -enddate -in \"$0\" | cut -d= -f2)\"",
        certificate, NULL};
    assert_int_equal(program_run(&shell, argv, NULL, 0), 0);
    double at = strtod(shell.stdout_data, NULL);
    program_close(&shell);
    return at;
}

static void handshakes_and_certificates(void **state)
{
    (void)state;
    char certificate[128];
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--http", "tcp://127.0.0.1:0",
                          "--set",    "tls_watch_ms=0",    NULL};
    afard_start_tls(&server, args);
    assert_int_equal(run(NULL, "exit 0"), 0);
    assert_int_equal(run(NULL, "exit 0"), 0);
    wait_metric("afard_handshakes_total{result=\"full\"}", 1);
    wait_metric("afard_handshakes_total{result=\"resumed\"}", 1);
    expect_metric("afard_exposed_users", 1); /* whom the key belongs to */
    int fd = raw_connect(afard_port(&server, 0));
    size_t size = 0;
    raw_send(fd, "GET / HTTP/1.1\r\n\r\n", 18);
    free(raw_read_rest(fd, &size));
    (void)close(fd);
    wait_metric("afard_handshakes_total{result=\"not_tls\"}", 1);
    fd = raw_connect(afard_port(&server, 0));
    (void)close(fd);
    wait_metric("afard_handshakes_total{result=\"closed\"}", 1);
    (void)setenv("AFAR_CERT", "", 1);
    (void)setenv("AFAR_KEY", "", 1);
    assert_int_equal(run(NULL, "exit 0"), 125);
    wait_metric("afard_handshakes_total{result=\"untrusted\"}", 1);

    (void)snprintf(certificate, sizeof certificate, "%s/server.pem", server.folder);
    double read_at = metric("afard_reload_success_timestamp_seconds");
    assert_true(metric("afard_certificate_expiry_timestamp_seconds") ==
                expiry(certificate)); // NOLINT(clang-diagnostic-float-equal): whole seconds
    expect_metric("afard_reload_successful", 1);
    char kept[160];
    (void)snprintf(kept, sizeof kept, "%s.kept", certificate);
    assert_int_equal(rename(certificate, kept), 0);
    assert_int_equal(kill(server.program.pid, SIGHUP), 0);
    wait_metric("afard_reload_successful", 0);
    wait_metric("afard_reloads_total{result=\"failed\"}", 1);
    assert_int_equal(rename(kept, certificate), 0);
    assert_int_equal(kill(server.program.pid, SIGHUP), 0);
    wait_metric("afard_reloads_total{result=\"ok\"}", 1);
    expect_metric("afard_reload_successful", 1);
    assert_true(metric("afard_reload_success_timestamp_seconds") >= read_at);
}

/* The library's own judge of the format, where it is installed. */
static void promtool(void **state)
{
    (void)state;
    struct program tool;
    const char *find[] = {"sh", "-c", "command -v promtool", NULL};
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--http", "tcp://127.0.0.1:0", NULL};
    afard_start_tls(&server, args); /* has all metrics that there can be */
    bool there = program_run(&tool, find, NULL, 0) == 0;
    program_close(&tool);
    if (!there) {
        print_message("promtool is not there (Debian: prometheus)\n");
        skip();
    }
    assert_int_equal(run(NULL, "exit 0"), 0);
    char *answer = get("/metrics");
    const char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    const char *check[] = {"promtool", "check", "metrics", NULL};
    int status = program_run(&tool, check, body + 4, strlen(body + 4));
    if (status != 0 || tool.stderr_size > 0)
        fail_msg("%s%s", tool.stdout_data, tool.stderr_data);
    program_close(&tool);
    free(answer);
}

static void unix_socket(void **state)
{
    (void)state;
    char url[128];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/tmp/afar-http-%d", (int)getpid());
    (void)snprintf(url, sizeof url, "unix://%s", address.sun_path);
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--http", url, NULL};
    afard_start(&server, args);
    assert_string_equal(server.http, url);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t size = 0;
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    raw_send(fd, "GET /healthz HTTP/1.0\r\n\r\n", 25);
    expect_answer(raw_read_rest(fd, &size), "HTTP/1.1 200 OK\r\n", "ok\n");
    (void)close(fd);
    assert_int_equal(kill(server.program.pid, SIGTERM), 0);
    program_finish(&server.program, NULL, 0);
    assert_int_equal(access(address.sun_path, F_OK), -1);
}

static void expect_refused(const char *http, const char *text)
{
    struct program program;
    const char *argv[] = {"afard", "--listen", server.url[0], "--http", http, NULL};
    const char *other[] = {"afard", "--listen", "tcp://127.0.0.1:0", "--http", http, NULL};
    bool same = strcmp(http, server.url[0]) == 0;
    assert_true(program_run(&program, same ? argv : other, NULL, 0) > 0);
    if (strstr(program.stderr_data, text) == NULL)
        fail_msg("%s: '%s' is not in '%s'", http, text, program.stderr_data);
    program_close(&program);
}

static void what_cannot_be(void **state)
{
    (void)state;
    start_plain(NULL);
    expect_refused(server.http, "http: cannot listen at tcp://127.0.0.1:");
    expect_refused(server.url[0], "is already the address of a listener");
    expect_refused("tls://127.0.0.1:1", "expected tcp://HOST:PORT or unix:///PATH");
    expect_refused("udp://127.0.0.1:1", "expected tcp://HOST:PORT or unix:///PATH");
    expect_refused("tcp://127.0.0.1:1?protocol=headed", "expected tcp://HOST:PORT or unix:///PATH");
    expect_refused("tcp://127.0.0.1:99999", "http: ");
}

/* SIGHUP keeps it; one that it should listen at elsewhere is refused whole. */
static void reload(void **state)
{
    (void)state;
    char file[] = "/tmp/afar-http-XXXXXX";
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "workers = 2\n", 12), 12);
    const char *more[] = {"-c", file, NULL};
    start_plain(more);
    assert_int_equal(kill(server.program.pid, SIGHUP), 0);
    wait_metric("afard_reloads_total{result=\"ok\"}", 1);
    assert_int_equal(run(NULL, "exit 3"), 3);
    (void)close(fd);
    (void)unlink(file);

    assert_int_equal(afard_stop(&server), 0);
    char other[] = "/tmp/afar-http-XXXXXX";
    fd = mkstemp(other);
    static const char text[] = "http = tcp://127.0.0.1:0\n";
    assert_true(write(fd, text, sizeof text - 1) == sizeof text - 1);
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "-c", other, NULL};
    afard_start(&server, args);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(kill(server.program.pid, SIGHUP), 0);
    afard_expect_log(&server, "nothing changed: http: changing it needs a restart");
    (void)close(fd);
    (void)unlink(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(pages, tear_down),
        cmocka_unit_test_teardown(ping, tear_down),
        cmocka_unit_test_teardown(sums, tear_down),
        cmocka_unit_test_teardown(saturated, tear_down),
        cmocka_unit_test_teardown(workers_that_hang, tear_down),
        cmocka_unit_test_teardown(draining, tear_down),
        cmocka_unit_test_teardown(misuse, tear_down),
        cmocka_unit_test_teardown(idle_crowd, tear_down),
        cmocka_unit_test_teardown(handshakes_and_certificates, tear_down),
        cmocka_unit_test_teardown(promtool, tear_down),
        cmocka_unit_test_teardown(unix_socket, tear_down),
        cmocka_unit_test_teardown(what_cannot_be, tear_down),
        cmocka_unit_test_teardown(reload, tear_down),
    };
    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
