#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "support/alloc_fault.h"

// wrap: malloc calloc realloc strdup

/* What afard.conf(5) promises, written down a second time on purpose. */
struct number {
    const char *key;
    size_t offset;
    uint64_t min;
    uint64_t max;
    uint64_t preset;
};

#define N(key, min, max, preset)                             \
    {                                                        \
#key, offsetof(struct config, key), min, max, preset \
    }

static const struct number numbers[] = {
    N(workers, 0, 1024, 0),
    N(bulk_workers, 0, 1024, 64),
    N(bulk_bytes, 1, 1073741824, 4194304),
    N(max_connections, 1, 1048576, 16384),
    N(max_jobs, 1, 1048576, 4096),
    N(tls_watch_ms, 0, 2147483647, 5000),
    N(handshake_timeout_ms, 1, 2147483647, 10000),
    N(idle_timeout_ms, 0, 2147483647, 0),
    N(write_timeout_ms, 0, 2147483647, 60000),
    N(job_timeout_ms, 0, 2147483647, 0),
    N(kill_grace_ms, 0, 2147483647, 5000),
    N(last_words_ms, 0, 2147483647, 5000),
    N(linger_ms, 0, 2147483647, 1000),
    N(linger_max_ms, 1, 2147483647, 10000),
    N(drain_ms, 0, 2147483647, 10000),
    N(output_log_bytes, 262144, 67108864, 2097152),
    N(stdin_bytes, 262144, 67108864, 1048576),
    N(control_queue_bytes, 4096, 16777216, 65536),
    N(request_bytes, 1, 16777216, 65536),
    N(collect_memory_bytes, 4096, 1073741824, 1048576),
    N(collect_max_bytes, 1, 2147483647, 1073741824),
    N(quiet_ms, 1, 60000, 20),
    N(udp_rate_per_second, 1, 1000000, 1000),
};

enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

static uint64_t value_of(const struct config *config, const struct number *number)
{
    uint64_t value = 0;
    memcpy(&value, (const char *)config + number->offset, sizeof value);
    return value;
}

/* config_set must fail with exactly this message. */
static void assert_refused(struct config *config, const char *key, const char *value,
                           const char *message)
{
    struct afar_error err = {.code = AFAR_OK};
    assert_int_equal(config_set(config, key, value, &err), AFAR_EINVAL);
    assert_int_equal(err.code, AFAR_EINVAL);
    assert_string_equal(err.message, message);
    assert_int_equal(config_set(config, key, value, NULL), AFAR_EINVAL);
}

static void set(struct config *config, const char *key, const char *value)
{
    struct afar_error err = {.code = AFAR_OK};
    if (config_set(config, key, value, &err) != AFAR_OK)
        fail_msg("%s = %s: %s", key, value, err.message);
}

static void test_defaults(void **state)
{
    (void)state;
    struct config config;
    memset(&config, 0xa5, sizeof config);
    config_init(&config);
    for (unsigned i = 0; i < NUMBERS; i++) {
        if (value_of(&config, &numbers[i]) != numbers[i].preset)
            fail_msg("%s is %" PRIu64, numbers[i].key, value_of(&config, &numbers[i]));
    }
    assert_int_equal(config.listen_count, 0);
    assert_false(config.allow_plaintext);
    assert_false(config.tls_allow_12);
    assert_null(config.tls_cert);
    assert_null(config.tls_key);
    assert_null(config.tls_client_ca);
    assert_int_equal(config.log_level, LOG_LEVEL_INFO);
    assert_int_equal(config.log_format, LOG_FORMAT_TEXT);
    config_close(&config);
    config_close(&config); /* twice is harmless */
}

