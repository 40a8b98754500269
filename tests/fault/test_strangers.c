/* Peers who do not show who they are: however many there are, clients get in, and neither log grows
 * with what they do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/raw.h"

enum {
    HELD = 2300,      /* more than max_unauthenticated */
    ADDRESSES = 1000, /* that they come from */
    HONEST = 10,
    DESCRIPTORS = HELD + 200
};

/* The first bytes of a ClientHello of 512. */
static const unsigned char half_hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01,
                                           0x00, 0x01, 0xFC, 0x03, 0x03, 0x2A};

static struct afard server;
static pid_t crowd; /* 0: none */

static int tear_down(void **state)
{
    (void)state;
    if (crowd > 0) {
        (void)kill(crowd, SIGKILL);
        (void)waitpid(crowd, NULL, 0);
    }
    crowd = 0;
    return afard_stop(&server);
}

static void need_descriptors(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < DESCRIPTORS) {
        print_message("skipped: there may be only %lu descriptors\n",
                      (unsigned long)limit.rlim_max);
        skip();
    }
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* ---- the crowd ------------------------------------------------------------------------------- */

/* An address of 127.0.0.0/8, or, each in a /64 of its own, of 2001:db8::/32. */
static int connect_from_number(int family, unsigned number, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7F010001U + number)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_addr.s6_addr = {0x20, 0x01, 0x0D, 0xB8, 0, 1,
                                                    (uint8_t)(number >> 8), (uint8_t)number, 0, 0,
                                                    0, 0, 0, 0, 0, 1}};
    struct sockaddr_in to4 = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 to6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool is6 = family == AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
    int rc = is6 ? bind(fd, (const struct sockaddr *)&v6, sizeof v6)
                 : bind(fd, (const struct sockaddr *)&v4, sizeof v4);
    if (rc == 0)
        rc = is6 ? connect(fd, (const struct sockaddr *)&to6, sizeof to6)
                 : connect(fd, (const struct sockaddr *)&to4, sizeof to4);
    if (rc == 0 || errno == EINPROGRESS)
        return fd;
    (void)close(fd);
    return -1;
}

/* Opens them all, says so by a byte, and for ever opens anew those that the server has closed.
 * Every other one begins to say something. */
static _Noreturn void be_a_crowd(int family, unsigned addresses, uint16_t port, int ready)
{
    static struct pollfd held[HELD];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < HELD; i++)
        held[i] = (struct pollfd){.fd = -1, .events = POLLIN | POLLRDHUP};
    for (unsigned turn = 0;; turn++) {
        for (unsigned i = 0; i < HELD; i++) {
            if (held[i].fd >= 0 && held[i].revents != 0) {
                (void)close(held[i].fd);
                held[i].fd = -1;
            }
            if (held[i].fd >= 0)
                continue;
            held[i].fd = connect_from_number(family, (turn + i) % addresses, port);
            if (held[i].fd < 0)
                _exit(1);
            if (i % 2 == 0)
                (void)send(held[i].fd, half_hello, sizeof half_hello, MSG_NOSIGNAL);
        }
        if (turn == 0 && write(ready, "", 1) != 1)
            _exit(1);
        (void)poll(held, HELD, 10);
    }
}

static void start_crowd(int family, unsigned addresses, uint16_t port)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    crowd = fork();
    assert_true(crowd >= 0);
    if (crowd == 0)
        be_a_crowd(family, addresses, port, ready[1]);
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
}

/* Waits until that limit was met: the crowd has come in. */
static void expect_limit(const char *name)
{
    static const char line[] = "since the start: ";
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    const char *found = NULL;
    while (found == NULL && clock_now_ms() < deadline_ms) {
        size_t before = server.program.stderr_size;
        assert_int_equal(kill(server.program.pid, SIGUSR1), 0);
        found = strstr(program_expect_after(&server.program, 2, before, line), name);
        (void)poll(NULL, 0, 20);
    }
    assert_non_null(found);
}

