#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "net/endpoint.h"

struct good {
    const char *url;
    enum endpoint_scheme scheme;
    enum endpoint_protocol protocol;
    uint16_t port;
    const char *host;
    const char *path;
    const char *written;
};

static const struct good goods[] = {
    {"tls://build7:5050", ENDPOINT_TLS, PROTOCOL_AFAR, 5050, "build7", "", "tls://build7:5050"},
    {"tcp://127.0.0.1", ENDPOINT_TCP, PROTOCOL_AFAR, 7420, "127.0.0.1", "", "tcp://127.0.0.1:7420"},
    {"tcp://127.0.0.1/", ENDPOINT_TCP, PROTOCOL_AFAR, 7420, "127.0.0.1", "",
     "tcp://127.0.0.1:7420"},
    {"TCP://127.0.0.1:0", ENDPOINT_TCP, PROTOCOL_AFAR, 0, "127.0.0.1", "", "tcp://127.0.0.1:0"},
    {"tcp://[::1]", ENDPOINT_TCP, PROTOCOL_AFAR, 7420, "::1", "", "tcp://[::1]:7420"},
    {"tcp://[::1]:65535/", ENDPOINT_TCP, PROTOCOL_AFAR, 65535, "::1", "", "tcp://[::1]:65535"},
    {"tcp://[fe80::1%eth0]:1", ENDPOINT_TCP, PROTOCOL_AFAR, 1, "fe80::1%eth0", "",
     "tcp://[fe80::1%eth0]:1"},
    {"tls://:7421", ENDPOINT_TLS, PROTOCOL_AFAR, 7421, "", "", "tls://:7421"},
    {"tls://*:0", ENDPOINT_TLS, PROTOCOL_AFAR, 0, "", "", "tls://:0"},
    {"tcp://*", ENDPOINT_TCP, PROTOCOL_AFAR, 7420, "", "", "tcp://:7420"},
    {"*:80?ipv6only=yes", ENDPOINT_TLS, PROTOCOL_AFAR, 80, "", "", "tls://:80?ipv6only=yes"},
    {"udp://localhost:9", ENDPOINT_UDP, PROTOCOL_UPPER, 9, "localhost", "", "udp://localhost:9"},
    {"udp://localhost:9?protocol=upper", ENDPOINT_UDP, PROTOCOL_UPPER, 9, "localhost", "",
     "udp://localhost:9"},
    {"tcp://h?protocol=headed", ENDPOINT_TCP, PROTOCOL_HEADED, 7420, "h", "",
     "tcp://h:7420?protocol=headed"},
    {"tcp://h:1?protocol=sized", ENDPOINT_TCP, PROTOCOL_SIZED, 1, "h", "",
     "tcp://h:1?protocol=sized"},
    {"tls://h/?protocol=upper", ENDPOINT_TLS, PROTOCOL_UPPER, 7420, "h", "",
     "tls://h:7420?protocol=upper"},
    {"tls://h?protocol=afar", ENDPOINT_TLS, PROTOCOL_AFAR, 7420, "h", "", "tls://h:7420"},
    {"unix:///run/afard.sock", ENDPOINT_UNIX, PROTOCOL_AFAR, 0, "", "/run/afard.sock",
     "unix:///run/afard.sock"},
    {"unix:///a:b/c@d?protocol=headed", ENDPOINT_UNIX, PROTOCOL_HEADED, 0, "", "/a:b/c@d",
     "unix:///a:b/c@d?protocol=headed"},
    {"build7", ENDPOINT_TLS, PROTOCOL_AFAR, 7420, "build7", "", "tls://build7:7420"},
    {"build7:80", ENDPOINT_TLS, PROTOCOL_AFAR, 80, "build7", "", "tls://build7:80"},
    {"[::1]", ENDPOINT_TLS, PROTOCOL_AFAR, 7420, "::1", "", "tls://[::1]:7420"},
    {"[::1]:80", ENDPOINT_TLS, PROTOCOL_AFAR, 80, "::1", "", "tls://[::1]:80"},
    {"tls://[::]:80?ipv6only=yes", ENDPOINT_TLS, PROTOCOL_AFAR, 80, "::", "",
     "tls://[::]:80?ipv6only=yes"},
    {"tcp://[0::0.0.0.0]?ipv6only=yes&protocol=upper", ENDPOINT_TCP, PROTOCOL_UPPER, 7420,
     "0::0.0.0.0", "", "tcp://[0::0.0.0.0]:7420?protocol=upper&ipv6only=yes"},
    {"tls://[::]?ipv6only=no", ENDPOINT_TLS, PROTOCOL_AFAR, 7420, "::", "", "tls://[::]:7420"},
    {"tls://:80?ipv6only=yes", ENDPOINT_TLS, PROTOCOL_AFAR, 80, "", "", "tls://:80?ipv6only=yes"},
    {"build7?protocol=sized", ENDPOINT_TLS, PROTOCOL_SIZED, 7420, "build7", "",
     "tls://build7:7420?protocol=sized"},
    {"tls+fd://afard.socket", ENDPOINT_TLS, PROTOCOL_AFAR, 1, "afard.socket", "",
     "tls+fd://afard.socket"},
    {"TLS+FD://afard@7.socket:1", ENDPOINT_TLS, PROTOCOL_AFAR, 1, "afard@7.socket", "",
     "tls+fd://afard@7.socket"},
    {"tcp+fd://a:64?protocol=sized", ENDPOINT_TCP, PROTOCOL_SIZED, 64, "a", "",
     "tcp+fd://a:64?protocol=sized"},
    {"unix+fd://a", ENDPOINT_UNIX, PROTOCOL_AFAR, 1, "a", "", "unix+fd://a"},
    {"udp+fd://a:2", ENDPOINT_UDP, PROTOCOL_UPPER, 2, "a", "", "udp+fd://a:2"},
};