/* Each number at and beyond both ends of its range; the others must not change. */
static void test_number_ranges(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NUMBERS; i++) {
        const struct number *n = &numbers[i];
        struct config config;
        config_init(&config);
        char text[32];
        char message[128];

        (void)snprintf(text, sizeof text, "%" PRIu64, n->min);
        set(&config, n->key, text);
        assert_true(value_of(&config, n) == n->min);
        (void)snprintf(text, sizeof text, "%" PRIu64, n->max);
        set(&config, n->key, text);
        assert_true(value_of(&config, n) == n->max);

        (void)snprintf(text, sizeof text, "%" PRIu64, n->max + 1);
        (void)snprintf(message, sizeof message,
                       "%s: '%s' is not a whole number from %" PRIu64 " to %" PRIu64, n->key, text,
                       n->min, n->max);
        assert_refused(&config, n->key, text, message);
        if (n->min > 0) {
            (void)snprintf(text, sizeof text, "%" PRIu64, n->min - 1);
            assert_int_equal(config_set(&config, n->key, text, NULL), AFAR_EINVAL);
        }
        assert_int_equal(config_set(&config, n->key, "", NULL), AFAR_EINVAL);
        assert_int_equal(config_set(&config, n->key, "-1", NULL), AFAR_EINVAL);
        assert_int_equal(config_set(&config, n->key, "5s", NULL), AFAR_EINVAL);
        assert_true(value_of(&config, n) == n->max);

        for (unsigned j = 0; j < NUMBERS; j++)
            assert_true(j == i || value_of(&config, &numbers[j]) == numbers[j].preset);
        config_close(&config);
    }
}

static void test_message_of_the_contract(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    assert_refused(&config, "workers", "many",
                   "workers: 'many' is not a whole number from 0 to 1024");
    config_close(&config);
}

static void test_flags(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    static const char *const yes[] = {"yes", "true", "Yes", "TRUE"};
    static const char *const no[] = {"no", "false", "No", "FALSE"};
    for (unsigned i = 0; i < 4; i++) {
        set(&config, "allow_plaintext", yes[i]);
        assert_true(config.allow_plaintext);
        assert_false(config.tls_allow_12);
        set(&config, "allow_plaintext", no[i]);
        assert_false(config.allow_plaintext);
    }
    set(&config, "tls_allow_12", "yes");
    assert_true(config.tls_allow_12);
    assert_false(config.allow_plaintext);

    static const char *const bad[] = {"", "1", "0", "on", "off", "y", "yes "};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(config_set(&config, "tls_allow_12", bad[i], NULL), AFAR_EINVAL);
    assert_true(config.tls_allow_12);
    assert_refused(&config, "tls_allow_12", "on", "tls_allow_12: 'on' is neither yes nor no");
    config_close(&config);
}

static void test_paths(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    char name[] = "/etc/afar/first.pem";
    set(&config, "tls_cert", name);
    name[0] = 'X'; /* it was copied */
    assert_string_equal(config.tls_cert, "/etc/afar/first.pem");
    set(&config, "tls_cert", "second.pem"); /* the later counts, the first is freed */
    set(&config, "tls_key", "key.pem");
    set(&config, "tls_client_ca", "ca.pem");
    assert_string_equal(config.tls_cert, "second.pem");
    assert_string_equal(config.tls_key, "key.pem");
    assert_string_equal(config.tls_client_ca, "ca.pem");
    assert_refused(&config, "tls_key", "", "tls_key: expected the name of a file");
    assert_string_equal(config.tls_key, "key.pem");
    config_close(&config);
    assert_null(config.tls_cert);
    assert_null(config.tls_key);
    assert_null(config.tls_client_ca);
}

static void test_log_options(void **state)
{
    (void)state;
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    struct config config;
    config_init(&config);
    for (unsigned i = 0; i < 4; i++) {
        set(&config, "log_level", levels[i]);
        assert_int_equal(config.log_level, i);
    }
    set(&config, "log_format", "json");
    assert_int_equal(config.log_format, LOG_FORMAT_JSON);
    set(&config, "log_format", "text");
    assert_int_equal(config.log_format, LOG_FORMAT_TEXT);
    assert_refused(&config, "log_level", "loud",
                   "log_level: 'loud' is not a log level: error, warn, info or debug");
    assert_refused(&config, "log_format", "xml",
                   "log_format: 'xml' is not a log format: text or json");
    config_close(&config);
}

