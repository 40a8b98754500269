// wrap: getaddrinfo
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "net/address.h"

static int resolver_fails; /* an EAI_ code; 0: ask the real one */
static int resolver_errno;
static bool resolver_knows_addresses; /* … which need no resolver, all the same */

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **list);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **list);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **list)
{
    bool address = host != NULL && (strchr(host, ':') != NULL || strcmp(host, "127.0.0.1") == 0);
    if (resolver_fails != 0 && !(address && resolver_knows_addresses)) {
        errno = resolver_errno;
        return resolver_fails;
    }
    return __real_getaddrinfo(host, port, hints, list);
}

static int reset(void **state)
{
    (void)state;
    resolver_fails = resolver_errno = 0;
    resolver_knows_addresses = false;
    return 0;
}

static struct endpoint parsed(const char *url)
{
    struct endpoint endpoint;
    assert_int_equal(endpoint_parse(&endpoint, url, NULL), AFAR_OK);
    return endpoint;
}

static void test_addresses_resolve(void **state)
{
    (void)state;
    struct endpoint endpoint = parsed("tcp://127.0.0.1:80");
    struct addrinfo *list = NULL;
    struct afar_error err;
    char text[ADDRESS_TEXT_BYTES];

    assert_int_equal(address_resolve(&endpoint, false, &list, &err), AFAR_OK);
    assert_int_equal(list->ai_socktype, SOCK_STREAM);
    assert_null(list->ai_next);
    address_format(list->ai_addr, list->ai_addrlen, text, sizeof text);
    assert_string_equal(text, "127.0.0.1:80");
    assert_int_equal(address_port(list->ai_addr), 80);
    freeaddrinfo(list);

    endpoint = parsed("udp://[::1]:65535");
    assert_int_equal(address_resolve(&endpoint, true, &list, &err), AFAR_OK);
    assert_int_equal(list->ai_socktype, SOCK_DGRAM);
    address_format(list->ai_addr, list->ai_addrlen, text, sizeof text);
    assert_string_equal(text, "[::1]:65535");
    assert_int_equal(address_port(list->ai_addr), 65535);
    assert_true(address_is_loopback(list->ai_addr));
    freeaddrinfo(list);

    endpoint = parsed("tcp://:1");
    assert_int_equal(address_resolve(&endpoint, true, &list, &err), AFAR_OK);
    assert_false(address_is_loopback(list->ai_addr));
    freeaddrinfo(list);
}

static void test_failures_are_in_the_resolvers_words(void **state)
{
    (void)state;
    struct endpoint endpoint = parsed("tcp://build7:80");
    struct addrinfo *list = NULL;
    struct afar_error err;

    resolver_fails = EAI_NONAME;
    assert_int_equal(address_resolve(&endpoint, false, &list, &err), AFAR_ESYSTEM);
    assert_string_equal(err.message, "cannot resolve 'build7': Name or service not known");
    assert_null(list);
    resolver_fails = EAI_MEMORY;
    assert_int_equal(address_resolve(&endpoint, false, &list, &err), AFAR_ENOMEM);
    resolver_fails = EAI_SYSTEM;
    resolver_errno = EMFILE;
    assert_int_equal(address_resolve(&endpoint, false, &list, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, EMFILE);
    assert_string_equal(err.message, "cannot resolve 'build7': Too many open files");
    resolver_fails = 0;
    endpoint = parsed("tcp://:80");
    assert_int_equal(address_resolve(&endpoint, false, &list, &err), AFAR_EINVAL);
    endpoint = parsed("unix:///x");
    assert_int_equal(address_resolve(&endpoint, true, &list, &err), AFAR_EBUG);
}

static void assert_ip(const char *ip, uint16_t port, const char *expected, bool loopback)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const struct sockaddr *address = (const struct sockaddr *)&v4;
    socklen_t size = sizeof v4;
    char text[ADDRESS_TEXT_BYTES];

    if (strchr(ip, ':') != NULL) {
        assert_int_equal(inet_pton(AF_INET6, ip, &v6.sin6_addr), 1);
        address = (const struct sockaddr *)&v6;
        size = sizeof v6;
    } else {
        assert_int_equal(inet_pton(AF_INET, ip, &v4.sin_addr), 1);
    }
    address_format(address, size, text, sizeof text);
    assert_string_equal(text, expected);
    assert_int_equal(address_is_loopback(address), loopback);
    assert_int_equal(address_port(address), port);
}