static void test_good_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        const struct good *good = &goods[i];
        struct endpoint endpoint;
        struct endpoint again;
        struct afar_error err;
        char url[ENDPOINT_URL_BYTES];

        if (endpoint_parse(&endpoint, good->url, &err) != AFAR_OK)
            fail_msg("%s", err.message);
        assert_int_equal(endpoint.scheme, good->scheme);
        assert_int_equal(endpoint.protocol, good->protocol);
        assert_int_equal(endpoint.port, good->port);
        assert_int_equal(endpoint.inherited, strstr(good->written, "+fd://") != NULL);
        assert_int_equal(endpoint.ipv6_only, strstr(good->written, "ipv6only=yes") != NULL);
        assert_string_equal(endpoint.host, good->host);
        assert_string_equal(endpoint.path, good->path);
        endpoint_format(&endpoint, url, sizeof url);
        assert_string_equal(url, good->written);
        assert_int_equal(endpoint_parse(&again, url, &err), AFAR_OK);
        assert_memory_equal(&endpoint, &again, sizeof endpoint);
    }
}

static const struct {
    const char *url;
    const char *says;
} bads[] = {
    {"", "no host"},
    {"tls://", "no host"},
    {"tls:///", "cannot contain the byte 0x2f"},
    {"tls://h:", "'' is not a port"},
    {"tls://h:65536", "'65536' is not a port from 0 to 65535"},
    {"tls://h:-1", "'-1' is not a port"},
    {"tls://h:+1", "'+1' is not a port"},
    {"tls://h: 1", "' 1' is not a port"},
    {"tls://h:1x", "'1x' is not a port"},
    {"tls://h:000000000001", "'000000000001' is not a port"},
    {"tls://::1", "an IPv6 address needs brackets, as in [::1]:7420: '::1'"},
    {"::1", "an IPv6 address needs brackets"},
    {"tls://fe80::1:7420", "an IPv6 address needs brackets"},
    {"tls://[::1", "']' is missing"},
    {"tls://[::1]7420", "expected ':' and a port after ']'"},
    {"tls://[::1]:", "'' is not a port"},
    {"tls://[]", "'' is not an IPv6 address"},
    {"tls://[localhost]", "'localhost' is not an IPv6 address"},
    {"tls://[127.0.0.1]", "'127.0.0.1' is not an IPv6 address"},
    {"tls://[12345678901234567890123456789012345678901234567890]", "is not an IPv6 address"},
    {"tls://user@h", "without '@'"},
    {"tls://h/path", "cannot contain the byte 0x2f"},
    {"tls://a b", "cannot contain the byte 0x20"},
    {"tls://a\nb", "cannot contain the byte 0x0a"},
    {"tls://a\x7f", "cannot contain the byte 0x7f"},
    {"http://h", "unknown scheme 'http': expected tls, tcp, unix or udp"},
    {"://h", "unknown scheme ''"},
    {"tl://h", "unknown scheme 'tl'"},
    {"tlss://h", "unknown scheme 'tlss'"},
    {"/run/afard.sock", "a Unix socket is written unix:///run/afard.sock"},
    {"unix://", "an absolute path"},
    {"unix:///", "an absolute path"},
    {"unix://run/afard.sock", "an absolute path"},
    {"tls://h?", "unknown parameter '': expected ?protocol=NAME"},
    {"tls://[::]?ipv6only=", "ipv6only is yes or no"},
    {"tls://[::]?ipv6only=yesno", "ipv6only is yes or no"},
    {"tls://[::]?ipv6only=no&ipv6only=yes", "ipv6only is given twice"},
    {"tls://[::1]?ipv6only=yes", "ipv6only needs the host"},
    {"tls://localhost?ipv6only=yes", "ipv6only needs the host"},
    {"unix:///a?ipv6only=yes", "ipv6only needs the host"},
    {"tls+fd://a?ipv6only=yes", "ipv6only needs the host"},
    {"tls://h?x=1", "unknown parameter 'x=1'"},
    {"tls://h?protocol", "unknown parameter 'protocol'"},
    {"tls://h?protocol=", "unknown protocol '': expected afar, headed, sized or upper"},
    {"tls://h?protocol=Afar", "unknown protocol 'Afar'"},
    {"tls://h?protocol=afarr", "unknown protocol 'afarr'"},
    {"tls://h?protocol=sized&protocol=sized", "protocol is given twice"},
    {"tls://h?protocol=sized&", "unknown parameter ''"},
    {"tls://h?protocol=sized&x", "unknown parameter 'x'"},
    {"udp://h?protocol=afar", "udp carries only the protocol upper, not afar"},
    {"udp://h?protocol=headed", "udp carries only the protocol upper, not headed"},
    {"http+fd://h", "unknown scheme 'http+fd'"},
    {"+fd://h", "unknown scheme '+fd'"},
    {"fd://h", "unknown scheme 'fd'"},
    {"tls+fd://", "no name: expected tls+fd://NAME, a name in LISTEN_FDNAMES"},
    {"tls+fd://:1", "no name"},
    {"tls+fd://a:", "'' is not the number of a socket from 1 to 64"},
    {"tls+fd://a:0", "'0' is not the number of a socket from 1 to 64"},
    {"tls+fd://a:65", "'65' is not the number of a socket"},
    {"tls+fd://a:1:2", "'1:2' is not the number of a socket"},
    {"tls+fd://a b", "a socket's name cannot contain the byte 0x20"},
    {"tls+fd://a\xc3\xa9", "a socket's name cannot contain the byte 0xc3"},
    {"udp+fd://a?protocol=afar", "udp carries only the protocol upper, not afar"},
};

