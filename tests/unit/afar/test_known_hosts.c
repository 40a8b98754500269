#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "afar/known_hosts.h"
#include "support/stderr_capture.h"

#define PIN_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define PIN_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

enum { TEXT_BYTES = 65536, PATH_BYTES = 96 };

struct fixture {
    char folder[48];
    char file[PATH_BYTES];
};

static int set_up(void **state)
{
    static struct fixture fixture;
    (void)snprintf(fixture.folder, sizeof fixture.folder, "/tmp/afar-known-XXXXXX");
    if (mkdtemp(fixture.folder) == NULL)
        return -1;
    (void)snprintf(fixture.file, sizeof fixture.file, "%s/known_hosts", fixture.folder);
    *state = &fixture;
    return 0;
}

/* Also that nothing is left behind but the two files that there should be. */
static int tear_down(void **state)
{
    const struct fixture *fixture = *state;
    static const char *const expected[] = {"known_hosts", "known_hosts.lock", "kept"};
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", fixture->folder, expected[i]);
        (void)unlink(path);
    }
    return rmdir(fixture->folder);
}

static void write_file(const struct fixture *fixture, const char *text)
{
    FILE *file = fopen(fixture->file, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(fixture->file, 0600), 0);
}

static void assert_file(const struct fixture *fixture, const char *expected)
{
    static char text[TEXT_BYTES];
    FILE *file = fopen(fixture->file, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, expected);
}

