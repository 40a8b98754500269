/* Every call of the server that can fail, made to fail once: no crash, no leak, no hang, no wrong
 * receipt, and the next client is served.
 *
 * A clean run lists the sites (support/inject.h); then each has a server of its own, in which it
 * fails at its first occurrence, in each of its ways. AFAR_FAULT_ALL=1: all of OpenSSL's
 * allocations too, of which the default run takes samples. */
// wrap: remains_sweep
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/inject.h"
#include "support/inject_server.h"
#include "support/program.h"
#include "support/raw.h"
#include "support/test_certs.h"

enum {
    INPUT_BYTES = 70000, /* more than a pipe holds */
    HEADED_BYTES = 300000,
    CLEAN_ROUNDS = 2,
    SITES_EXPECTED = 150, /* fewer: the wrappers do not see the calls any more */
    REST_STEP = 4,
    OPENSSL_SAMPLES = 40,
    OPENSSL_LEAK_MAX = 16 /* it leaks a little by itself; a connection has hundreds */
};

static struct test_certs certs;
static char config_path[96];
static char more_path[96];
static char afar[PROGRAM_TEXT_BYTES];
static char input[INPUT_BYTES];

/* OpenSSL 3.0 goes without an algorithm that it could not fetch, when the context was made or when
 * the first client needed it, and says nothing; such a process may refuse every client. That much
 * is its own. */
static bool may_be_crippled;
static unsigned crippled;

struct remains;
struct log;
struct kept;
struct cgroups;

/* It reads all of /proc, of however many processes there are at the moment: more than all the rest
 * together, and another number of calls each time. Its failures are test_remains's. */
struct remains *__wrap_remains_sweep(struct log *log, struct kept *kept,
                                     const struct cgroups *cgroups);
struct remains *__wrap_remains_sweep(struct log *log, struct kept *kept,
                                     const struct cgroups *cgroups)
{
    (void)log;
    (void)kept;
    (void)cgroups;
    return NULL;
}

/* ---- what a client sees ---------------------------------------------------------------------- */

/* "afar: …", one line, and nothing else. */
static bool one_line(const struct program *program)
{
    const char *text = program->stderr_data;
    const char *end = strchr(text, '\n');
    return strncmp(text, "afar: ", 6) == 0 && end != NULL && end[1] == '\0';
}

static void show(const char *what, const struct program *program)
{
    (void)fprintf(stderr, "%s: status %d\nstdout (%zu bytes): …%s\nstderr: %s\n", what,
                  program_exit_status(program), program->stdout_size,
                  program->stdout_size > 700 ? program->stdout_data + program->stdout_size - 700
                                             : program->stdout_data,
                  program->stderr_data);
}

/* timeout(1): a hang is a finding, not the end of the test. */
#define CLIENT "timeout", "-k", "1", deadline_text(), afar, "run", "--reconnect", "0"

static const char *deadline_text(void)
{
    static char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)test_deadline_ms() / 1000 / 3);
    return text;
}

/* A command with stdin and digest. Either all of it, or a word. */
static bool run_job(const char *url)
{
    struct program program;
    const char *argv[] = {CLIENT, "--json", "--digest", "-w", "/",  "-e",
                          "X=1",  url,      "--",       "sh", "-c", "cat; echo err >&2; exit 7",
                          NULL};
    int status = program_run(&program, argv, input, sizeof input);
    bool receipt = strstr(program.stdout_data, "\"outcome\":\"exited\"") != NULL;
    bool whole =
        strstr(program.stdout_data, "\"outcome\":\"exited\",\"code\":7,\"bytes\":{\"stdin\":70000,"
                                    "\"stdout\":70000,\"stderr\":4}") != NULL;
    /* The client itself says that a receipt without its digest is none. */
    if (status == 125 && strstr(program.stderr_data, "the receipt's SHA-256") != NULL)
        receipt = false;
    bool good = status == 7 ? whole && program.stderr_size == 0
                            : (status == 125 || status == 126) && one_line(&program) && !receipt;
    if (!good)
        show("the command", &program);
    program_close(&program);
    return good;
}