static void test_bad_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        struct endpoint endpoint;
        struct afar_error err = {0};
        if (endpoint_parse(&endpoint, bads[i].url, &err) != AFAR_EINVAL)
            fail_msg("'%s' is taken", bads[i].url);
        assert_int_equal(err.code, AFAR_EINVAL);
        if (strstr(err.message, bads[i].says) == NULL)
            fail_msg("'%s': \"%s\"", bads[i].url, err.message);
        assert_int_equal(endpoint_parse(&endpoint, bads[i].url, NULL), AFAR_EINVAL);
    }
}

/* A host of 255 bytes and a path of 107 are the longest; a message stays one. */
static void test_lengths(void **state)
{
    (void)state;
    struct endpoint endpoint;
    struct afar_error err;
    char url[2000];
    char written[ENDPOINT_URL_BYTES];
    char name[1500];

    memset(name, 'x', sizeof name);
    (void)snprintf(url, sizeof url, "tls://%.*s:65535?protocol=headed", 255, name);
    assert_int_equal(endpoint_parse(&endpoint, url, &err), AFAR_OK);
    endpoint_format(&endpoint, written, sizeof written);
    assert_string_equal(written, url);
    (void)snprintf(url, sizeof url, "tls://%.*s", 256, name);
    assert_int_equal(endpoint_parse(&endpoint, url, &err), AFAR_EINVAL);
    assert_non_null(strstr(err.message, "at most 255 bytes, not 256"));

    (void)snprintf(url, sizeof url, "unix:///%.*s", 106, name);
    assert_int_equal(endpoint_parse(&endpoint, url, &err), AFAR_OK);
    assert_int_equal(strlen(endpoint.path), 107);
    endpoint_format(&endpoint, written, sizeof written);
    assert_string_equal(written, url);
    (void)snprintf(url, sizeof url, "unix:///%.*s", 107, name);
    assert_int_equal(endpoint_parse(&endpoint, url, &err), AFAR_EINVAL);
    assert_non_null(strstr(err.message, "at most 107 bytes, not 108"));

    static const char *const forms[] = {"%.*s://h",        "tls://h:%.*s", "h?%.*s",
                                        "h?protocol=%.*s", "[%.*s",        "[%.*s]",
                                        "unix://%.*s",     "/%.*s"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(url, sizeof url, forms[i], 1400, name);
#pragma GCC diagnostic pop
        assert_int_equal(endpoint_parse(&endpoint, url, &err), AFAR_EINVAL);
        assert_true(strlen(err.message) > 20);
    }
}

static void test_format_is_cut_to_its_space(void **state)
{
    (void)state;
    struct endpoint endpoint;
    char url[8];
    assert_int_equal(endpoint_parse(&endpoint, "tls://build7", NULL), AFAR_OK);
    endpoint_format(&endpoint, url, sizeof url);
    assert_string_equal(url, "tls://b");
}

static void test_protocol_names(void **state)
{
    (void)state;
    static const enum endpoint_protocol all[] = {PROTOCOL_AFAR, PROTOCOL_HEADED, PROTOCOL_SIZED,
                                                 PROTOCOL_UPPER};
    struct afar_error err;
    enum endpoint_protocol protocol = PROTOCOL_AFAR;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(endpoint_protocol_parse(endpoint_protocol_name(all[i]), &protocol, &err),
                         AFAR_OK);
        assert_int_equal(protocol, all[i]);
    }
    assert_int_equal(endpoint_protocol_parse("telnet", &protocol, &err), AFAR_EINVAL);
    assert_string_equal(err.message,
                        "unknown protocol 'telnet': expected afar, headed, sized or upper");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_urls),      cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_lengths),        cmocka_unit_test(test_format_is_cut_to_its_space),
        cmocka_unit_test(test_protocol_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
