/* The file of short names of servers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "afar/hosts.h"
#include "support/stderr_capture.h"

#define PIN "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static char folder[] = "/tmp/afar-hosts-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/hosts", folder);
    return setenv("AFAR_HOSTS", path, 1);
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unsetenv("AFAR_HOSTS");
    return rmdir(folder);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static const char file[] = "; servers\n"
                           "[build-7]\n"
                           "  endpoint = tcp://10.0.0.7:7420\n"
                           "  ca = build.pem\n"
                           "  cert = /etc/cert.pem\n"
                           "  key = ~/key.pem\n"
                           "[*.lab]\n"
                           "endpoint = tls://%h.example.org\n"
                           "user = builder\n"
                           "pin = sha256:" PIN "\n"
                           "[build*]\n"
                           "endpoint = tls://other\n"
                           "user = ann\n"
                           "[*]\n"
                           "user = all\n";

static void expect(const struct host *host, enum host_key key, const char *text, unsigned line)
{
    const char *found = host->value[key].text;
    if (found == NULL || text == NULL)
        assert_ptr_equal(found, text);
    else
        assert_string_equal(found, text);
    assert_int_equal(host->value[key].line, line);
}

static void test_first_fits(void **state)
{
    struct host host;
    char ca[80];
    (void)state;
    write_file(file);
    assert_int_equal(setenv("HOME", "/home/ann", 1), 0);
    (void)snprintf(ca, sizeof ca, "%s/build.pem", folder);
    assert_true(host_find(&host, "build-7"));
    expect(&host, HOST_ENDPOINT, "tcp://10.0.0.7:7420", 3);
    expect(&host, HOST_CA, ca, 4);
    expect(&host, HOST_CERT, "/etc/cert.pem", 5);
    expect(&host, HOST_KEY, "/home/ann/key.pem", 6);
    expect(&host, HOST_USER, "ann", 13);
    host_close(&host);
    assert_true(host_find(&host, "a.lab"));
    expect(&host, HOST_ENDPOINT, "tls://a.lab.example.org", 8);
    expect(&host, HOST_USER, "builder", 9);
    host_close(&host);
    assert_true(host_find(&host, "unknown"));
    expect(&host, HOST_ENDPOINT, NULL, 0);
    expect(&host, HOST_USER, "all", 15);
    host_close(&host);
}

static void test_apply(void **state)
{
    struct host host;
    (void)state;
    write_file(file);
    assert_true(host_find(&host, "build-7"));
    struct options options = {.host = "build-7"};
    assert_true(host_apply(&host, &options));
    assert_string_equal(options.host, "tcp://10.0.0.7:7420");
    assert_string_equal(options.cert_file, "/etc/cert.pem");
    /* What is said on the command line outdoes it. */
    options = (struct options){.host = "build-7", .ca_file = "/x", .key_file = "/y"};
    assert_true(host_apply(&host, &options));
    assert_string_equal(options.ca_file, "/x");
    assert_string_equal(options.key_file, "/y");
    assert_null(options.cert_file);
    host_close(&host);
    assert_true(host_find(&host, "x.lab"));
    options = (struct options){.host = "x.lab"};
    assert_true(host_apply(&host, &options));
    assert_string_equal(options.pin, PIN);
    options = (struct options){.host = "x.lab", .ca_file = "/x"};
    assert_true(host_apply(&host, &options));
    assert_string_equal(options.pin, "");
    host_close(&host);
}

static void test_bad(void **state)
{
    static const struct {
        const char *text;
        const char *said;
    } cases[] = {
        {"[a]\nport = 1\n", ":2: unknown key 'port'"},
        {"user = x\n", ":1: no [HOST] before the key 'user'"},
        {"[a]\n\nnonsense\n", ":3: neither"},
        {"[a\nuser = x\n", ": no [HOST] before"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct host host;
        struct stderr_capture capture;
        write_file(cases[i].text);
        stderr_capture_begin(&capture);
        bool found = host_find(&host, "a");
        const char *told = stderr_capture_end(&capture);
        if (found || strstr(told, cases[i].said) == NULL)
            fail_msg("%s: %s", cases[i].text, told);
        host_close(&host);
    }
    char line[600];
    struct host host;
    struct stderr_capture capture;
    (void)snprintf(line, sizeof line, "[a]\nuser = %0500d\n", 0);
    write_file(line);
    stderr_capture_begin(&capture);
    assert_false(host_find(&host, "a"));
    assert_non_null(strstr(stderr_capture_end(&capture), ":2: too long a line"));
    host_close(&host);
    write_file("[a]\npin = x\n");
    assert_true(host_find(&host, "a"));
    struct options options = {.host = "a"};
    stderr_capture_begin(&capture);
    assert_false(host_apply(&host, &options));
    assert_non_null(strstr(stderr_capture_end(&capture), ":2: 'x' is not sha256:"));
    host_close(&host);
}

static void test_unreadable(void **state)
{
    struct host host;
    struct stderr_capture capture;
    (void)state;
    (void)unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    stderr_capture_begin(&capture);
    bool found = host_find(&host, "a");
    const char *told = stderr_capture_end(&capture);
    assert_false(found);
    assert_non_null(strstr(told, path));
    assert_non_null(strstr(told, "Is a directory"));
    host_close(&host);
    assert_int_equal(rmdir(path), 0);
    /* Its first page is not mapped, so that reading fails with EIO. */
    assert_int_equal(setenv("AFAR_HOSTS", "/proc/self/mem", 1), 0);
    stderr_capture_begin(&capture);
    found = host_find(&host, "a");
    told = stderr_capture_end(&capture);
    assert_false(found);
    assert_non_null(strstr(told, "/proc/self/mem"));
    host_close(&host);
    assert_int_equal(setenv("AFAR_HOSTS", path, 1), 0);
}

static void test_none(void **state)
{
    struct host host;
    (void)state;
    (void)unlink(path);
    assert_true(host_find(&host, "a"));
    host_close(&host);
    assert_int_equal(setenv("AFAR_HOSTS", "", 1), 0);
    assert_true(host_find(&host, "a"));
    assert_null(host.file);
    host_close(&host);
    assert_int_equal(setenv("AFAR_HOSTS", path, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_fits), cmocka_unit_test(test_apply), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_unreadable), cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