/* The same of the tutorial's protocol, whose output goes through a temporary file. */
static bool run_headed(const char *url)
{
    struct program program;
    const char *argv[] = {CLIENT, url, "--", "head -c 300000 /dev/zero | tr '\\0' x; echo err >&2",
                          NULL};
    int status = program_run(&program, argv, NULL, 0);
    bool good = status == 0 ? program.stdout_size == HEADED_BYTES + 4 && program.stderr_size == 0
                            : status == 125 && one_line(&program);
    if (!good)
        show("the headed command", &program);
    program_close(&program);
    return good;
}

/* Nothing fails any more: these two must succeed. *refused: this one was not served, but got a
 * word.
 */
static bool run_next(const char *url, bool *refused)
{
    struct program program;
    const char *argv[] = {CLIENT, url, "--", "sh", "-c", "cat; exit 7", NULL};
    int status = program_run(&program, argv, "again", 5);
    bool good = status == 7 && strcmp(program.stdout_data, "again") == 0;
    *refused = status == 125 && program.stdout_size == 0 && one_line(&program);
    if (!good && !(*refused && may_be_crippled))
        show("the next command", &program);
    program_close(&program);
    return good;
}

static bool run_next_headed(const char *url)
{
    static const char command[] = "echo again";
    char reply[512];
    size_t used = 0;
    int fd = raw_connect((uint16_t)atoi(strrchr(url, ':') + 1));
    raw_send(fd, command, sizeof command - 1);
    while (used + 1 < sizeof reply && raw_read(fd, reply + used, 1)) {
        used++;
        if (used > 6 && memcmp(reply + used - 6, "again\n", 6) == 0)
            break;
    }
    reply[used] = '\0';
    (void)close(fd);
    bool good = used > 6 && memcmp(reply + used - 6, "again\n", 6) == 0;
    if (!good)
        (void)fprintf(stderr, "the next headed command: %zu bytes\n", used);
    return good;
}

/* A command that does not heed TERM, and its child, when their time is over. */
static bool run_timed_out(const char *url)
{
    struct program program;
    const char *argv[] = {CLIENT, "--json", "--timeout",
                          "30ms", url,      "--",
                          "sh",   "-c",     "trap '' TERM; sleep 1000 & sleep 1000",
                          NULL};
    int status = program_run(&program, argv, NULL, 0);
    bool timed_out = strstr(program.stdout_data, "\"outcome\":\"timed_out\"") != NULL;
    bool good = one_line(&program) &&
                (status == 124 ? timed_out : (status == 125 || status == 126) && !timed_out);
    if (!good)
        show("the command without end", &program);
    program_close(&program);
    return good;
}

/* On a terminal: its input ends by a key, which is sent again where it was lost. */
static bool run_on_terminal(const char *url)
{
    struct program program;
    const char *argv[] = {
        CLIENT, "-t", "--timeout", "20s", url, "--", "sh", "-c", "stty size; cat; exit 7", NULL};
    const char *const there[] = {"TERM=xterm", "LANG=xx_YY.UTF-8", NULL};
    program_start(&program, argv, there);
    program_finish(&program, "typed", 5);
    int status = program_exit_status(&program);
    /* Its size may have been what has failed, and that is no reason to have none. */
    bool good = status == 7 ? strstr(program.stdout_data, "typed") != NULL
                            : (status == 125 || status == 126) && one_line(&program);
    if (!good)
        show("the command on a terminal", &program);
    program_close(&program);
    return good;
}

static bool run_sized(const char *url)
{
    struct program program;
    const char *argv[] = {CLIENT, url, "--", "echo sized", NULL};
    int status = program_run(&program, argv, NULL, 0);
    bool good = status == 0 ? strcmp(program.stdout_data, "sized\n") == 0
                            : status == 125 && one_line(&program);
    if (!good)
        show("the sized command", &program);
    program_close(&program);
    return good;
}

/* Datagrams, until one is answered, or something has failed where that is enough. */
static bool ask_upper(const char *url, bool must)
{
    char answer[8] = "";
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)connect(fd, (const struct sockaddr *)&address, sizeof address);
    while (answer[0] == '\0' && clock_now_ms() < deadline_ms && (must || inject_fired() == 0)) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        (void)send(fd, "abc", 3, 0);
        if (poll(&waiting, 1, 20) > 0)
            (void)recv(fd, answer, sizeof answer - 1, 0);
    }
    (void)close(fd);
    return strcmp(answer, "ABC") == 0 || (answer[0] == '\0' && !must && inject_fired() > 0);
}

