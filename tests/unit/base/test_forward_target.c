/* "host:port" of a forwarded connection. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/forward_target.h"

static const struct {
    const char *text;
    const char *host;
    unsigned port;
    bool is_address;
    bool is_loopback;
} good[] = {
    {"db:5432", "db", 5432, false, false},
    {"DB.Example.com:1", "db.example.com", 1, false, false},
    {"a_b-c.example.:65535", "a_b-c.example.", 65535, false, false},
    {"localhost:80", "localhost", 80, false, true},
    {"x.LocalHost:80", "x.localhost", 80, false, true},
    {"notlocalhost:80", "notlocalhost", 80, false, false},
    {"localhost.evil:80", "localhost.evil", 80, false, false},
    {"127.0.0.1:80", "127.0.0.1", 80, true, true},
    {"127.9.8.7:80", "127.9.8.7", 80, true, true},
    {"10.0.0.1:80", "10.0.0.1", 80, true, false},
    {"0.0.0.0:80", "0.0.0.0", 80, true, false},
    {"127.1:80", "127.1", 80, false, false}, /* which a resolver may know, and we do not */
    {"[::1]:80", "::1", 80, true, true},
    {"[::]:80", "::", 80, true, false},
    {"[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80, true, true},
    {"[::ffff:10.0.0.1]:80", "::ffff:10.0.0.1", 80, true, false},
    {"[2001:DB8::7]:443", "2001:db8::7", 443, true, false},
    {"[fe80::1%eth0]:22", "fe80::1%eth0", 22, true, false},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct forward_target target;
        struct forward_target again;
        struct afar_error err;
        char text[FORWARD_TEXT_BYTES];
        if (forward_target_parse(&target, good[i].text, &err) != AFAR_OK)
            fail_msg("%s: %s", good[i].text, err.message);
        assert_string_equal(target.host, good[i].host);
        assert_int_equal(target.port, good[i].port);
        if (target.is_address != good[i].is_address || target.is_loopback != good[i].is_loopback)
            fail_msg("%s: address %d, loopback %d", good[i].text, target.is_address,
                     target.is_loopback);
        forward_target_format(&target, text);
        assert_int_equal(forward_target_parse(&again, text, NULL), AFAR_OK);
        assert_string_equal(again.host, target.host);
    }
}

static void test_bad(void **state)
{
    static const char *const bad[] = {
        "",          "db",           ":80",      "db:",     "db:0",
        "db:65536",  "db:8O",        "db: 80",   "db:+80",  "::1:80",
        "[::1]",     "[::1]80",      "[::1:80",  "[db]:80", "[127.0.0.1]:80",
        "[]:80",     "a b:80",       "a\n:80",   "-x:80",   "a/b:80",
        "[::1%]:80", "[::1%a b]:80", "[g::]:80", "*:80",    "caf\xc3\xa9:80"};
    struct afar_error err;
    struct forward_target target;
    char text[300];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (forward_target_parse(&target, bad[i], &err) != AFAR_EINVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(err.message[0] != '\0');
    }
    memset(text, 'a', FORWARD_HOST_BYTES);
    memcpy(text + FORWARD_HOST_BYTES - 1, ":80", 4);
    assert_int_equal(forward_target_parse(&target, text, NULL), AFAR_OK);
    memset(text, 'a', FORWARD_HOST_BYTES);
    memcpy(text + FORWARD_HOST_BYTES, ":80", 4);
    assert_int_equal(forward_target_parse(&target, text, NULL), AFAR_EINVAL);
    assert_int_equal(forward_target_make(&target, "a\0b", 3, "80", NULL), AFAR_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