static enum known_hosts_answer ask(const struct fixture *fixture, const char *name, const char *pin)
{
    struct known_host known;
    return known_hosts_look_up(fixture->file, name, pin, &known);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void test_names(void **state)
{
    static const struct {
        const char *url;
        const char *name; /* NULL: none */
    } cases[] = {
        {"build-7", "build-7:7420"},
        {"Build-7.Example.ORG", "build-7.example.org:7420"},
        {"build-7:1", "build-7:1"},
        {"build-7:007421", "build-7:7421"},
        {"build-7:0", "build-7:0"},
        {"tls://build-7", "build-7:7420"},
        {"TLS://build-7:8/", "build-7:8"},
        {"build-7?protocol=headed", "build-7:7420"},
        {"tls://build-7:8?protocol=headed", "build-7:8"},
        {"[::1]", "[::1]:7420"},
        {"tls://[FE80::1%eth0]:9/?protocol=sized", "[fe80::1%eth0]:9"},
        {"Build-7.", "build-7:7420"},
        {"build-7.:1", "build-7:1"},
        {"[0:0:0:0:0:0:0:1]", "[::1]:7420"},
        {"[2001:DB8:0::00ff]:1", "[2001:db8::ff]:1"},
        {"[fe80:0:0::1%eth0]", "[fe80::1%eth0]:7420"},
        {"[::ffff:127.0.0.1]:5", "127.0.0.1:5"},
        {"127.1:5", "127.0.0.1:5"},
        {"0x7f000001:5", "127.0.0.1:5"},
        {".", ".:7420"},
        {"[]", NULL},
        {"[x]", NULL},
        {"tcp://build-7", NULL},
        {"unix:///run/afard.sock", NULL},
        {"", NULL},
        {"tls://", NULL},
        {":7420", NULL},
        {"::1", NULL},
        {"[::1", NULL},
        {"[::1]x", NULL},
        {"[::1]x1", NULL},
        {"build-7:", NULL},
        {"build-7:x", NULL},
        {"a b", NULL},
        {"a\nb:1", NULL},
        {"#a", NULL},
    };
    char name[KNOWN_HOSTS_NAME_BYTES];
    char longest[2 * KNOWN_HOSTS_NAME_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool named = known_hosts_name(cases[i].url, name);
        if (named != (cases[i].name != NULL) || (named && strcmp(name, cases[i].name) != 0))
            fail_msg("'%s' gives '%s'", cases[i].url, named ? name : "nothing");
    }
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_false(known_hosts_name(longest, name));
    longest[255] = '\0';
    assert_true(known_hosts_name(longest, name));
}

/* ---- looking up ------------------------------------------------------------------------------ */

static void test_answers(void **state)
{
    const struct fixture *fixture = *state;
    struct known_host known;
    assert_int_equal(ask(fixture, "a:1", PIN_A), KNOWN_HOSTS_NEVER); /* no file */
    write_file(fixture, "# servers\n\n  a:1\tsha256:" PIN_A "  # mine \n"
                        "A:2 sha256:" PIN_A "\r\n"
                        "#a:3 sha256:" PIN_A "\n"
                        "a:2 sha256:" PIN_B "\n"
                        "[::1]:1 sha256:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
                        "BBBBB\n"
                        "[0:0::0:2]:1 sha256:" PIN_A "\n"
                        "C.:1 sha256:" PIN_A "\n");
    assert_int_equal(ask(fixture, "a:1", PIN_A), KNOWN_HOSTS_SAME);
    assert_int_equal(known_hosts_look_up(fixture->file, "a:1", PIN_B, &known), KNOWN_HOSTS_OTHER);
    assert_int_equal(known.line, 3);
    assert_string_equal(known.pin, PIN_A);
    assert_int_equal(ask(fixture, "a:2", PIN_A), KNOWN_HOSTS_SAME);
    assert_int_equal(known_hosts_look_up(fixture->file, "a:2", PIN_B, &known), KNOWN_HOSTS_SAME);
    assert_int_equal(known.line, 6);
    assert_int_equal(ask(fixture, "a:3", PIN_A), KNOWN_HOSTS_NEVER);
    assert_int_equal(ask(fixture, "a:11", PIN_A), KNOWN_HOSTS_NEVER);
    assert_int_equal(ask(fixture, "aa:1", PIN_A), KNOWN_HOSTS_NEVER);
    assert_int_equal(ask(fixture, ":1", PIN_A), KNOWN_HOSTS_NEVER);
    assert_int_equal(ask(fixture, "[::1]:1", PIN_B), KNOWN_HOSTS_SAME);
    assert_int_equal(ask(fixture, "[::2]:1", PIN_A), KNOWN_HOSTS_SAME);
    assert_int_equal(ask(fixture, "c:1", PIN_A), KNOWN_HOSTS_SAME);
}

/* As some editors begin a file. */
static void test_a_byte_order_mark(void **state)
{
    const struct fixture *fixture = *state;
    size_t removed = 0;
    write_file(fixture, "\xEF\xBB\xBF"
                        "a:1 sha256:" PIN_A "\n");
    assert_int_equal(ask(fixture, "a:1", PIN_A), KNOWN_HOSTS_SAME);
    assert_int_equal(ask(fixture, "a:1", PIN_B), KNOWN_HOSTS_OTHER);
    assert_true(known_hosts_add(fixture->file, "b:1", PIN_B));
    assert_file(fixture, "\xEF\xBB\xBF"
                         "a:1 sha256:" PIN_A "\nb:1 sha256:" PIN_B "\n");
    assert_true(known_hosts_remove(fixture->file, "a:1", &removed));
    assert_int_equal(removed, 1);
    assert_file(fixture, "\xEF\xBB\xBF"
                         "b:1 sha256:" PIN_B "\n");
}

/* That the file is not there is one thing; that it cannot be seen is another. */
static void test_links_that_lead_nowhere(void **state)
{
    const struct fixture *fixture = *state;
    struct stderr_capture capture;
    char path[PATH_BYTES + 16];
    assert_int_equal(symlink("/nowhere/known_hosts", fixture->file), 0);
    stderr_capture_begin(&capture);
    assert_int_equal(ask(fixture, "a:1", PIN_A), KNOWN_HOSTS_BROKEN);
    assert_non_null(strstr(stderr_capture_end(&capture), "cannot read"));
    (void)snprintf(path, sizeof path, "%s/known_hosts", fixture->file); /* the link as a folder */
    stderr_capture_begin(&capture);
    struct known_host known;
    assert_int_equal(known_hosts_look_up(path, "a:1", PIN_A, &known), KNOWN_HOSTS_BROKEN);
    assert_non_null(strstr(stderr_capture_end(&capture), "cannot read"));
    assert_int_equal(unlink(fixture->file), 0);
    assert_int_equal(known_hosts_look_up(path, "a:1", PIN_A, &known), KNOWN_HOSTS_NEVER);
}

/* A file that is not what it should be is no reason to take a server for unknown. */
static void test_broken_files(void **state)
{
    static const char *const bad[] = {
        "a:1\n",
        "a:1 " PIN_A "\n",
        "a:1 sha256:aa\n",
        "a:1 sha256:" PIN_A "a\n",
        "a:1 sha256:" PIN_A " b:1\n",
        "a sha256:" PIN_A "\n",
        "a: sha256:" PIN_A "\n",
        ":1 sha256:" PIN_A "\n",
        "2001:db8::1:7420 sha256:" PIN_A "\n", /* without brackets it could be another */
        "a:1 sha256:" PIN_A "a:2 sha256:" PIN_A "\n",
        "a:1 md5:" PIN_A "\n",
    };
    const struct fixture *fixture = *state;
    struct stderr_capture capture;
    char text[512];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(text, sizeof text, "# here\n%s", bad[i]);
        write_file(fixture, text);
        stderr_capture_begin(&capture);
        enum known_hosts_answer answer = ask(fixture, "b:1", PIN_A);
        bool added = known_hosts_add(fixture->file, "b:1", PIN_A);
        const char *told = stderr_capture_end(&capture);
        if (answer != KNOWN_HOSTS_BROKEN || added || strstr(told, "known_hosts:2: ") == NULL)
            fail_msg("'%s': %d, %s", bad[i], (int)answer, told);
        assert_file(fixture, text);
    }
}