/* Done, or refused, or its line in the log is what has failed. */
static bool reload(const struct inject_server *server)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    (void)kill(server->pid, SIGHUP);
    while (!inject_server_logged(server, "SIGHUP: ") && inject_fired() == 0) {
        if (clock_now_ms() > deadline_ms)
            return false;
        (void)poll(NULL, 0, 1);
    }
    return true;
}

/* ---- one round ------------------------------------------------------------------------------- */

static unsigned normal_descriptors;
static unsigned start_allocations; /* of OpenSSL's, before the server listened */
static unsigned first_allocations; /* likewise, before its first client was done */
static unsigned start_sites;       /* the first so many were met before the server listened */

/* What went wrong, or NULL; of the next clients, and of what is left when they have gone. */
static const char *serve_next(struct inject_server *server)
{
    bool refused = false;
    inject_pause(true);
    if (!run_next(server->url[0], &refused) && !(refused && may_be_crippled))
        return "the next client was not served";
    crippled += refused;
    if (!run_next_headed(server->url[1]))
        return "the next headed client was not served";
    if (!inject_server_calm(server))
        return "descriptors or children are left";
    inject_pause(false); /* what has not failed by now may fail in the end */
    return NULL;
}

/* What the server does all day. */
static const char *serve_main_job(struct inject_server *server)
{
    if (start_allocations == 0)
        start_allocations = inject_openssl_count();
    if (!run_job(server->url[0]))
        return "the command's client was not served, nor told why";
    if (first_allocations == 0)
        first_allocations = inject_openssl_count();
    if (!run_headed(server->url[1]))
        return "the headed command's client was not served, nor told why";
    return serve_next(server);
}

/* How often each site had been met at a certain point. */
static unsigned seen_before[INJECT_SITES_MAX];

static void note_seen(void)
{
    for (unsigned i = 0; i < inject_site_count(); i++)
        seen_before[i] = inject_seen(i);
}

/* What it does now and then. Its faults are those of this part, not of the start before it. */
static const char *serve_the_rest(struct inject_server *server)
{
    note_seen();
    inject_pause(false);
    if (!run_timed_out(server->url[0]))
        return "the client of the command without end got no right word";
    if (!run_on_terminal(server->url[0]))
        return "the client of the command on a terminal was not served, nor told why";
    if (!reload(server))
        return "a reload was neither done nor refused";
    if (!run_sized(server->url[2]))
        return "the sized command's client was not served, nor told why";
    if (!ask_upper(server->url[3], false))
        return "a datagram was answered wrongly";
    const char *problem = serve_next(server);
    if (problem == NULL && !ask_upper(server->url[3], true))
        problem = "the next datagram was not answered";
    return problem;
}

typedef const char *serve(struct inject_server *server);