/* While they are all there, nobody else is kept out, or waits for longer than it takes. */
static void expect_service(const char *url)
{
    struct program client;
    const char *argv[] = {"afar", "run", url, "--", "echo", "in", NULL};
    int64_t worst_ms = 0;
    for (int i = 0; i < HONEST; i++) {
        int64_t begin_ms = clock_now_ms();
        int status = program_run(&client, argv, NULL, 0);
        if (status != 0)
            fail_msg("client %d: status %d: %s", i, status, client.stderr_data);
        assert_string_equal(client.stdout_data, "in\n");
        program_close(&client);
        int64_t took_ms = clock_now_ms() - begin_ms;
        worst_ms = took_ms > worst_ms ? took_ms : worst_ms;
        assert_int_equal(waitpid(crowd, NULL, WNOHANG), 0); /* it is still there */
    }
    print_message("the slowest of %d clients took %lld ms\n", HONEST, (long long)worst_ms);
}

static void two_addresses(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", NULL};
    need_descriptors();
    afard_start_tls(&server, args);
    start_crowd(AF_INET, 2, afard_port(&server, 0));
    expect_limit(" max_unauthenticated_per_address=");
    expect_service(server.url[0]);
}

static void a_thousand_addresses(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", NULL};
    need_descriptors();
    afard_start_tls(&server, args);
    start_crowd(AF_INET, ADDRESSES, afard_port(&server, 0));
    expect_limit(" max_unauthenticated=");
    expect_service(server.url[0]);
}

/* Whoever has one IPv6 address has as many as there are. In a network of this test's own: it must
 * be the last. */
static void a_thousand_networks_of_ipv6(void **state)
{
    (void)state;
    static const char *const up[] = {"ip", "link", "set", "lo", "up", NULL};
    static const char *const route[] = {"ip",  "-6", "route", "add", "local", "2001:db8::/32",
                                        "dev", "lo", NULL};
    const char *args[] = {"--listen", "tls://[::]:0", NULL};
    char url[64];
    struct program program;
    bool can = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
    can = can && program_run(&program, up, NULL, 0) == 0;
    if (can)
        program_close(&program);
    can = can && program_run(&program, route, NULL, 0) == 0;
    if (!can) {
        print_message("skipped: no network of one's own, or no IPv6 in it\n");
        server = (struct afard){.url_count = 0};
        skip();
    }
    program_close(&program);
    need_descriptors();
    afard_start_tls(&server, args);
    (void)snprintf(url, sizeof url, "tls://[::1]:%u", afard_port(&server, 0));
    start_crowd(AF_INET6, ADDRESSES, afard_port(&server, 0));
    expect_limit(" max_unauthenticated=");
    expect_service(url);
}

/* ---- the logs -------------------------------------------------------------------------------- */

static char audit[64];
static char setting[96];

static void make_audit(void)
{
    (void)snprintf(audit, sizeof audit, "/tmp/afar-strangers-XXXXXX");
    int fd = mkstemp(audit);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf(setting, sizeof setting, "audit_log=%s", audit);
}

/* What the file holds; to be freed. */
static char *take_audit(void)
{
    struct program cat;
    const char *argv[] = {"cat", audit, NULL};
    assert_int_equal(program_run(&cat, argv, NULL, 0), 0);
    char *text = strdup(cat.stdout_data);
    program_close(&cat);
    assert_int_equal(unlink(audit), 0);
    assert_non_null(text);
    return text;
}

/* Lines that contain `mark`; of sums (with `more` before a number) the numbers are added up. */
struct found {
    unsigned long lines;
    unsigned long sums;
    unsigned long in_all;
};

static struct found find(const char *text, const char *mark, const char *more)
{
    struct found found = {0};
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        char *line = strndup(text, size);
        assert_non_null(line);
        const char *sum = strstr(line, more);
        if (strstr(line, mark) != NULL) {
            found.lines++;
            found.sums += sum != NULL;
            found.in_all += sum != NULL ? strtoul(sum + strlen(more), NULL, 10) : 1;
        }
        free(line);
        text += size + (text[size] == '\n');
    }
    return found;
}