static void test_formats_and_loopback(void **state)
{
    (void)state;
    assert_ip("127.0.0.1", 7420, "127.0.0.1:7420", true);
    assert_ip("127.255.255.255", 1, "127.255.255.255:1", true);
    assert_ip("126.255.255.255", 1, "126.255.255.255:1", false);
    assert_ip("128.0.0.1", 0, "128.0.0.1:0", false);
    assert_ip("0.0.0.0", 7420, "0.0.0.0:7420", false);
    assert_ip("::1", 7420, "[::1]:7420", true);
    assert_ip("::", 7420, "[::]:7420", false);
    assert_ip("::2", 7420, "[::2]:7420", false);
    assert_ip("2001:db8::1", 65535, "[2001:db8::1]:65535", false);
    /* IPv4 through an IPv6 socket is IPv4 to everybody who reads it. */
    assert_ip("::ffff:127.0.0.1", 80, "127.0.0.1:80", true);
    assert_ip("::ffff:10.0.0.1", 80, "10.0.0.1:80", false);
    assert_ip("::127.0.0.1", 80, "[::127.0.0.1]:80", false);
}

static void test_unix_addresses(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct sockaddr *generic = (const struct sockaddr *)&address;
    const socklen_t header = offsetof(struct sockaddr_un, sun_path);
    char text[ADDRESS_TEXT_BYTES];

    assert_true(address_is_loopback(generic));
    assert_int_equal(address_port(generic), 0);
    address_format(generic, header, text, sizeof text);
    assert_string_equal(text, "unix");
    strcpy(address.sun_path, "/run/afard.sock");
    address_format(generic, header + 16, text, sizeof text);
    assert_string_equal(text, "unix:/run/afard.sock");
    address_format(generic, header + 4, text, sizeof text); /* the kernel need not add a NUL */
    assert_string_equal(text, "unix:/run");
    memcpy(address.sun_path, "\0name", 5);
    address_format(generic, header + 5, text, sizeof text);
    assert_string_equal(text, "unix:@name");
    memset(address.sun_path, 'x', sizeof address.sun_path);
    address_format(generic, sizeof address, text, sizeof text);
    assert_int_equal(strlen(text), strlen("unix:") + sizeof address.sun_path);
    char small[8];
    address_format(generic, sizeof address, small, sizeof small);
    assert_string_equal(small, "unix:xx");
}

static void test_other_families(void **state)
{
    (void)state;
    struct sockaddr address = {.sa_family = AF_NETLINK};
    char text[ADDRESS_TEXT_BYTES];

    assert_false(address_is_loopback(&address));
    assert_int_equal(address_port(&address), 0);
    address_format(&address, sizeof address, text, sizeof text);
    assert_string_equal(text, "unknown");
    address_format(&address, 0, text, sizeof text);
    assert_string_equal(text, "unknown");
}

static struct address_group group_of(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct address_group group = {.size = 99};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        address_group((const struct sockaddr *)&v4, &group);
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        address_group((const struct sockaddr *)&v6, &group);
    return group;
}

static bool together(const char *a, const char *b)
{
    struct address_group first = group_of(a);
    struct address_group second = group_of(b);
    return first.size == second.size && memcmp(first.bytes, second.bytes, first.size) == 0;
}