static void test_listen(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    set(&config, "listen", "tcp://127.0.0.1");
    set(&config, "listen", "unix:///run/x;y");
    set(&config, "listen", "udp://[::1]:5");
    assert_int_equal(config.listen_count, 3);
    assert_int_equal(config.listen[0].scheme, ENDPOINT_TCP);
    assert_int_equal(config.listen[0].port, ENDPOINT_DEFAULT_PORT);
    assert_string_equal(config.listen[1].path, "/run/x;y");
    assert_int_equal(config.listen[2].protocol, PROTOCOL_UPPER);

    struct afar_error err = {.code = AFAR_OK};
    assert_int_equal(config_set(&config, "listen", "http://x", &err), AFAR_EINVAL);
    assert_non_null(strstr(err.message, "listen: "));
    assert_non_null(strstr(err.message, "tls, tcp, unix or udp"));
    assert_int_equal(config.listen_count, 3);
    config_close(&config);
}

static void test_http(void **state)
{
    (void)state;
    struct config config;
    struct afar_error err = {.code = AFAR_OK};
    config_init(&config);
    assert_false(config.http_wanted);
    set(&config, "listen", "tcp://127.0.0.1:7420");
    set(&config, "http", "tcp://127.0.0.1:7421");
    assert_true(config.http_wanted);
    assert_int_equal(config.http.port, 7421);
    assert_int_equal(config_check(&config, &err), AFAR_OK);
    set(&config, "http", "tcp://127.0.0.1:7420"); /* the last one counts */
    assert_int_equal(config_check(&config, &err), AFAR_EINVAL);
    assert_string_equal(
        err.message,
        "http: tcp://127.0.0.1:7420 is already the address of a listener: choose another port");
    set(&config, "http", "unix:///run/afard-http");
    assert_int_equal(config_check(&config, &err), AFAR_OK);
    static const char *const wrong[] = {"tls://127.0.0.1:1",
                                        "udp://127.0.0.1:1",
                                        "127.0.0.1:1",
                                        "tcp://127.0.0.1:1?protocol=sized",
                                        "yes",
                                        ""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(config_set(&config, "http", wrong[i], &err), AFAR_EINVAL);
        assert_int_equal(strncmp(err.message, "http: ", 6), 0);
    }
    assert_string_equal(config.http.path, "/run/afard-http");
    config_close(&config);
}

static void test_too_many_listeners(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    for (unsigned i = 0; i < CONFIG_LISTEN_MAX; i++)
        set(&config, "listen", "tcp://127.0.0.1:0");
    assert_refused(&config, "listen", "tcp://127.0.0.1:0", "listen: there can be at most 32");
    assert_int_equal(config.listen_count, CONFIG_LISTEN_MAX);
    assert_int_equal(config_check(&config, NULL), AFAR_OK);
    config_close(&config);
}

static void test_unknown_key(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    assert_refused(&config, "worker", "4",
                   "unknown key 'worker': did you mean 'workers' (threads; 0: twice the "
                   "processors, at least 4)?");
    assert_refused(&config, "colour", "red", "unknown key 'colour'; afard.conf(5) lists the keys");
    config_close(&config);
}

static void check_says(const struct config *config, const char *expected)
{
    struct afar_error err = {.code = AFAR_OK};
    assert_int_equal(config_check(config, &err), AFAR_EINVAL);
    assert_string_equal(err.message, expected);
}

static void test_check_needs_a_listener(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    check_says(
        &config,
        "no listener: add --listen tcp://127.0.0.1, or a line listen = URL to the configuration");
    set(&config, "listen", "tcp://127.0.0.1");
    assert_int_equal(config_check(&config, NULL), AFAR_OK);
    config_close(&config);
}