static void stop(void)
{
    assert_int_equal(kill(server.program.pid, SIGTERM), 0);
    program_finish(&server.program, NULL, 0);
    assert_int_equal(program_exit_status(&server.program), 0);
}

/* Says what is no TLS, and waits until it has been told so. */
static void fail_handshake(const char *from, uint16_t port)
{
    size_t size = 0;
    int fd = raw_connect_from(port, from);
    raw_send(fd, "this is no TLS", 14);
    free(raw_read_rest(fd, &size));
    (void)close(fd);
}

static void failed_handshakes_of_one(void **state)
{
    (void)state;
    enum { TIMES = 1000 };
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--set", setting, NULL};
    make_audit();
    afard_start_tls(&server, args);
    for (int i = 0; i < TIMES; i++)
        fail_handshake("127.0.0.9", afard_port(&server, 0));
    stop();
    char *lines = take_audit();
    struct found found = find(server.program.stderr_data, "127.0.0.9", "and ");
    assert_int_equal(found.in_all, TIMES); /* none is forgotten … */
    assert_int_equal(found.sums, 1);
    assert_int_equal(found.lines, 11); /* … and few are written */
    assert_non_null(
        strstr(server.program.stderr_data, "handshakes failed: and 990 more from 127.0.0.9 in "));
    found = find(lines, "\"event\":\"handshake_failed\"", "\"more\":");
    assert_int_equal(found.in_all, TIMES);
    assert_int_equal(found.lines, 11);
    assert_non_null(strstr(lines, "\"address\":\"127.0.0.9\",\"more\":990,\"seconds\":"));
    free(lines);
}

static void failed_handshakes_of_many(void **state)
{
    (void)state;
    enum { TIMES = 3, MANY = 400 };
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--set", setting, NULL};
    char from[32];
    make_audit();
    afard_start_tls(&server, args);
    for (int i = 0; i < TIMES * MANY; i++) {
        (void)snprintf(from, sizeof from, "127.1.%d.%d", i % MANY / 200, i % MANY % 200 + 1);
        fail_handshake(from, afard_port(&server, 0));
    }
    stop();
    char *lines = take_audit();
    struct found found = find(server.program.stderr_data, " from 1", "and ");
    found.in_all += find(server.program.stderr_data, "from other", "and ").in_all;
    assert_int_equal(found.in_all, TIMES * MANY);
    assert_int_equal(found.lines - found.sums, 120);
    assert_int_equal(found.sums, 256); /* and one of all others */
    assert_non_null(strstr(server.program.stderr_data, "more from other addresses in "));
    found = find(lines, "\"event\":\"handshake_failed\"", "\"more\":");
    assert_int_equal(found.in_all, TIMES * MANY);
    assert_int_equal(found.lines - found.sums, 120);
    assert_int_equal(found.sums, 257);
    free(lines);
}

static void refused_connections(void **state)
{
    (void)state;
    enum { TIMES = 1000 };
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", setting,
                          "--set",    "max_connections=1", NULL};
    make_audit();
    afard_start(&server, args);
    int busy = raw_connect(afard_port(&server, 0));
    raw_send_frame(busy, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"sleep\",\"1000\"]}");
    free(raw_read_header(busy, NULL));
    for (int i = 0; i < TIMES; i++) {
        size_t size = 0;
        int fd = raw_connect(afard_port(&server, 0));
        free(raw_read_rest(fd, &size));
        (void)close(fd);
    }
    (void)close(busy);
    stop();
    char *lines = take_audit();
    struct found found = find(server.program.stderr_data, "refused: ", "and ");
    assert_int_equal(found.in_all, TIMES);
    assert_int_equal(found.lines, 11);
    found = find(lines, "\"event\":\"connection_refused\"", "\"more\":");
    assert_int_equal(found.in_all, TIMES);
    assert_int_equal(found.lines, 11);
    free(lines);
}

/* ---- clients that are known, and refused again and again ------------------------------------- */

