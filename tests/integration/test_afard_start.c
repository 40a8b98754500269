/* What afard says and does before it serves anybody: options, configuration, certificates. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/test_certs.h"

enum {
    DEADLINE_MS = 60000, /* for anything; sanitizers on a busy machine are slow */
    WORDS_MAX = 24,
    TEXT_BYTES = 4096,
    EXIT_USAGE = 2
};

struct place {
    struct test_certs certs;
    char folder[64];
    char config[96];
    char program[512];
};

static struct place place;

static int set_up(void **state)
{
    (void)state;
    const char *build = getenv("AFAR_BUILD");
    (void)snprintf(place.program, sizeof place.program, "%s/bin/afard",
                   build != NULL ? build : "build/release");
    (void)snprintf(place.folder, sizeof place.folder, "/tmp/afar-start-XXXXXX");
    if (access(place.program, X_OK) != 0 || mkdtemp(place.folder) == NULL)
        return -1;
    (void)snprintf(place.config, sizeof place.config, "%s/afard.conf", place.folder);
    return test_certs_make(&place.certs) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(place.config);
    test_certs_remove(&place.certs);
    return rmdir(place.folder); /* fails where a socket's file was left behind */
}

static void write_config(const char *text)
{
    FILE *file = fopen(place.config, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* ---- running it ------------------------------------------------------------------------------ */

struct running {
    pid_t pid;
    int out_fd;
    int err_fd;
};

enum descriptors { PIPES, OUT_IS_FULL, NONE };

/* `words` after the program's name, NULL at the end. */
static struct running start(const char *const *words, enum descriptors descriptors)
{
    int out[2];
    int err[2];
    char *argv[WORDS_MAX + 2] = {place.program};
    for (unsigned i = 0; words[i] != NULL; i++) {
        assert_true(i < WORDS_MAX);
        argv[i + 1] = (char *)(uintptr_t)words[i]; /* execv does not write to them */
    }
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (descriptors == NONE) {
            (void)close(STDIN_FILENO);
            (void)close(STDOUT_FILENO);
            (void)close(STDERR_FILENO);
        } else {
            (void)dup2(descriptors == PIPES ? out[1] : open("/dev/full", O_WRONLY), STDOUT_FILENO);
            (void)dup2(err[1], STDERR_FILENO);
        }
        (void)execv(place.program, argv);
        _exit(99);
    }
    (void)close(out[1]);
    (void)close(err[1]);
    return (struct running){.pid = pid, .out_fd = out[0], .err_fd = err[0]};
}

/* Its status, once it has ended. */
static int await_end(struct running *running)
{
    int status = 0;
    int pidfd = pidfd_open(running->pid, 0);
    assert_true(pidfd >= 0);
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    int ready = poll(&poll_fd, 1, DEADLINE_MS);
    if (ready != 1)
        (void)kill(running->pid, SIGKILL);
    (void)close(pidfd);
    assert_int_equal(waitpid(running->pid, &status, 0), running->pid);
    assert_int_equal(ready, 1);
    (void)close(running->out_fd);
    (void)close(running->err_fd);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* All that comes until the end of the file, or until a newline where `one_line`. It must fit; what
 * afard writes before it has started also fits into a pipe, so the order of reading is free. */
static void read_text(int fd, char *text, size_t size, bool one_line)
{
    size_t used = 0;
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
        assert_true(used + 1 < size);
        ssize_t got = read(fd, text + used, one_line ? 1 : size - used - 1);
        assert_true(got >= 0);
        used += (size_t)got;
        if (got == 0 || (one_line && text[used - 1] == '\n'))
            break;
    }
    text[used] = '\0';
}

/* Runs it to its end, which must come with `status` and exactly this output. */
static void assert_run(const char *const *words, int status, const char *out, const char *err)
{
    char out_text[TEXT_BYTES];
    char err_text[TEXT_BYTES];
    struct running running = start(words, PIPES);
    read_text(running.out_fd, out_text, sizeof out_text, PIPES);
    read_text(running.err_fd, err_text, sizeof err_text, false);
    assert_int_equal(await_end(&running), status);
    assert_string_equal(err_text, err);
    assert_string_equal(out_text, out);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* It must end with status 1, nothing on standard output and one line that says both. */
static void assert_one_line(const char *const *words, const char *first, const char *second)
{
    char text[TEXT_BYTES];
    struct running running = start(words, PIPES);
    read_text(running.err_fd, text, sizeof text, false);
    if (strncmp(text, "afard: ", 7) != 0 || strstr(text, first) == NULL ||
        strstr(text, second) == NULL)
        fail_msg("'%s' and '%s' were expected: %s", first, second, text);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    read_text(running.out_fd, text, sizeof text, false);
    assert_string_equal(text, "");
    assert_int_equal(await_end(&running), 1);
}

static void stop(struct running *running)
{
    assert_int_equal(kill(running->pid, SIGTERM), 0);
    assert_int_equal(await_end(running), 0);
}

/* ---- the command line ------------------------------------------------------------------------ */

static void test_version(void **state)
{
    (void)state;
    assert_run(WORDS("--version"), 0, "afard " AFAR_VERSION "\n", "");
}

static void test_help(void **state)
{
    (void)state;
    static const char *const named[] = {
        "-c, --config FILE", "--listen URL",  "--tls-cert FILE",   "--tls-key FILE",
        "--tls-client-ca",   "--workers N",   "--allow-plaintext", "--log-level LEVEL",
        "--log-format",      "--set KEY=VAL", "--print-endpoints", "--check",
        "--version",         "--help",        "Examples:",
    };
    static const char *const ways[] = {"--help", "-h"};
    for (unsigned i = 0; i < 2; i++) {
        char text[TEXT_BYTES];
        struct running running = start(WORDS(ways[i]), PIPES);
        read_text(running.out_fd, text, sizeof text, false);
        assert_int_equal(await_end(&running), 0);
        for (unsigned j = 0; j < sizeof named / sizeof named[0]; j++) {
            if (strstr(text, named[j]) == NULL)
                fail_msg("%s is not in --help", named[j]);
        }
    }
}

static void test_usage_errors(void **state)
{
    (void)state;
    static const struct {
        const char *words[5];
        const char *message;
    } cases[] = {
        {{"--bogus"}, "unknown option '--bogus'"},
        {{"--bogus=x"}, "unknown option '--bogus'"},
        {{"--wrkers", "3"}, "unknown option '--wrkers'; did you mean '--workers'?"},
        {{"--listn=x"}, "unknown option '--listn'; did you mean '--listen'?"},
        {{"--max-connections", "3"},
         "unknown option '--max-connections'; 'max_connections' is set by --set "
         "max_connections=VALUE"},
        {{"--tls", "x"},
         "the option '--tls' is ambiguous: is '--tls-cert' or '--tls-client-ca' meant?"},
        {{"--set", "wrkers=3"},
         "unknown key 'wrkers': did you mean 'workers' (threads; 0: twice the processors, at least "
         "4)?"},
        {{"-x"}, "unknown option '-x'"},
        {{"--check=yes"}, "'--check=yes': the option takes no argument"},
        {{"--listen"}, "'--listen' needs an argument"},
        {{"-c"}, "'-c' needs an argument"},
        {{"-c", "a", "-c", "b"}, "-c is given twice"},
        {{"tcp://127.0.0.1"}, "unexpected argument 'tcp://127.0.0.1'"},
        {{"--", "x"}, "unexpected argument 'x'"},
        {{"--workers", "many"}, "workers: 'many' is not a whole number from 0 to 1024"},
        {{"--log-level", "loud"},
         "log_level: 'loud' is not a log level: error, warn, info or debug"},
        {{"--log-format=xml"}, "log_format: 'xml' is not a log format: text or json"},
        {{"--listen", "http://x"},
         "listen: 'http://x': unknown scheme 'http': expected tls, tcp, unix or udp"},
        {{"--tls-cert", ""}, "tls_cert: expected the name of a file"},
        {{"--set", "workers"}, "--set 'workers': expected KEY=VALUE"},
        {{"--set", "=1"}, "--set '=1': expected KEY=VALUE"},
        {{"--set", ""}, "--set '': expected KEY=VALUE"},
        {{"--set", "quiet_ms="}, "quiet_ms: '' is not a whole number from 1 to 60000"},
        {{"--set", "port=1"}, "unknown key 'port'; afard.conf(5) lists the keys"},
        /* One line, whatever is in it. */
        {{"--set", "a\nb=1"}, "unknown key 'a\\nb'; afard.conf(5) lists the keys"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[TEXT_BYTES];
        const size_t size = strlen(cases[i].message);
        const bool asks = cases[i].message[size - 1] == '?';
        (void)snprintf(expected, sizeof expected, "afard: %s%s 'afard --help'\n", cases[i].message,
                       asks ? " Try" : "; try");
        assert_run(cases[i].words, EXIT_USAGE, "", expected);
    }
}

static void test_nothing_to_listen_at(void **state)
{
    (void)state;
    static const char message[] = "afard: no listener: add --listen tcp://127.0.0.1, or a line "
                                  "listen = URL to the configuration\n";
    assert_run((const char *const[]){NULL}, 1, "", message);
    assert_run(WORDS("--check"), 1, "", message);
}

/* ---- --check --------------------------------------------------------------------------------- */

static void test_check(void **state)
{
    (void)state;
    static const char as_root[] =
        "afard: warning: tcp://127.0.0.1:7420: everyone who can connect can run any command as "
        "user root: rules ([allow NAME] in afard.conf(5)) say who may run what, and user = NAME as "
        "whom\n";
    const bool is_root = geteuid() == 0;
    assert_run(WORDS("--check", "--listen", "tcp://127.0.0.1"), 0, "configuration ok\n",
               is_root ? as_root : "");
    if (is_root)
        assert_run(WORDS("--check", "--listen", "tcp://127.0.0.1", "--set", "user=nobody"), 0,
                   "configuration ok\n", "");
    /* Where nobody can run anything. Nothing is resolved and nothing is bound. */
    assert_run(WORDS("--check", "--listen", "udp://no.such.host.invalid"), 0, "configuration ok\n",
               "");
    const struct test_certs *certs = &place.certs;
    char text[TEXT_BYTES];
    char warning[64];
    struct running running =
        start(WORDS("--check", "--listen=tls://[::]", "--tls-cert", certs->cert[TEST_SERVER],
                    "--tls-key", certs->key[TEST_SERVER], "--tls-client-ca", certs->cert[TEST_CA]),
              PIPES);
    read_text(running.out_fd, text, sizeof text, PIPES);
    assert_string_equal(text, "configuration ok\n");
    /* Its commands would run as whom the key belongs to. */
    (void)snprintf(warning, sizeof warning, "afard: warning: commands run as uid %u, as this",
                   (unsigned)geteuid());
    read_text(running.err_fd, text, sizeof text, false);
    assert_memory_equal(text, warning, strlen(warning));
    if (is_root)
        assert_non_null(strstr(text, "everyone with a client certificate from "));
    assert_int_equal(await_end(&running), 0);
}

/* With --check and without. */
static void assert_tls_refused(const char *cert, const char *key, const char *client_ca,
                               const char *named)
{
    static const char *const also[] = {"--check", "--print-endpoints"};
    for (unsigned i = 0; i < 2; i++)
        assert_one_line(WORDS("--listen", "tls://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key,
                              "--tls-client-ca", client_ca, also[i]),
                        named, "");
}

static void test_bad_certificates(void **state)
{
    (void)state;
    const struct test_certs *certs = &place.certs;
    const char *cert = certs->cert[TEST_SERVER];
    const char *key = certs->key[TEST_SERVER];
    const char *client_ca = certs->cert[TEST_CA];
    write_config("no PEM\n");
    assert_tls_refused("/nonexistent/a", key, client_ca, "/nonexistent/a");
    assert_tls_refused(cert, "/nonexistent/b", client_ca, "/nonexistent/b");
    assert_tls_refused(cert, key, "/nonexistent/c", "/nonexistent/c");
    assert_tls_refused(place.config, key, client_ca, place.config);
    assert_tls_refused(cert, place.config, client_ca, place.config);
    assert_tls_refused(cert, key, place.config, place.config);
    assert_tls_refused(place.folder, key, client_ca, place.folder);
    assert_tls_refused(cert, certs->key[TEST_CLIENT], client_ca, certs->key[TEST_CLIENT]);
    /* Whoever can change the CA decides who is let in. */
    assert_int_equal(chmod(client_ca, 0666), 0);
    assert_tls_refused(cert, key, client_ca, "others can write to it");
    assert_int_equal(chmod(client_ca, 0644), 0);
}

static void test_certificates_not_given(void **state)
{
    (void)state;
    assert_run(WORDS("--listen", "tls://127.0.0.1:1"), 1, "",
               "afard: tls://127.0.0.1:1 needs tls_cert (--tls-cert FILE), the server's "
               "certificate\n");
}

/* ---- the file -------------------------------------------------------------------------------- */

static void test_bad_file(void **state)
{
    (void)state;
    char expected[TEXT_BYTES];
    write_config("[server]\nlisten = tcp://127.0.0.1:0\n\nworkers = many\n");
    (void)snprintf(expected, sizeof expected,
                   "afard: %s:4: workers: 'many' is not a whole number from 0 to 1024\n",
                   place.config);
    assert_run(WORDS("-c", place.config), 1, "", expected);
    assert_run(WORDS("-c", place.config, "--check"), 1, "", expected);
    /* The file must be right even where the command line says otherwise. */
    assert_run(WORDS("--workers", "1", "-c", place.config), 1, "", expected);

    write_config("listen = tcp://127.0.0.1:0\n");
    assert_int_equal(chmod(place.config, 0666), 0);
    assert_one_line(WORDS("-c", place.config), place.config, "others can write to it");
    assert_one_line(WORDS("-c", place.config, "--explain", "any", "--", "ls"), place.config,
                    "chmod");
    assert_int_equal(chmod(place.config, 0644), 0);

    assert_run(WORDS("-c", "/nonexistent/afard.conf"), 1, "",
               "afard: /nonexistent/afard.conf: cannot be read: No such file or directory\n");
    assert_run(WORDS("--config=/"), 1, "", "afard: /: cannot be read: Is a directory\n");
}

static void test_command_line_wins(void **state)
{
    (void)state;
    char from_file[160];
    char first[160];
    char second[160];
    char text[TEXT_BYTES];
    char line[256];
    (void)snprintf(from_file, sizeof from_file, "listen = unix://%s/file\nlog_level = debug\n",
                   place.folder);
    (void)snprintf(first, sizeof first, "unix://%s/first", place.folder);
    (void)snprintf(second, sizeof second, "listen=unix://%s/second", place.folder);
    write_config(from_file);

    /* Wherever -c stands; --set and --listen are the same. */
    struct running running = start(WORDS("--listen", first, "--set", second, "--log-level=error",
                                         "--print-endpoints", "-c", place.config),
                                   PIPES);
    read_text(running.out_fd, text, sizeof text, true);
    (void)snprintf(line, sizeof line, "listening %s\n", first);
    assert_string_equal(text, line);
    read_text(running.out_fd, text, sizeof text, true);
    (void)snprintf(line, sizeof line, "listening %s\n", second + strlen("listen="));
    assert_string_equal(text, line);
    assert_int_equal(kill(running.pid, SIGTERM), 0);
    read_text(running.out_fd, text, sizeof text, false);
    assert_string_equal(text, "");
    read_text(running.err_fd, text, sizeof text, false);
    assert_string_equal(text, ""); /* log_level=error won over the file's debug */
    assert_int_equal(await_end(&running), 0);
}

/* ---- listening ------------------------------------------------------------------------------- */

static void test_refused_beyond_loopback(void **state)
{
    (void)state;
    assert_one_line(WORDS("--listen", "tcp://0.0.0.0:0"), "tcp://0.0.0.0:",
                    "can be reached from other machines without encryption: use tls://, a loopback "
                    "address, or --allow-plaintext\n");
    assert_one_line(WORDS("--listen", "udp://0.0.0.0:0"), "udp://0.0.0.0:", "--allow-plaintext\n");
    assert_one_line(WORDS("--listen", "tcp://0.0.0.0:0?protocol=sized", "--allow-plaintext"),
                    "tcp://0.0.0.0:", "lets everyone who connects run commands");
}

static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void test_taken_port(void **state)
{
    (void)state;
    uint16_t port = 0;
    char url[64];
    int fd = listen_somewhere(&port);
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%u", port);
    assert_one_line(WORDS("--listen", url, "--print-endpoints"), url, "ddress already in use");
    (void)close(fd);
}

static void test_real_port_is_printed(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    unsigned port = 0;
    struct running running =
        start(WORDS("--listen", "tcp://127.0.0.1:0", "--print-endpoints"), PIPES);
    read_text(running.out_fd, text, sizeof text, true);
    assert_int_equal(sscanf(text, "listening tcp://127.0.0.1:%u\n", &port), 1);
    assert_in_range(port, 1, 65535);

    /* By now it accepts. */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd);

    read_text(running.err_fd, text, sizeof text, true);
    assert_non_null(strstr(text, "everyone on this machine can run any command as user"));
    stop(&running);
}

static void test_output_cannot_be_written(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    static const char *const words[][6] = {
        {"--listen", "tcp://127.0.0.1:0", "--print-endpoints", "--log-level", "error"},
        {"--listen", "udp://127.0.0.1:0", "--check"},
        {"--help"},
        {"--version"},
    };
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct running running = start(words[i], OUT_IS_FULL);
        read_text(running.err_fd, text, sizeof text, false);
        assert_string_equal(text, i == 0 ? "afard: cannot print the endpoints: No space left on "
                                           "device\n"
                                         : "afard: cannot write to standard output: No space left "
                                           "on device\n");
        assert_int_equal(await_end(&running), 1);
    }
}

/* The next descriptors that are opened must not become 0, 1 or 2: a log line would go to a client.
 */
static void test_without_standard_descriptors(void **state)
{
    (void)state;
    char url[160];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/bare", place.folder);
    (void)snprintf(url, sizeof url, "unix://%s", address.sun_path);
    struct running running = start(WORDS("--listen", url), NONE);

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int failed = -1;
    for (unsigned tries = 0; failed != 0 && tries < DEADLINE_MS / 10; tries++) {
        failed = connect(fd, (const struct sockaddr *)&address, sizeof address);
        if (failed != 0)
            (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    assert_int_equal(failed, 0);
    unsigned unseen = 0;
    for (unsigned i = 0; i < 3; i++) {
        char path[64];
        char target[64] = "";
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%u", (int)running.pid, i);
        ssize_t size = readlink(path, target, sizeof target - 1);
        if (size < 0 && errno == EACCES && geteuid() != 0)
            unseen++;
        else
            assert_string_equal(target, "/dev/null");
    }
    (void)close(fd);
    stop(&running);
    assert_int_equal(access(address.sun_path, F_OK), -1);
    if (unseen > 0) {
        print_message("skipped: only root sees the descriptors of a server that is not dumpable\n");
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_usage_errors),
        cmocka_unit_test(test_nothing_to_listen_at),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_bad_certificates),
        cmocka_unit_test(test_certificates_not_given),
        cmocka_unit_test(test_bad_file),
        cmocka_unit_test(test_command_line_wins),
        cmocka_unit_test(test_refused_beyond_loopback),
        cmocka_unit_test(test_taken_port),
        cmocka_unit_test(test_real_port_is_printed),
        cmocka_unit_test(test_output_cannot_be_written),
        cmocka_unit_test(test_without_standard_descriptors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