static void test_check_tls_needs_files(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    set(&config, "listen", "tcp://127.0.0.1:1");
    set(&config, "listen", "tls://127.0.0.1:2?protocol=upper");
    check_says(&config, "tls://127.0.0.1:2?protocol=upper needs tls_cert (--tls-cert FILE), the "
                        "server's certificate");
    set(&config, "tls_cert", "c");
    check_says(&config, "tls://127.0.0.1:2?protocol=upper needs tls_key (--tls-key FILE), its "
                        "private key");
    set(&config, "tls_key", "k");
    check_says(&config, "tls://127.0.0.1:2?protocol=upper needs tls_client_ca (--tls-client-ca "
                        "FILE), or rules with client = pin:sha256:…, the CA of the "
                        "clients' certificates");
    set(&config, "tls_client_ca", "a");
    assert_int_equal(config_check(&config, NULL), AFAR_OK);
    config_close(&config);
}

static void test_check_udp_carries_upper(void **state)
{
    (void)state;
    struct config config;
    config_init(&config);
    set(&config, "listen", "udp://127.0.0.1:1");
    assert_int_equal(config_check(&config, NULL), AFAR_OK);
    config.listen[0].protocol = PROTOCOL_AFAR; /* no URL says so, but a program can */
    check_says(&config, "udp://127.0.0.1:1?protocol=afar: udp carries only ?protocol=upper");
    config_close(&config);
}

static void test_check_same_place(void **state)
{
    (void)state;
    static const struct {
        const char *first;
        const char *second;
        bool same;
    } cases[] = {
        {"tcp://127.0.0.1:1", "tcp://127.0.0.1:1", true},
        {"tcp://localhost:1", "tcp://LOCALHOST:1?protocol=upper", true},
        {"tcp://127.0.0.1:1", "tls://127.0.0.1:1", true},
        {"unix:///a", "unix:///a?protocol=upper", true},
        {"udp://127.0.0.1:1", "udp://127.0.0.1:1", true},
        {"tcp://127.0.0.1:1", "udp://127.0.0.1:1", false},
        {"tcp://127.0.0.1:1", "tcp://127.0.0.1:2", false},
        {"tcp://127.0.0.1:0", "tcp://127.0.0.1:0", false},
        {"tcp://127.0.0.1:1", "tcp://[::1]:1", false},
        {"unix:///a", "unix:///b", false},
        {"unix:///a", "tcp://127.0.0.1:1", false},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config config;
        config_init(&config);
        set(&config, "tls_cert", "c");
        set(&config, "tls_key", "k");
        set(&config, "tls_client_ca", "a");
        set(&config, "listen", cases[i].first);
        set(&config, "listen", cases[i].second);
        struct afar_error err = {.code = AFAR_OK};
        enum afar_status status = config_check(&config, &err);
        if (status != (cases[i].same ? AFAR_EINVAL : AFAR_OK))
            fail_msg("%s and %s: %s", cases[i].first, cases[i].second, err.message);
        if (cases[i].same)
            assert_non_null(strstr(err.message, "another listener has this address already"));
        config_close(&config);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    unsigned failures = 0;
    for (int n = 1;; n++) {
        struct config config;
        struct afar_error err = {.code = AFAR_OK};
        config_init(&config);
        set(&config, "tls_cert", "old");
        alloc_fault_arm(n);
        enum afar_status status = config_set(&config, "tls_cert", "new", &err);
        bool fired = alloc_fault_fired();
        if (fired) {
            failures++;
            assert_int_equal(status, AFAR_ENOMEM);
            assert_string_equal(err.message, "tls_cert: out of memory");
            assert_string_equal(config.tls_cert, "old");
        } else {
            assert_int_equal(status, AFAR_OK);
            assert_string_equal(config.tls_cert, "new");
        }
        config_close(&config);
        if (!fired)
            break;
    }
    assert_int_equal(failures, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_number_ranges),
        cmocka_unit_test(test_message_of_the_contract),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_log_options),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_too_many_listeners),
        cmocka_unit_test(test_unknown_key),
        cmocka_unit_test(test_check_needs_a_listener),
        cmocka_unit_test(test_check_tls_needs_files),
        cmocka_unit_test(test_check_udp_carries_upper),
        cmocka_unit_test(test_check_same_place),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