static void test_files_that_are_not_ours(void **state)
{
    const struct fixture *fixture = *state;
    struct stderr_capture capture;
    static const mode_t modes[] = {0620, 0602, 0666};
    write_file(fixture, "a:1 sha256:" PIN_A "\n");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(fixture->file, modes[i]), 0);
        stderr_capture_begin(&capture);
        assert_int_equal(ask(fixture, "a:1", PIN_A), KNOWN_HOSTS_BROKEN);
        assert_non_null(strstr(stderr_capture_end(&capture), "changed by others"));
    }
    assert_int_equal(chmod(fixture->file, 0644), 0);
    assert_int_equal(ask(fixture, "a:1", PIN_A), KNOWN_HOSTS_SAME);

    assert_int_equal(unlink(fixture->file), 0);
    assert_int_equal(mkfifo(fixture->file, 0600), 0);
    stderr_capture_begin(&capture);
    assert_int_equal(ask(fixture, "a:1", PIN_A), KNOWN_HOSTS_BROKEN);
    assert_non_null(strstr(stderr_capture_end(&capture), "not a plain file"));

    assert_int_equal(unlink(fixture->file), 0);
    write_file(fixture, "");
    assert_int_equal(truncate(fixture->file, KNOWN_HOSTS_FILE_BYTES + 1), 0);
    stderr_capture_begin(&capture);
    assert_int_equal(ask(fixture, "a:1", PIN_A), KNOWN_HOSTS_BROKEN);
    assert_non_null(strstr(stderr_capture_end(&capture), "too large"));
    assert_int_equal(truncate(fixture->file, 10), 0);
    stderr_capture_begin(&capture);
    assert_int_equal(ask(fixture, "a:1", PIN_A), KNOWN_HOSTS_BROKEN);
    assert_non_null(strstr(stderr_capture_end(&capture), "NUL"));
}

/* ---- changing -------------------------------------------------------------------------------- */

