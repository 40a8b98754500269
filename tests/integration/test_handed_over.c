/* Sockets that a service manager hands over: LISTEN_FDS, and URLs with +fd.
 *
 * The manager is this program: as `PROGRAM --hand-over NAMES KIND… -- ARGS…` it opens sockets, puts
 * them where sd_listen_fds(3) says, and becomes afard. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/afard.h"

#define HAND_OVER "--hand-over"

enum { FIRST_FD = 3, ASIDE_FD = 100, URLS_MAX = 8 };

static const char *self; /* argv[0] */
static char folder[] = "/tmp/afar-test-handed-XXXXXX";
static char unix_path[64];

/* ---- the manager ----------------------------------------------------------------------------- */

static int bound(int family, int type, const void *address, size_t size)
{
    int fd = socket(family, type, 0);
    if (fd < 0 || bind(fd, address, (socklen_t)size) != 0 ||
        (type == SOCK_STREAM && listen(fd, 16) != 0))
        return -1;
    return fd;
}

static int open_kind(const char *kind)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    if (strcmp(kind, "file") == 0)
        return open("/dev/null", O_RDWR);
    if (strcmp(kind, "any") == 0)
        v4.sin_addr.s_addr = htonl(INADDR_ANY);
    if (strcmp(kind, "tcp") == 0 || strcmp(kind, "any") == 0)
        return bound(AF_INET, SOCK_STREAM, &v4, sizeof v4);
    if (strcmp(kind, "tcp6") == 0)
        return bound(AF_INET6, SOCK_STREAM, &v6, sizeof v6);
    if (strcmp(kind, "udp") == 0)
        return bound(AF_INET, SOCK_DGRAM, &v4, sizeof v4);
    (void)snprintf(local.sun_path, sizeof local.sun_path, "%s", kind); /* a path */
    return bound(AF_UNIX, SOCK_STREAM, &local, sizeof local);
}

static int hand_over(char **words)
{
    char number[24];
    char path[PROGRAM_TEXT_BYTES];
    int count = 0;
    const char *names = *words++;
    for (; strcmp(*words, "--") != 0; words++, count++) {
        int fd = open_kind(*words);
        if (fd < 0 || dup2(fd, ASIDE_FD + count) < 0 || close(fd) != 0)
            return 99;
    }
    for (int i = 0; i < count; i++)
        if (dup2(ASIDE_FD + i, FIRST_FD + i) < 0 || close(ASIDE_FD + i) != 0)
            return 99;
    (void)snprintf(number, sizeof number, "%d", (int)getpid());
    (void)setenv("LISTEN_PID", number, 1);
    (void)snprintf(number, sizeof number, "%d", count);
    (void)setenv("LISTEN_FDS", number, 1);
    (void)setenv("LISTEN_FDNAMES", names, 1);
    (void)execv(program_path("afard", path), words + 1);
    return 99;
}

/* ---- helpers --------------------------------------------------------------------------------- */

struct server {
    struct program program;
    char url[URLS_MAX][256];
};

