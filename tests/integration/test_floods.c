/* Peers that do what TLS allows, without end: others do not notice. And crowds of strangers, who
 * cost little memory, and none once they have gone. */
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
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/raw.h"

enum {
    UPDATES = 200000, /* changes of keys; minutes' worth, were they taken */
    STRANGERS = 600,
    STRANGER_KIB_MAX = 100
};

static struct afard server;

static SSL_CTX *new_context(const SSL_METHOD *method, const char *cert, const char *key)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL || SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        _exit(2);
    return ctx;
}

/* In a child: until the peer ends it. */
static _Noreturn void flood(SSL *ssl, int type)
{
    int updates = 0;
    while (updates < UPDATES && SSL_key_update(ssl, type) == 1 && SSL_do_handshake(ssl) == 1)
        updates++;
    _exit(updates < UPDATES ? 0 : 1);
}

static pid_t start_flooding_client(void)
{
    const uint16_t port = afard_port(&server, 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    (void)signal(SIGPIPE, SIG_IGN);
    SSL_CTX *ctx = new_context(TLS_client_method(), server.client_cert, server.client_key);
    SSL *ssl = SSL_new(ctx);
    (void)SSL_set_alpn_protos(ssl,
                              (const unsigned char *)"\x06"
                                                     "afar/1",
                              7);
    (void)SSL_set_fd(ssl, raw_connect(port));
    if (SSL_connect(ssl) != 1)
        _exit(2);
    flood(ssl, SSL_KEY_UPDATE_REQUESTED);
}

static void expect_child(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_client_changes_keys_without_end(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--workers", "1", NULL};
    pid_t floods[3];
    afard_start_tls(&server, args);
    for (size_t i = 0; i < 3; i++)
        floods[i] = start_flooding_client();
    for (int i = 0; i < 3; i++) {
        struct program ping;
        const char *argv[] = {"afar", "ping", server.url[0], NULL};
        assert_int_equal(program_run(&ping, argv, NULL, 0), 0);
        program_close(&ping);
    }
    for (size_t i = 0; i < 3; i++)
        expect_child(floods[i]);
    afard_expect_log(&server, "the client changes keys or sends tickets without end");
    assert_int_equal(afard_stop(&server), 0);
}

/* One that never lets go of its client, which is to be deaf to signals and deadlines. */
static void a_server_changes_keys_without_end(void **state)
{
    (void)state;
    char folder[] = "/tmp/afar-floods-XXXXXX";
    char cert[96];
    char key[96];
    char ca[96];
    char url[64];
    struct program program;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_non_null(mkdtemp(folder));
    (void)unsetenv("AFAR_CERT");
    (void)unsetenv("AFAR_KEY");
    const char *make[] = {"certs/make-certs", folder, "--quiet", NULL};
    assert_int_equal(program_run(&program, make, NULL, 0), 0);
    program_close(&program);
    (void)snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    (void)snprintf(cert, sizeof cert, "%s/server.pem", folder);
    (void)snprintf(key, sizeof key, "%s/server-key.pem", folder);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(url, sizeof url, "tls://127.0.0.1:%u", ntohs(address.sin_port));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        SSL *ssl = SSL_new(new_context(TLS_server_method(), cert, key));
        (void)SSL_set_fd(ssl, accept(listener, NULL, NULL));
        if (SSL_accept(ssl) != 1)
            _exit(2);
        flood(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
    }
    (void)close(listener);
    const char *argv[] = {"afar", "echo", "--ca", ca, NULL, "x", NULL};
    char echo[96];
    (void)snprintf(echo, sizeof echo, "%s?protocol=upper", url);
    argv[4] = echo;
    assert_int_not_equal(program_run(&program, argv, NULL, 0), 0);
    if (strstr(program.stderr_data, "the server changes keys or sends tickets without end") == NULL)
        fail_msg("%s", program.stderr_data);
    program_close(&program);
    expect_child(child);
    const char *remover[] = {"rm", "-rf", folder, NULL};
    (void)program_run(&program, remover, NULL, 0);
    program_close(&program);
}

/* ---- small requests -------------------------------------------------------------------------- */

/* Turns of the workers' loops so far. */
static unsigned long turns(void)
{
    return (unsigned long)afard_metric(&server, "afard_worker_lag_seconds_count");
}

/* They are taken some at a time, so that others get their turn; all of them, and in order. */
static void requests_without_end(void **state)
{
    (void)state;
    enum { REQUESTS = 200000, PER_TURN = 256, PIECE = 1000 };
    static const char pong[] = "{\"type\":\"pong\",\"id\":1}";
    static uint8_t piece[PIECE * (sizeof pong - 1 + 4)];
    const char *args[] = {
        "--listen", "tcp://127.0.0.1:0", "--http", "tcp://127.0.0.1:0", "--workers", "1", NULL};
    for (size_t i = 0; i < PIECE; i++) {
        uint8_t *at = piece + i * (sizeof pong - 1 + 4);
        memcpy(at, (const uint8_t[]){sizeof pong - 1, 0, 0, 0}, 4);
        memcpy(at + 4, pong, sizeof pong - 1);
    }
    afard_start(&server, args);
    unsigned long before = turns();
    int fd = raw_connect(afard_port(&server, 0));
    for (int i = 0; i < REQUESTS / PIECE; i++)
        raw_send(fd, piece, sizeof piece);
    raw_send_frame(fd, "{\"type\":\"ping\",\"id\":7}");
    char *answer = raw_read_header(fd, NULL);
    assert_non_null(strstr(answer, "\"type\":\"pong\",\"id\":7"));
    free(answer);
    assert_true(turns() - before >= REQUESTS / PER_TURN);
    /* More than can be taken in a turn and than is sent afterwards: nothing is forgotten. */
    for (int i = 0; i < 2 * PER_TURN; i++)
        raw_send_frame(fd, "{\"type\":\"ping\",\"id\":8}");
    for (int i = 0; i < 2 * PER_TURN; i++) {
        answer = raw_read_header(fd, NULL);
        assert_non_null(strstr(answer, "\"id\":8"));
        free(answer);
    }
    (void)close(fd);
    assert_int_equal(afard_stop(&server), 0);
}

/* ---- strangers ------------------------------------------------------------------------------- */

static long resident_kib(void)
{
    char path[64];
    char line[256];
    long kib = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)server.program.pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    }
    (void)fclose(file);
    assert_true(kib > 0);
    return kib;
}