/* What is armed happens in a server of its own. */
static const char *run_round(serve *clients)
{
    struct inject_server server;
    const char *problem = inject_server_start(&server, config_path);
    bool refused = server.refused;
    if (start_sites == 0)
        start_sites = inject_site_count();
    if (problem == NULL && !refused && normal_descriptors == 0)
        normal_descriptors = server.descriptors;
    /* It can do with fewer of those that make spawning fast. */
    if (problem == NULL && !refused && server.descriptors > normal_descriptors)
        problem = "it has more descriptors than without the fault";
    if (problem == NULL && !refused)
        problem = clients(&server);
    int end = server.pid > 0 ? inject_server_stop(&server) : INJECT_END_RUN;
    if (problem == NULL && end != (refused ? INJECT_END_REFUSED : INJECT_END_OK))
        problem = "it did not end well";
    if (problem != NULL) {
        (void)fprintf(stderr, "---- %s (end %d); %s\n", problem, end,
                      refused ? server.report : "its log:");
        inject_server_show_log(&server);
    }
    inject_server_close(&server);
    return problem;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static int make_more_rules(void)
{
    (void)snprintf(more_path, sizeof more_path, "%s/more.conf", certs.folder);
    FILE *file = fopen(more_path, "w");
    if (file == NULL)
        return -1;
    (void)fputs("[allow others]\nclient = any\nshell = yes\ncommand = **\n", file);
    return fclose(file);
}

static int make_files(void **state)
{
    (void)state;
    if (!inject_new() || !test_certs_make(&certs))
        return -1;
    memset(input, 'i', sizeof input);
    (void)program_path("afar", afar);
    (void)setenv("AFAR_CA", certs.cert[TEST_CA], 1);
    (void)setenv("AFAR_CERT", certs.cert[TEST_CLIENT], 1);
    (void)setenv("AFAR_KEY", certs.key[TEST_CLIENT], 1);
    (void)setenv("TMPDIR", certs.folder, 1);
    (void)snprintf(config_path, sizeof config_path, "%s/afard.conf", certs.folder);
    FILE *file = fopen(config_path, "w");
    if (file == NULL)
        return -1;
    (void)fprintf(
        file,
        "[server]\nlisten = tls://127.0.0.1:0\n"
        "listen = tcp://127.0.0.1:0?protocol=headed\n"
        "http = tcp://127.0.0.1:0\n"
        "listen = unix://%s/socket?protocol=sized\n"
        "listen = udp://127.0.0.1:0?protocol=upper\n"
        "tls_cert = %s\ntls_key = %s\ntls_client_ca = %s\n"
        "workers = 2\nbulk_workers = 1\nbulk_bytes = 1\nquiet_ms = 2\ncollect_memory_bytes = "
        "4096\nkill_grace_ms = 20\n"
        "audit_log = %s/audit\ninclude = more*.conf\n"
        "[allow nobody]\nclient = dns:**.nobody\nclient = uid:nobody\nforce = /bin/no\n"
        "[allow us]\nclient = cn:tester\nclient = any\nfrom = 127.0.0.0/8\n"
        "command = /bin/sh \"no\" *\ncommand = /bin/sh **\ncommand = **\nshell = yes\n"
        "env = *\nenv_dangerous = yes\ntimeout = 1d\nmax_output = 1G\nmax_jobs = 1000\n",
        certs.folder, certs.cert[TEST_SERVER], certs.key[TEST_SERVER], certs.cert[TEST_CA],
        certs.folder);
    return fclose(file) == 0 ? make_more_rules() : -1;
}

static int remove_files(void **state)
{
    (void)state;
    char audit[128];
    (void)snprintf(audit, sizeof audit, "%s/audit", certs.folder);
    (void)unlink(audit);
    (void)unlink(config_path);
    (void)unlink(more_path);
    test_certs_remove(&certs);
    return 0;
}

static bool all(void)
{
    const char *value = getenv("AFAR_FAULT_ALL");
    return value != NULL && value[0] != '\0';
}

/* A call that is new in the server must not escape the injection. */
static void test_no_call_is_missing(void **state)
{
    char self[256];
    char archives[PROGRAM_TEXT_BYTES];
    struct program finder;
    const char *build = getenv("AFAR_BUILD");
    const char *sanitizers = getenv("SAN");
    const char *argv[] = {"tests/fault/unwrapped", archives, self, NULL};
    (void)state;
    if (sanitizers != NULL && sanitizers[0] != '\0') {
        print_message("skipped: sanitizers add calls of their own\n");
        skip();
    }
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    (void)snprintf(archives, sizeof archives, "%s/lib", build != NULL ? build : "build/release");
    int status = program_run(&finder, argv, NULL, 0);
    if (status != 0 || finder.stdout_size > 0)
        fail_msg("wrap these in support/inject_*.c, or tell tests/fault/unwrapped that they cannot "
                 "fail:\n%s%s",
                 finder.stdout_data, finder.stderr_data);
    program_close(&finder);
}

static unsigned known_sites; /* those of the main job */
static bool begins_paused;

/* One round; a failure is printed, and counted. */
struct tally {
    unsigned rounds;
    unsigned in_vain; /* the call was not made: which calls are is also a matter of timing */
    unsigned failures;
};

static void play(struct tally *tally, serve *clients, const struct inject_site *site, unsigned way,
                 unsigned nth)
{
    char text[INJECT_TEXT_BYTES];
    inject_arm(site, way, nth);
    inject_pause(begins_paused);
    const char *problem = run_round(clients);
    bool in_vain = inject_fired() == 0;
    tally->rounds++;
    tally->in_vain += in_vain;
    tally->failures += problem != NULL;
    if (problem == NULL && !(in_vain && all()))
        return;
    inject_describe(site, way, text);
    print_error("%s, call %u: %s\n", text, nth, problem != NULL ? problem : "in vain");
}

static void test_main_job(void **state)
{
    struct tally tally = {0};
    (void)state;
    inject_disarm();
    for (int i = 0; i < CLEAN_ROUNDS; i++)
        assert_null(run_round(serve_main_job));
    unsigned repeated = 0;
    unsigned main_sites = inject_site_count();
    note_seen();
    for (unsigned i = 0; i < main_sites; i++) {
        const struct inject_site *site = inject_site(i);
        /* Where the second worker, the second listener fails, the first must go too. */
        bool twice = i < start_sites && seen_before[i] >= 2 * CLEAN_ROUNDS;
        for (unsigned way = 0; way < inject_ways(site); way++)
            play(&tally, serve_main_job, site, way, 1);
        if (twice)
            play(&tally, serve_main_job, site, 0, 2);
        repeated += twice;
    }
    print_message("the main job: %u sites, %u of them again at their second call; %u rounds, %u in "
                  "vain\n",
                  main_sites, repeated, tally.rounds, tally.in_vain);
    known_sites = main_sites;
    assert_int_equal(tally.failures, 0);
    assert_true(main_sites > SITES_EXPECTED && tally.in_vain < tally.rounds / 5);
}

/* The sites of the rest that the main job has not, or only while the server starts (as a reload
 * does the same again); and of these, unless all are asked for, some. */
static void test_the_rest(void **state)
{
    static bool chosen[INJECT_SITES_MAX];
    struct tally tally = {0};
    unsigned sites = 0;
    unsigned turn = 0;
    (void)state;
    inject_disarm();
    assert_null(run_round(serve_the_rest));
    for (unsigned i = 0; i < inject_site_count(); i++) {
        chosen[i] = inject_seen(i) > seen_before[i] && (i < start_sites || i >= known_sites);
        sites += chosen[i];
    }
    for (unsigned i = 0; i < INJECT_SITES_MAX; i++) {
        if (!chosen[i] || (turn++ % REST_STEP != 0 && !all()))
            continue;
        const struct inject_site *site = inject_site(i);
        for (unsigned way = 0; way < (all() ? inject_ways(site) : 1); way++) {
            begins_paused = true;
            play(&tally, serve_the_rest, site, way, 1);
        }
    }
    begins_paused = false;
    print_message("the rest: %u sites more; %u rounds, %u in vain\n", sites, tally.rounds,
                  tally.in_vain);
    assert_int_equal(tally.failures, 0);
    assert_true(sites > REST_STEP);
}

/* OpenSSL's allocations: the server's part is to hand on what OpenSSL says. */
static void test_openssl_allocations(void **state)
{
    unsigned failures = 0;
    unsigned rounds = 0;
    (void)state;
    inject_arm_openssl(0);
    start_allocations = first_allocations = 0;
    assert_null(run_round(serve_main_job));
    unsigned count = inject_openssl_count();
    long alive = inject_openssl_alive();
    unsigned leaks = 0;
    unsigned step = all() ? 1 : count / OPENSSL_SAMPLES;
    assert_true(count > OPENSSL_SAMPLES);
    for (unsigned nth = 1; nth <= count; nth += step) {
        may_be_crippled = nth <= first_allocations;
        inject_arm_openssl(nth);
        const char *problem = run_round(serve_main_job);
        rounds++;
        leaks += inject_openssl_alive() > alive;
        if (problem == NULL && inject_openssl_alive() > alive + OPENSSL_LEAK_MAX)
            problem = "an object of OpenSSL's was not freed";
        if (problem != NULL) {
            print_error("OpenSSL's allocation %u: %s\n", nth, problem);
            failures++;
        }
    }
    may_be_crippled = false;
    print_message(
        "OpenSSL: %u allocations, %u of them before it listens, %u until its first client has been "
        "served; %u rounds: %u left a context that refuses all, %u an allocation or two\n",
        count, start_allocations, first_allocations, rounds, crippled, leaks);
    assert_int_equal(failures, 0);
    assert_true(crippled <= rounds / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_call_is_missing),
        cmocka_unit_test(test_main_job),
        cmocka_unit_test(test_the_rest),
        cmocka_unit_test(test_openssl_allocations),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