/* Each is in the audit log, for that is what it is for; but they do not come at any rate. */
static void denied_requests(void **state)
{
    (void)state;
    enum { TIMES = 120, FREE = 100, APART_MS = 100 };
    char config[] = "/tmp/afar-strangers-XXXXXX";
    static const char rules[] = "[allow one]\nclient = anonymous\ncommand = /bin/true\n";
    const char *args[] = {"-c", config, "--listen", "tcp://127.0.0.1:0", "--set", setting, NULL};
    make_audit();
    int file = mkstemp(config);
    assert_int_equal(write(file, rules, sizeof rules - 1), sizeof rules - 1);
    (void)close(file);
    afard_start(&server, args);
    int64_t begin_ms = clock_now_ms();
    int fd = raw_connect(afard_port(&server, 0));
    for (int i = 1; i <= TIMES; i++) {
        char request[128];
        (void)snprintf(request, sizeof request,
                       "{\"type\":\"exec\",\"v\":1,\"id\":%d,\"argv\":[\"/bin/cat\",\"%d\"]}", i,
                       i);
        raw_send_frame(fd, request);
        char *answer = raw_read_header(fd, NULL);
        assert_non_null(answer);
        assert_non_null(strstr(answer, "\"denied\""));
        free(answer);
    }
    /* The last answer comes before its own pause. */
    assert_true(clock_now_ms() - begin_ms >= (int64_t)(TIMES - FREE - 1) * APART_MS);
    (void)close(fd);
    stop();
    (void)unlink(config);
    char *lines = take_audit();
    for (int i = 1; i <= TIMES; i++) {
        char words[64];
        (void)snprintf(words, sizeof words, "\"argv\":[\"/bin/cat\",\"%d\"]", i);
        assert_non_null(strstr(lines, words));
    }
    struct found found = find(lines, "\"event\":\"denied\"", "\"more\":");
    assert_int_equal(found.lines, TIMES);
    assert_int_equal(found.sums, 0);
    found = find(server.program.stderr_data, "denied: ", "and ");
    assert_int_equal(found.lines, 60);
    assert_non_null(strstr(server.program.stderr_data, "more from anonymous from 127.0.0.1 in "));
    free(lines);
}

/* Frames that are no requests cost a line each, too; another client does not notice. */
static void bad_frames(void **state)
{
    (void)state;
    enum { TIMES = 2000, READ = 110 };
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    afard_start(&server, args);
    int fd = raw_connect(afard_port(&server, 0));
    for (int i = 0; i < TIMES; i++)
        raw_send_frame(fd, "{\"type\":\"nonsense\",\"id\":1}");
    for (int i = 0; i < READ; i++) {
        char *answer = raw_read_header(fd, NULL);
        assert_non_null(strstr(answer, "bad_request"));
        free(answer);
    }
    int other = raw_connect_from(afard_port(&server, 0), "127.0.0.2");
    raw_send_frame(other, "{\"type\":\"ping\",\"id\":1}");
    char *pong = raw_read_header(other, NULL);
    assert_non_null(strstr(pong, "\"pong\""));
    free(pong);
    (void)close(other);
    (void)close(fd);
    stop();
    struct found found = find(server.program.stderr_data, "bad_request", "and ");
    assert_int_equal(found.lines, 60);
    assert_true(find(server.program.stderr_data, "requests refused: and ", "and ").in_all >=
                READ - 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(two_addresses, tear_down),
        cmocka_unit_test_teardown(a_thousand_addresses, tear_down),
        cmocka_unit_test_teardown(failed_handshakes_of_one, tear_down),
        cmocka_unit_test_teardown(failed_handshakes_of_many, tear_down),
        cmocka_unit_test_teardown(refused_connections, tear_down),
        cmocka_unit_test_teardown(denied_requests, tear_down),
        cmocka_unit_test_teardown(bad_frames, tear_down),
        cmocka_unit_test_teardown(a_thousand_networks_of_ipv6, tear_down),
    };
    return cmocka_run_group_tests_name("strangers", tests, NULL, NULL);
}