static void test_add(void **state)
{
    const struct fixture *fixture = *state;
    struct stat info;
    struct stderr_capture capture;
    assert_true(known_hosts_add(fixture->file, "a:1", PIN_A));
    assert_file(fixture, "a:1 sha256:" PIN_A "\n");
    assert_int_equal(stat(fixture->file, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_true(known_hosts_add(fixture->file, "a:1", PIN_A)); /* not twice */
    assert_file(fixture, "a:1 sha256:" PIN_A "\n");
    stderr_capture_begin(&capture);
    assert_false(known_hosts_add(fixture->file, "a:1", PIN_B));
    assert_non_null(strstr(stderr_capture_end(&capture), "known_hosts:1: "));
    assert_file(fixture, "a:1 sha256:" PIN_A "\n");

    write_file(fixture, "# no newline at the end");
    assert_true(known_hosts_add(fixture->file, "a:1", PIN_A));
    assert_file(fixture, "# no newline at the end\na:1 sha256:" PIN_A "\n");
}

static void test_remove(void **state)
{
    const struct fixture *fixture = *state;
    size_t removed = 1;
    assert_true(known_hosts_remove(fixture->file, "a:1", &removed)); /* no file */
    assert_int_equal(removed, 0);
    assert_int_equal(access(fixture->file, F_OK), -1);
    write_file(fixture, "# a:1\na:1 sha256:" PIN_A "\n\nb:1 sha256:" PIN_A "\nA:1 sha256:" PIN_B
                        " # old\nbroken\na:1 sha256:" PIN_B);
    assert_true(known_hosts_remove(fixture->file, "c:1", &removed));
    assert_int_equal(removed, 0);
    assert_true(known_hosts_remove(fixture->file, "a:1", &removed));
    assert_int_equal(removed, 3);
    assert_file(fixture, "# a:1\n\nb:1 sha256:" PIN_A "\nbroken\n");
}

/* Somebody's file in a repository stays there. */
static void test_a_link(void **state)
{
    const struct fixture *fixture = *state;
    struct fixture kept;
    struct stat info;
    (void)snprintf(kept.file, sizeof kept.file, "%s/kept", fixture->folder);
    write_file(&kept, "# kept\n");
    assert_int_equal(symlink("kept", fixture->file), 0);
    assert_true(known_hosts_add(fixture->file, "a:1", PIN_A));
    assert_int_equal(lstat(fixture->file, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_file(&kept, "# kept\na:1 sha256:" PIN_A "\n");
}

static void test_no_place_for_it(void **state)
{
    const struct fixture *fixture = *state;
    char path[2 * PATH_BYTES];
    struct stderr_capture capture;
    write_file(fixture, "");
    (void)snprintf(path, sizeof path, "%s/below/known_hosts", fixture->file);
    stderr_capture_begin(&capture);
    assert_false(known_hosts_add(path, "a:1", PIN_A));
    assert_non_null(strstr(stderr_capture_end(&capture), "cannot make the folder"));
}

enum { WRITERS = 6, EACH = 5 };

static _Noreturn void write_many(const struct fixture *fixture, int writer)
{
    char name[KNOWN_HOSTS_NAME_BYTES];
    for (int i = 0; i < EACH; i++) {
        (void)snprintf(name, sizeof name, "host-%d-%d:1", writer, i);
        if (!known_hosts_add(fixture->file, name, PIN_A) ||
            ask(fixture, name, PIN_A) != KNOWN_HOSTS_SAME)
            _exit(1);
    }
    _exit(0);
}

static void test_many_at_once(void **state)
{
    const struct fixture *fixture = *state;
    char name[KNOWN_HOSTS_NAME_BYTES];
    pid_t writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = fork();
        assert_true(writers[i] >= 0);
        if (writers[i] == 0)
            write_many(fixture, i);
    }
    for (int i = 0; i < WRITERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(writers[i], &status, 0), writers[i]);
        assert_int_equal(status, 0);
    }
    for (int i = 0; i < WRITERS * EACH; i++) {
        (void)snprintf(name, sizeof name, "host-%d-%d:1", i / EACH, i % EACH);
        assert_int_equal(ask(fixture, name, PIN_A), KNOWN_HOSTS_SAME);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names),
        TEST(test_answers),
        TEST(test_a_byte_order_mark),
        TEST(test_links_that_lead_nowhere),
        TEST(test_broken_files),
        TEST(test_files_that_are_not_ours),
        TEST(test_add),
        TEST(test_remove),
        TEST(test_a_link),
        TEST(test_no_place_for_it),
        TEST(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