static bool is_sanitized(void)
{
    const char *san = getenv("SAN");
    return san != NULL && san[0] != '\0';
}

/* As much as a hello may claim, and more. */
static void strangers_cost_little(void **state)
{
    (void)state;
    static const unsigned claims[] = {16384, 131000};
    static int fds[STRANGERS];
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--log-level", "error", NULL};
    if (is_sanitized())
        skip(); /* its memory is the sanitizer's */
    for (size_t i = 0; i < 2; i++) {
        const uint8_t begin[] = {22,
                                 3,
                                 1,
                                 2,
                                 0,
                                 1,
                                 (uint8_t)(claims[i] >> 16),
                                 (uint8_t)(claims[i] >> 8),
                                 (uint8_t)claims[i]};
        const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
        afard_start_tls(&server, args);
        long before_kib = resident_kib();
        long most_kib = before_kib;
        for (size_t n = 0; n < STRANGERS; n++) {
            fds[n] = raw_connect(afard_port(&server, 0));
            raw_send(fds[n], begin, sizeof begin);
        }
        for (int looks = 0; looks < 10; looks++) {
            (void)poll(NULL, 0, 50);
            long now_kib = resident_kib();
            most_kib = now_kib > most_kib ? now_kib : most_kib;
        }
        print_message("  a claim of %u bytes: %ld KiB each\n", claims[i],
                      (most_kib - before_kib) / STRANGERS);
        assert_in_range(most_kib - before_kib, 0, STRANGERS * STRANGER_KIB_MAX);
        for (size_t n = 0; n < STRANGERS; n++)
            (void)close(fds[n]);
        /* A quarter of what they had may stay. (Once is enough: it takes GIVEBACK_LOOK_MS.) */
        while (i == 1 && resident_kib() - before_kib > (most_kib - before_kib) / 4) {
            if (clock_now_ms() > deadline_ms)
                fail_msg("%ld KiB before, %ld with strangers, %ld after they have gone", before_kib,
                         most_kib, resident_kib());
            (void)poll(NULL, 0, 50);
        }
        assert_int_equal(afard_stop(&server), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_changes_keys_without_end),
        cmocka_unit_test(a_server_changes_keys_without_end),
        cmocka_unit_test(requests_without_end),
        cmocka_unit_test(strangers_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