static void test_whom_connections_are_counted_by(void **state)
{
    (void)state;
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct address_group group = {.size = 99};
    assert_true(together("10.0.0.1", "10.0.0.1"));
    assert_false(together("10.0.0.1", "10.0.0.2"));
    assert_true(together("::ffff:10.0.0.1", "10.0.0.1")); /* the same host by another socket */
    assert_true(together("2001:db8:1:2::1", "2001:db8:1:2:ffff::7"));
    assert_false(together("2001:db8:1:2::1", "2001:db8:1:3::1"));
    address_group((const struct sockaddr *)&local, &group);
    assert_int_equal(group.size, 0);
}

/* RFC 6761 §6.3: also in a root that has no /etc/hosts, and without asking. */
static void test_localhost(void **state)
{
    static const char *const names[] = {"localhost", "LocalHost", "localhost.", "db.localhost",
                                        "a.b.localhost."};
    static const char *const others[] = {"notlocalhost", "localhost.example.org", "local",
                                         "localhosts"};
    struct addrinfo *list = NULL;
    struct afar_error err;
    char text[ADDRESS_TEXT_BYTES];
    (void)state;
    resolver_fails = EAI_AGAIN;
    resolver_knows_addresses = true;
    for (size_t i = 0; i < 2 * sizeof names / sizeof names[0]; i++) {
        struct endpoint endpoint = parsed("tcp://x:80");
        strcpy(endpoint.host, names[i / 2]);
        assert_false(address_needs_resolver(names[i / 2]));
        /* For listening, after the resolver has failed. */
        assert_int_equal(address_resolve(&endpoint, i % 2 == 0, &list, &err), AFAR_OK);
        address_format(list->ai_addr, list->ai_addrlen, text, sizeof text);
        assert_string_equal(text, "[::1]:80");
        assert_non_null(list->ai_next);
        address_format(list->ai_next->ai_addr, list->ai_next->ai_addrlen, text, sizeof text);
        assert_string_equal(text, "127.0.0.1:80");
        assert_null(list->ai_next->ai_next);
        freeaddrinfo(list);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct endpoint endpoint = parsed("tcp://x:80");
        strcpy(endpoint.host, others[i]);
        assert_true(address_needs_resolver(others[i]));
        assert_int_equal(address_resolve(&endpoint, false, &list, &err), AFAR_ESYSTEM);
        assert_null(list);
    }
    struct endpoint endpoint = parsed("tcp://localhost:80");
    resolver_knows_addresses = false; /* out of memory */
    assert_int_equal(address_resolve(&endpoint, false, &list, &err), AFAR_ESYSTEM);
    assert_null(list);
    assert_false(address_needs_resolver("::1"));
    assert_false(address_needs_resolver("127.1"));
    assert_false(address_needs_resolver("10.0.0.1"));
}

static void test_groups_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *address; /* NULL: a user's */
        const char *words;
    } cases[] = {{"192.0.2.7", "192.0.2.7"},
                 {"::ffff:192.0.2.7", "192.0.2.7"},
                 {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
                 {"::1", "::/64"},
                 {NULL, "uid 1000"}};
    char text[ADDRESS_TEXT_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address_group group = {.size = 99};
        if (cases[i].address == NULL)
            address_group_user(1000, &group);
        else
            group = group_of(cases[i].address);
        address_group_format(&group, text, sizeof text);
        assert_string_equal(text, cases[i].words);
    }
    const struct address_group none = {.size = 0};
    address_group_format(&none, text, sizeof text);
    assert_string_equal(text, "unix");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_addresses_resolve, reset),
        cmocka_unit_test_setup(test_failures_are_in_the_resolvers_words, reset),
        cmocka_unit_test_setup(test_formats_and_loopback, reset),
        cmocka_unit_test_setup(test_unix_addresses, reset),
        cmocka_unit_test(test_groups_in_words),
        cmocka_unit_test_setup(test_other_families, reset),
        cmocka_unit_test_setup(test_whom_connections_are_counted_by, reset),
        cmocka_unit_test_setup(test_localhost, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
