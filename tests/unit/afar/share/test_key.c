/* What two clients must have in common to share a connection. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "afar/share/key.h"
#include "support/folder.h"

#define ONE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TWO "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static char folder[] = "/tmp/afar-key-XXXXXX";
static char ca[64];
static char cert[64];
static char known[64];

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    (void)snprintf(cert, sizeof cert, "%s/cert.pem", folder);
    (void)snprintf(known, sizeof known, "%s/afar/known_hosts", folder);
    char in[64];
    (void)snprintf(in, sizeof in, "%s/afar", folder);
    (void)setenv("HOME", folder, 1);
    (void)setenv("XDG_CONFIG_HOME", folder, 1);
    static const char *const names[] = {"AFAR_CA",    "AFAR_CERT",    "AFAR_KEY",     "AFAR_PIN",
                                        "AFAR_HOSTS", "SSL_CERT_DIR", "SSL_CERT_FILE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unsetenv(names[i]);
    write_file(ca, "ca");
    write_file(cert, "cert");
    return mkdir(in, 0700);
}

static int tear_down(void **state)
{
    (void)state;
    return folder_remove(folder);
}

static bool make(struct share_key *key, const struct options *options)
{
    struct remote remote;
    assert_true(remote_open(&remote, options, NULL));
    bool made = share_key_make(key, &remote);
    remote_close(&remote);
    return made;
}

static struct options usual(void)
{
    return (struct options){.host = "build-7", .ca_file = ca, .cert_file = cert, .share_ms = -1};
}

/* Whether both have one key, and the names agree with that. */
static bool same(const struct options *one, const struct options *other)
{
    struct share_key keys[2];
    assert_true(make(&keys[0], one));
    assert_true(make(&keys[1], other));
    bool equal = share_key_equal(&keys[0], &keys[1]);
    assert_int_equal(equal, strcmp(keys[0].name, keys[1].name) == 0);
    assert_int_equal(strlen(keys[0].name), SHARE_NAME_BYTES - 1);
    share_key_close(&keys[0]);
    share_key_close(&keys[1]);
    return equal;
}

static void what_is_shown_and_demanded_is_in_it(void **state)
{
    (void)state;
    const struct options mine = usual();
    struct options other = usual();
    assert_true(same(&mine, &other));
    other.host = "tls://build-7"; /* which is the same */
    assert_true(same(&mine, &other));
    other.connect_timeout_ms = 7;
    assert_true(same(&mine, &other));
    other.host = "build-8";
    assert_false(same(&mine, &other));
    other.host = "build-7:7421";
    assert_false(same(&mine, &other));
    other.host = "tcp://build-7";
    assert_false(same(&mine, &other));
    other = usual();
    other.ca_file = cert;
    assert_false(same(&mine, &other));
    other = usual();
    other.cert_file = ca;
    assert_false(same(&mine, &other));
    other = usual();
    other.key_file = ca;
    assert_false(same(&mine, &other));
    other = usual();
    memcpy(other.pin, ONE, sizeof ONE);
    assert_false(same(&mine, &other));
    (void)setenv("SSL_CERT_FILE", ca, 1);
    struct share_key key;
    struct share_key before;
    assert_true(make(&key, &mine));
    (void)unsetenv("SSL_CERT_FILE");
    assert_true(make(&before, &mine));
    assert_false(share_key_equal(&key, &before));
    share_key_close(&key);
    share_key_close(&before);
}

static void a_file_that_was_replaced_is_another(void **state)
{
    (void)state;
    const struct options mine = usual();
    struct share_key before;
    struct share_key after;
    assert_true(make(&before, &mine));
    const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = 1700000000}};
    assert_int_equal(utimensat(AT_FDCWD, cert, times, 0), 0);
    assert_true(make(&after, &mine));
    assert_false(share_key_equal(&before, &after));
    share_key_close(&before);
    share_key_close(&after);
}

/* The lines of this server, and of no other. */
static void the_known_keys_are_in_it(void **state)
{
    (void)state;
    const struct options mine = {.host = "build-7", .share_ms = -1};
    static const char *const texts[] = {
        "", "other:7420 sha256:" ONE "\n", "build-7:7420 sha256:" ONE "\n",
        "build-7:7420 sha256:" ONE "\nbuild-7:7420 sha256:" TWO "\n",
        "build-7:7420 sha256:" TWO "\n"};
    struct share_key keys[5];
    for (size_t i = 0; i < 5; i++) {
        write_file(known, texts[i]);
        assert_true(make(&keys[i], &mine));
    }
    assert_true(share_key_equal(&keys[0], &keys[1]));
    for (size_t i = 2; i < 5; i++)
        assert_false(share_key_equal(&keys[i - 1], &keys[i]));
    assert_false(share_key_equal(&keys[2], &keys[4]));
    for (size_t i = 0; i < 5; i++)
        share_key_close(&keys[i]);
    assert_int_equal(unlink(known), 0);
}

static void some_servers_are_not_shared(void **state)
{
    (void)state;
    static const char *const urls[] = {"unix:///run/afard.sock", "tcp://build-7?protocol=sized",
                                       "udp://build-7?protocol=upper", "tls://a\nb"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct share_key key;
        const struct options options = {.host = urls[i], .ca_file = ca, .share_ms = -1};
        assert_false(make(&key, &options));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_shown_and_demanded_is_in_it),
        cmocka_unit_test(a_file_that_was_replaced_is_another),
        cmocka_unit_test(the_known_keys_are_in_it),
        cmocka_unit_test(some_servers_are_not_shared),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
