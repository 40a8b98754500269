/* certs/make-certs from outside: what it makes, what it keeps, what it refuses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/afar-test-make-certs-XXXXXX";
static char said[16384]; /* by the last command, on stdout and stderr */

/* Runs a line of shell in which $M is the script and $D the folder; returns its exit status. */
static int sh(const char *line)
{
    char command[2048];
    size_t used = 0;

    (void)snprintf(command, sizeof command, "M=certs/make-certs; D=%s/c; { %s\n} 2>&1", folder,
                   line);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    used = fread(said, 1, sizeof said - 1, pipe);
    said[used] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void must(const char *line)
{
    if (sh(line) != 0)
        fail_msg("%s: %s", line, said);
}

static void must_fail(const char *line, const char *why)
{
    if (sh(line) == 0)
        fail_msg("%s: it did not fail", line);
    if (strstr(said, why) == NULL)
        fail_msg("%s: \"%s\" is not in \"%s\"", line, why, said);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return sh("rmdir \"${D%/c}\"");
}

static int clean(void **state)
{
    (void)state;
    return sh("rm -rf \"$D\"");
}

static void test_first_run(void **state)
{
    (void)state;
    static const char *const keys[] = {"ca-key.pem", "server-key.pem", "client-key.pem"};
    char path[128];

    must("$M $D --server build7.example.org --server 10.0.0.7 --server '*.w.example.org'");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct stat file;
        (void)snprintf(path, sizeof path, "%s/c/%s", folder, keys[i]);
        assert_int_equal(stat(path, &file), 0);
        assert_int_equal(file.st_mode & 07777, 0600);
    }
    must("openssl verify -x509_strict -purpose sslserver -CAfile $D/ca.pem $D/server.pem");
    must("openssl verify -x509_strict -purpose sslclient -CAfile $D/ca.pem $D/client.pem");
    /* Neither serves for the other's use. */
    must_fail("openssl verify -purpose sslclient -CAfile $D/ca.pem $D/server.pem", "purpose");
    must_fail("openssl verify -purpose sslserver -CAfile $D/ca.pem $D/client.pem", "purpose");
    must("openssl x509 -in $D/server.pem -noout -text");
    static const char *const contents[] = {
        "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, "
        "DNS:build7.example.org, IP Address:10.0.0.7, DNS:*.w.example.org",
        "NIST CURVE: P-256",
        "Basic Constraints: critical",
        "Key Usage: critical",
        "Subject Key Identifier",
        "Authority Key Identifier",
    };
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        if (strstr(said, contents[i]) == NULL)
            fail_msg("\"%s\" is not in\n%s", contents[i], said);
    }
    must("openssl x509 -in $D/ca.pem -noout -text");
    assert_non_null(strstr(said, "CA:TRUE, pathlen:0"));
    must("test -z \"$(ls -A $D | grep make-certs)\""); /* nothing of its own left behind */
}

static void test_running_again_changes_nothing(void **state)
{
    (void)state;
    must("$M $D --server a.example.org && cat $D/* | sha256sum > $D.sum");
    must("$M $D && cat $D/* | sha256sum | cmp - $D.sum");
    must("$M $D --server a.example.org && cat $D/* | sha256sum | cmp - $D.sum");
    must("$M $D --client client && cat $D/* | sha256sum | cmp - $D.sum; rm $D.sum");
    must("$M $D --quiet");
    assert_string_equal(said, "");
}

static void test_more_clients_by_the_same_ca(void **state)
{
    (void)state;
    must("$M $D && cp $D/ca.pem $D/ca.before && rm $D/server*");
    must("$M $D --client alice --client bob@example.org --days 7");
    must("cmp $D/ca.pem $D/ca.before");
    must("openssl verify -purpose sslclient -CAfile $D/ca.before $D/alice.pem "
         "$D/bob@example.org.pem");
    must("openssl x509 -in $D/alice.pem -noout -subject -checkend 604000");
    assert_non_null(strstr(said, "CN = alice"));
    must_fail("openssl x509 -in $D/alice.pem -noout -checkend 605000", "will expire");
    must("! test -e $D/server.pem"); /* it was moved to its server, and is not asked for */
}

static void test_renewing_keeps_the_old(void **state)
{
    (void)state;
    must("$M $D && cp $D/client-key.pem $D/before && $M $D --client client --renew");
    must("cmp $D/client-key.pem.old $D/before && ! cmp -s $D/client-key.pem $D/before");
    must("test $(stat -c %a $D/client-key.pem) = 600");
    must("! test -e $D/server.pem.old");
    must("openssl verify -CAfile $D/ca.pem $D/client.pem");
    must_fail("$M $D --renew", "name what to renew");
    must_fail("$M $D --server new.example.org", "not for new.example.org; --renew replaces it");
    must("$M $D --server new.example.org --renew && test -e $D/server.pem.old");
    must("openssl x509 -in $D/server.pem -noout -checkhost new.example.org | grep 'does match'");
}

static void test_a_ca_is_never_replaced(void **state)
{
    (void)state;
    must("$M $D && mv $D/ca-key.pem $D/away");
    must_fail("$M $D --client alice", "is there without its key ca-key.pem");
    must("! test -e $D/ca-key.pem && mv $D/away $D/ca-key.pem && mv $D/ca.pem $D/away");
    must_fail("$M $D --client alice", "is there without its ca.pem");
    must("mv $D/away $D/ca.pem && $M $D --client alice");
}

