/* Many commands, many clients, and one worker that no client can hold up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <afar/afar.h>

#include "support/afard.h"
#include "support/raw.h"

enum { COMMANDS = 2000, CLIENTS = 200, SLEEPS = 100 };

static struct afar_context *context_for(const struct afard *server)
{
    const struct afar_credentials credentials =
        AFAR_CREDENTIALS_INIT(.ca_file = server->ca, .cert_file = server->client_cert,
                              .key_file = server->client_key);
    struct afar_context *context = NULL;
    struct afar_error err = {0};
    if (afar_context_new(&context, &credentials, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return context;
}

struct output {
    char text[128];
    size_t size;
};

static size_t keep(void *user, const void *data, size_t size)
{
    struct output *output = user;
    size_t room = sizeof output->text - 1 - output->size;
    size_t kept = size < room ? size : room;
    memcpy(output->text + output->size, data, kept);
    output->size += kept;
    return size;
}

/* `sh -c "echo N; exit M"`, and whether all of it came back. */
static bool run_numbered(struct afar_client *client, unsigned number)
{
    char line[64];
    char expected[32];
    struct output output = {.size = 0};
    struct afar_error err = {0};
    (void)snprintf(line, sizeof line, "echo %u; exit %u", number, number % 200);
    (void)snprintf(expected, sizeof expected, "%u\n", number);
    const struct afar_command command = AFAR_COMMAND_INIT(.shell = line);
    const struct afar_callbacks callbacks = AFAR_CALLBACKS_INIT(.on_stdout = keep, .user = &output);
    if (afar_start(client, &command, &callbacks, &err) != AFAR_OK ||
        afar_wait(client, test_deadline_ms(), &err) != AFAR_OK) {
        print_error("command %u: %s\n", number, err.message);
        return false;
    }
    const struct afar_receipt *receipt = afar_receipt(client);
    return receipt != NULL && receipt->outcome == AFAR_OUTCOME_EXITED &&
           receipt->code == (int)(number % 200) && strcmp(output.text, expected) == 0;
}

static void many_commands_on_one_connection(void **state)
{
    (void)state;
    struct afard server;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--log-level", "warn", NULL};
    struct afar_client *client = NULL;
    struct afar_error err = {0};
    afard_start_tls(&server, args);
    struct afar_context *context = context_for(&server);
    assert_int_equal(afar_connect(&client, context, server.url[0], test_deadline_ms(), &err),
                     AFAR_OK);
    for (unsigned i = 0; i < COMMANDS; i++)
        assert_true(run_numbered(client, i));
    afar_close(client);
    afar_context_free(context);
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
}

struct one {
    pthread_t thread;
    const char *url;
    struct afar_context *context;
    unsigned number;
    bool right;
};

static void *one_client(void *argument)
{
    struct one *one = argument;
    struct afar_client *client = NULL;
    struct afar_error err = {0};
    if (afar_connect(&client, one->context, one->url, test_deadline_ms(), &err) != AFAR_OK) {
        print_error("client %u: %s\n", one->number, err.message);
        return NULL;
    }
    one->right = true;
    for (unsigned i = 0; i < 5 && one->right; i++)
        one->right = run_numbered(client, one->number * 5 + i);
    afar_close(client);
    return NULL;
}

static void many_clients_at_once(void **state)
{
    (void)state;
    static struct one clients[CLIENTS];
    struct afard server;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--log-level", "warn", NULL};
    afard_start_tls(&server, args);
    struct afar_context *context = context_for(&server);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct one){.url = server.url[0], .context = context, .number = i};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, one_client, &clients[i]), 0);
    }
    unsigned right = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(clients[i].thread, NULL), 0);
        right += clients[i].right;
    }
    assert_int_equal(right, CLIENTS);
    afar_context_free(context);
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
}

/* A stream that nobody reads, a handshake that never ends, a frame that never ends, and a hundred
 * sleeps share the only worker with someone who just wants an answer. */
static void one_worker_waits_for_nobody(void **state)
{
    (void)state;
    struct afard server;
    const char *args[] = {"--listen",    "tls://127.0.0.1:0",
                          "--listen",    "tcp://127.0.0.1:0",
                          "--workers",   "1",
                          "--log-level", "warn",
                          "--set",       "kill_grace_ms=200",
                          NULL};
    afard_start_tls(&server, args);
    uint16_t plain = afard_port(&server, 1);

    int stuck = raw_connect(plain);
    raw_send_frame(stuck, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"head\",\"-c\",\"10G\","
                          "\"/dev/zero\"]}");
    char *started = raw_read_header(stuck, NULL);
    assert_non_null(strstr(started, "started"));
    free(started);

    int half_shaken = raw_connect(afard_port(&server, 0));
    raw_send(half_shaken, "\x16\x03\x01\x02\x00\x01", 6);
    int half_said = raw_connect(plain);
    raw_send(half_said, "\x40\x00\x00\x00{\"type\"", 11);

    int sleepers[SLEEPS];
    for (unsigned i = 0; i < SLEEPS; i++) {
        sleepers[i] = raw_connect(plain);
        raw_send_frame(sleepers[i],
                       "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"sleep\",\"1000\"]}");
    }
    for (unsigned i = 0; i < SLEEPS; i++) {
        char *header = raw_read_header(sleepers[i], NULL);
        assert_non_null(strstr(header, "started"));
        free(header);
    }

    for (unsigned u = 0; u < 2; u++) {
        for (unsigned i = 0; i < 20; i++) {
            struct program program;
            const char *argv[] = {"afar", "run", server.url[u], "--", "true", NULL};
            assert_int_equal(program_run(&program, argv, NULL, 0), 0);
            program_close(&program);
        }
    }

    (void)close(stuck);
    (void)close(half_shaken);
    (void)close(half_said);
    for (unsigned i = 0; i < SLEEPS; i++)
        (void)close(sleepers[i]);
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
}

/* The server takes as many descriptors as it may; a command finds the limit that the server found.
 */
static void the_limit_on_descriptors(void **state)
{
    (void)state;
    struct afard server;
    struct rlimit before;
    struct rlimit raised;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--log-level", "error", NULL};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit low = {.rlim_cur = before.rlim_max > 300 ? 300 : before.rlim_max,
                         .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    afard_start(&server, args);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(prlimit(server.program.pid, RLIMIT_NOFILE, NULL, &raised), 0);
    assert_int_equal(raised.rlim_cur, before.rlim_max);

    struct program program;
    char expected[32];
    const char *argv[] = {"afar", "run", server.url[0], "--", "sh", "-c", "ulimit -Sn", NULL};
    (void)snprintf(expected, sizeof expected, "%lu\n", (unsigned long)low.rlim_cur);
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    assert_string_equal(program.stdout_data, expected);
    program_close(&program);
    assert_int_equal(afard_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_commands_on_one_connection),
        cmocka_unit_test(many_clients_at_once),
        cmocka_unit_test(one_worker_waits_for_nobody),
        cmocka_unit_test(the_limit_on_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