/* `words`: NAMES KIND… -- afard ARGS…, as above. */
static void start(struct server *server, const char *const *words)
{
    const char *argv[PROGRAM_ARGS_MAX] = {self, HAND_OVER};
    unsigned count = 2;
    while (*words != NULL)
        argv[count++] = *words++;
    *server = (struct server){.url[0] = ""};
    program_start(&server->program, argv, NULL);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_urls(struct server *server, unsigned wanted)
{
    size_t at = 0;
    for (unsigned i = 0; i < wanted; i++) {
        const char *line = program_expect_after(&server->program, 1, at, "\n");
        size_t end = (size_t)(line - server->program.stdout_data);
        (void)snprintf(server->url[i], sizeof server->url[i], "%.*s",
                       (int)(end - at - strlen("listening ")),
                       server->program.stdout_data + at + strlen("listening "));
        at = end + 1;
    }
}

static void expect_begins(const char *text, const char *with)
{
    if (strncmp(text, with, strlen(with)) != 0)
        fail_msg("'%s' does not begin with '%s'", text, with);
}

/* Runs a line for the shell; its output, owned by the caller's *program. */
static const char *run(struct program *program, const char *url, const char *line)
{
    int status = program_run(program, WORDS("afar", "run", url, "--", "sh", "-c", line), NULL, 0);
    if (status != 0)
        fail_msg("status %d: %s", status, program->stderr_data);
    return program->stdout_data != NULL ? program->stdout_data : "";
}

static void stop(struct server *server)
{
    (void)kill(server->program.pid, SIGTERM);
    program_finish(&server->program, NULL, 0);
    assert_int_equal(program_exit_status(&server->program), 0);
    program_close(&server->program);
}

/* It does not start, and says why in a line that begins with `says`. */
static void expect_refused(const char *const *words, const char *says)
{
    struct server server;
    char wanted[512];
    start(&server, words);
    program_finish(&server.program, NULL, 0);
    assert_int_equal(program_exit_status(&server.program), 1);
    (void)snprintf(wanted, sizeof wanted, "afard: %s", says);
    if (strstr(server.program.stderr_data, wanted) == NULL)
        fail_msg("'%s' is not in: %s", wanted, server.program.stderr_data);
    program_close(&server.program);
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(unix_path, sizeof unix_path, "%s/s", folder);
    return 0;
}

static int tear_down(void **state)
{
    struct program remover;
    (void)state;
    (void)program_run(&remover, WORDS("rm", "-rf", folder), NULL, 0);
    program_close(&remover);
    return 0;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void test_every_kind(void **state)
{
    (void)state;
    struct server server;
    struct program program;
    struct stat file;
    start(&server, WORDS("net:net:mail:shout:old", "tcp", "tcp6", unix_path, "udp", "tcp", "--",
                         "afard", "--print-endpoints", "--listen", "tcp+fd://net", "--listen",
                         "tcp+fd://net:2?protocol=upper", "--listen", "unix+fd://mail", "--listen",
                         "udp+fd://shout"));
    expect_urls(&server, 4);
    expect_begins(server.url[0], "tcp://127.0.0.1:");
    expect_begins(server.url[1], "tcp://[::1]:");
    assert_non_null(strstr(server.url[1], "?protocol=upper"));
    expect_begins(server.url[2], "unix:///tmp/");
    expect_begins(server.url[3], "udp://127.0.0.1:");
    program_expect(&server.program, 2,
                   "the socket 'old' was handed over, but no listener has a URL for it: closed");

    assert_string_equal(run(&program, server.url[0], "echo hello"), "hello\n");
    program_close(&program);
    assert_string_equal(run(&program, server.url[2], "env | grep -E '^(LISTEN_|NOTIFY)' || true"),
                        "");
    program_close(&program);
    /* The command has none of the sockets: 0, 1, 2, and what ls has opened. */
    assert_string_equal(run(&program, server.url[0], "ls /proc/self/fd | wc -l"), "4\n");
    program_close(&program);
    for (unsigned i = 1; i <= 3; i += 2) {
        int status = program_run(&program, WORDS("afar", "echo", server.url[i], "hello"), NULL, 0);
        assert_int_equal(status, 0);
        assert_string_equal(program.stdout_data, "HELLO\n");
        program_close(&program);
    }
    stop(&server);
    assert_int_equal(stat(unix_path, &file), 0); /* the manager's, not ours */
    assert_int_equal(unlink(unix_path), 0);
}

static void test_reload(void **state)
{
    (void)state;
    struct server server;
    struct program program;
    char config[96];
    (void)snprintf(config, sizeof config, "%s/afard.conf", folder);
    FILE *file = fopen(config, "w");
    assert_non_null(file);
    (void)fputs("listen = tcp+fd://a\nlisten = tcp+fd://b\n", file);
    (void)fclose(file);
    start(&server, WORDS("a:b", "tcp", "tcp", "--", "afard", "--print-endpoints", "-c", config));
    expect_urls(&server, 2);
    (void)kill(server.program.pid, SIGHUP);
    program_expect(&server.program, 2, "SIGHUP: reloaded");
    for (unsigned i = 0; i < 2; i++) {
        assert_string_equal(run(&program, server.url[i], "echo still"), "still\n");
        program_close(&program);
    }

    file = fopen(config, "w");
    assert_non_null(file);
    (void)fputs("listen = tcp+fd://a\n", file);
    (void)fclose(file);
    (void)kill(server.program.pid, SIGHUP);
    char closed[300];
    (void)snprintf(closed, sizeof closed, "%s: closed", server.url[1]);
    program_expect(&server.program, 2, closed);
    assert_string_equal(run(&program, server.url[0], "echo still"), "still\n");
    program_close(&program);

    /* What was given up cannot be had again. */
    file = fopen(config, "w");
    assert_non_null(file);
    (void)fputs("listen = tcp+fd://a\nlisten = tcp+fd://b\n", file);
    (void)fclose(file);
    (void)kill(server.program.pid, SIGHUP);
    program_expect(&server.program, 2,
                   "SIGHUP: not reloaded, nothing changed: tcp+fd://b: no such socket");
    assert_string_equal(run(&program, server.url[0], "echo still"), "still\n");
    program_close(&program);
    stop(&server);
}

static void test_refusals(void **state)
{
    (void)state;
    expect_refused(WORDS("a", "any", "--", "afard", "--listen", "tcp+fd://a"), "tcp://0.0.0.0:");
    expect_refused(WORDS("a", "tcp", "--", "afard", "--listen", "tls+fd://a"),
                   "tls+fd://a needs tls_cert");
    expect_refused(WORDS("a:b", "tcp", "tcp", "--", "afard", "--listen", "tcp+fd://c"),
                   "tcp+fd://c: no such socket: those handed over are a, b");
    expect_refused(
        WORDS("a", "file", "--", "afard", "--listen", "tcp+fd://a"),
        "tcp+fd://a: the socket that was handed over cannot be used: it is not a socket");
    expect_refused(
        WORDS("a", "udp", "--", "afard", "--listen", "tcp+fd://a"),
        "tcp+fd://a: the socket that was handed over cannot be used: it is not a stream");
    expect_refused(WORDS("a", "tcp", "--", "afard", "--listen", "tcp+fd://a", "--listen",
                         "tcp+fd://a?protocol=upper"),
                   "tcp+fd://a?protocol=upper: another listener has this address already");
    expect_refused(
        WORDS("a", "tcp", "--", "afard", "--listen", "tcp+fd://a", "--listen", "tcp+fd://a:2"),
        "tcp+fd://a:2: no such socket");
    expect_refused(WORDS("a:b", "tcp", "--", "afard", "--listen", "tcp+fd://a"),
                   "LISTEN_FDNAMES in the environment has 2 names for 1 descriptors");
}

static void test_without_a_manager(void **state)
{
    (void)state;
    struct program program;
    int status = program_run(
        &program, WORDS("afard", "--listen", "tls+fd://afard.socket", "--check"), NULL, 0);
    assert_int_equal(status, 1);
    assert_non_null(strstr(program.stderr_data, "tls+fd://afard.socket needs tls_cert"));
    program_close(&program);
    status = program_run(&program, WORDS("afard", "--listen", "tcp+fd://afard.socket"), NULL, 0);
    assert_int_equal(status, 1);
    assert_non_null(
        strstr(program.stderr_data, "tcp+fd://afard.socket: no such socket: none was handed over"));
    program_close(&program);
    status = program_run(&program, WORDS("afar", "ping", "tcp+fd://afard.socket"), NULL, 0);
    assert_int_not_equal(status, 0);
    assert_non_null(strstr(program.stderr_data, "it does not say where to connect"));
    program_close(&program);
}

/* Whoever may write to the socket's file may connect: the log says so. */
static void test_a_socket_for_others(void **state)
{
    (void)state;
    struct server server;
    mode_t old = umask(0);
    start(&server,
          WORDS("a", unix_path, "--", "afard", "--print-endpoints", "--listen", "unix+fd://a"));
    (void)umask(old);
    expect_urls(&server, 1);
    program_expect(&server.program, 2,
                   ": everyone on this machine who can write to that socket can run any command");
    stop(&server);
    assert_int_equal(unlink(unix_path), 0);
}

static void test_tls(void **state)
{
    (void)state;
    struct server server;
    struct program program;
    char ca[96];
    char cert[96];
    char key[96];
    int status = program_run(&program, WORDS("certs/make-certs", folder), NULL, 0);
    assert_int_equal(status, 0);
    program_close(&program);
    (void)snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    (void)snprintf(cert, sizeof cert, "%s/client.pem", folder);
    (void)snprintf(key, sizeof key, "%s/client-key.pem", folder);
    (void)setenv("AFAR_CA", ca, 1);
    (void)setenv("AFAR_CERT", cert, 1);
    (void)setenv("AFAR_KEY", key, 1);
    (void)snprintf(cert, sizeof cert, "%s/server.pem", folder);
    (void)snprintf(key, sizeof key, "%s/server-key.pem", folder);
    start(&server, WORDS("a", "tcp", "--", "afard", "--print-endpoints", "--listen", "tls+fd://a",
                         "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ca));
    expect_urls(&server, 1);
    expect_begins(server.url[0], "tls://127.0.0.1:");
    assert_string_equal(run(&program, server.url[0], "echo hello"), "hello\n");
    program_close(&program);
    stop(&server);
}

/* The real one. It starts the server when somebody connects. */
static void test_systemd_socket_activate(void **state)
{
    (void)state;
    struct program manager;
    struct program program;
    char url[96];
    char afard[PROGRAM_TEXT_BYTES];
    if (program_run(&program, WORDS("systemd-socket-activate", "--version"), NULL, 0) != 0) {
        program_close(&program);
        print_message("systemd-socket-activate is not there: skipped\n");
        skip();
    }
    program_close(&program);
    (void)snprintf(url, sizeof url, "unix://%s", unix_path);
    program_start(&manager,
                  WORDS("systemd-socket-activate", "-l", unix_path, "--fdname=afard.socket",
                        program_path("afard", afard), "--listen", "unix+fd://afard.socket"),
                  NULL);
    program_expect(&manager, 2, "Listening on");
    assert_string_equal(run(&program, url, "echo hello"), "hello\n");
    program_close(&program);
    (void)kill(manager.pid, SIGTERM);
    program_finish(&manager, NULL, 0);
    assert_int_equal(program_exit_status(&manager), 0);
    program_close(&manager);
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], HAND_OVER) == 0)
        return hand_over(argv + 2);
    self = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_without_a_manager),
        cmocka_unit_test(test_a_socket_for_others),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_systemd_socket_activate),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