/* In a home and an /etc of the test's own; HOST is this machine, by an ssh that only says whom it
 * was asked for. */
#define PLACES                                                                                \
    "export HOME=$D/home DESTDIR=$D/root PATH=$D/bin:$PATH; unset XDG_CONFIG_HOME;"           \
    "mkdir -p $D/bin $D/home; printf '#!/bin/sh\\necho \"$1\" >>%s\\nshift\\nexec \"$@\"\\n'" \
    " $D/asked >$D/bin/ssh; chmod +x $D/bin/ssh;"

static void test_files_in_their_places(void **state)
{
    (void)state;
    must(PLACES "$M $D/ca --server build7.example.org --client alice --install");
    must("cd $D/home/.config/afar && stat -c %a . key.pem cert.pem ca.pem | xargs");
    assert_string_equal(said, "700 600 644 644\n");
    must("cd $D/root/etc/afar && stat -c %a . server-key.pem server.pem ca.pem | xargs && ls -A | "
         "xargs");
    assert_string_equal(said, "755 600 644 644\nca.pem server-key.pem server.pem\n");
    must("cd $D && cmp home/.config/afar/key.pem ca/alice-key.pem && cmp "
         "root/etc/afar/server-key.pem "
         "ca/server-key.pem && cmp root/etc/afar/ca.pem ca/ca.pem");
    /* Again: nothing changes; another's files are not replaced without a word. */
    must(PLACES "$M $D/ca --client alice --install");
    must_fail(PLACES "$M $D/ca --client bob --install", "' is there already, and another");
    must("cmp $D/home/.config/afar/key.pem $D/ca/alice-key.pem && ls -A $D/home/.config/afar | "
         "xargs");
    assert_string_equal(said, "ca.pem cert.pem key.pem\n");
    must(PLACES "$M $D/ca --client bob --renew --install");
    must("cd $D && cmp home/.config/afar/key.pem ca/bob-key.pem && cmp "
         "home/.config/afar/key.pem.old ca/alice-key.pem");
}

static void test_files_on_another_host(void **state)
{
    (void)state;
    must(PLACES
         "$M $D/ca --client 'bob@example.org' --install-on bob@laptop && "
         "$M $D/ca --server b7 --renew --install-on root@b7 --quiet && cat $D/asked | xargs");
    assert_non_null(strstr(said, "bob@laptop root@b7\n"));
    must("cd $D && cmp home/.config/afar/cert.pem ca/bob@example.org.pem && cmp "
         "root/etc/afar/server.pem ca/server.pem");
    must_fail(PLACES
              "printf '#!/bin/sh\nexit 255\n' >$D/bin/ssh; $M $D/ca --client x --install-on h",
              "not installed on h");
    must("! grep -r 'PRIVATE KEY' $D/asked");
}

/* A client of several CAs has them in one file; one of another CA keeps that. */
static void test_the_ca_of_a_place(void **state)
{
    (void)state;
    must(PLACES "$M $D/ca --client a --install && $M $D/other --client b && "
                "cat $D/other/ca.pem >>$HOME/.config/afar/ca.pem && "
                "$M $D/other --client b --renew --install");
    must("test $(grep -c BEGIN $D/home/.config/afar/ca.pem) = 2");
    must(PLACES "$M $D/third --client c && cat $D/home/.config/afar/* | sha256sum >$D/sum");
    must_fail(PLACES "$M $D/third --client c --renew --install", "without this CA");
    must("cat $D/home/.config/afar/* | sha256sum | cmp - $D/sum");
}

static void test_bad_usage(void **state)
{
    (void)state;
    must_fail("$M", "usage: make-certs DIR");
    must_fail("$M $D --what", "unknown option '--what'");
    must_fail("$M $D --days", "--days needs a value");
    must_fail("$M $D --days 0", "is not a number of days");
    must_fail("$M $D --days 1x", "is not a number of days");
    must_fail("$M $D --server 'a,URI:x'", "is not a name");
    must_fail("$M $D --server ''", "is not a name");
    must_fail("$M $D --client ../x", "is not a name");
    must_fail("$M $D --client ca", "cannot be a client's name");
    must_fail("$M $D --client server-key", "cannot be a client's name");
    must_fail("$M $D --ca-name 'a/b'", "--ca-name");
    must_fail("$M $D more", "one folder only");
    must_fail("$M $D --install", "name what to install");
    must_fail("$M $D --client a --client b --install", "one client at a time");
    must_fail("$M $D --client a --server b --install-on h", "either a server or a client");
    must_fail("$M $D --client a --install-on -h", "is not a host");
    must_fail("$M /proc/nowhere", "cannot make the folder");
    must("! test -e $D");
    must("$M --help");
    assert_non_null(strstr(said, "examples:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_first_run, clean),
        cmocka_unit_test_teardown(test_running_again_changes_nothing, clean),
        cmocka_unit_test_teardown(test_more_clients_by_the_same_ca, clean),
        cmocka_unit_test_teardown(test_renewing_keeps_the_old, clean),
        cmocka_unit_test_teardown(test_a_ca_is_never_replaced, clean),
        cmocka_unit_test_teardown(test_files_in_their_places, clean),
        cmocka_unit_test_teardown(test_files_on_another_host, clean),
        cmocka_unit_test_teardown(test_the_ca_of_a_place, clean),
        cmocka_unit_test_teardown(test_bad_usage, clean),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
