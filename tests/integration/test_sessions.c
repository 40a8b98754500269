/* TLS sessions that outlive the process: when one is resumed, and when it must not be. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <afar/afar.h>

#include "base/clock.h"
#include "support/afard.h"

static struct afard server;
static char sessions[96];
static char file[384]; /* the one that is in there */

static int set_up(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tls://127.0.0.1:0", NULL};
    afard_start_tls(&server, args);
    (void)snprintf(sessions, sizeof sessions, "%s/of/mine", server.folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

static struct afar_credentials usual(void)
{
    return (struct afar_credentials)AFAR_CREDENTIALS_INIT(.ca_file = server.ca,
                                                          .cert_file = server.client_cert,
                                                          .key_file = server.client_key,
                                                          .session_folder = sessions);
}

/* As a process of its own would: the context is made for it and freed. Says whether it resumed. */
static bool resumes(const struct afar_credentials *credentials, const char *url)
{
    struct afar_context *context = NULL;
    struct afar_client *client = NULL;
    struct afar_error err;
    struct afar_pong pong = AFAR_PONG_INIT();
    if (afar_context_new(&context, credentials, &err) != AFAR_OK ||
        afar_connect(&client, context, url, 20000, &err) != AFAR_OK ||
        afar_ping(client, 20000, &pong, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    afar_context_free(context); /* before its client */
    bool resumed = afar_resumed(client);
    afar_close(client);
    return resumed;
}

static unsigned count_files(void)
{
    unsigned count = 0;
    DIR *dir = opendir(sessions);
    struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(file, sizeof file, "%s/%s", sessions, entry->d_name);
        count++;
    }
    if (dir != NULL)
        (void)closedir(dir);
    return count;
}

static int forget(void **state)
{
    (void)state;
    while (count_files() > 0)
        assert_int_equal(unlink(file), 0);
    return 0;
}

static void from_process_to_process(void **state)
{
    (void)state;
    struct stat found;
    struct afar_credentials credentials = usual();
    assert_false(resumes(&credentials, server.url[0]));
    for (int i = 0; i < 3; i++)
        assert_true(resumes(&credentials, server.url[0]));
    assert_int_equal(count_files(), 1);
    assert_int_equal(stat(file, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0600);
    assert_int_equal(stat(sessions, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0700);
    credentials.session_folder = NULL;
    assert_false(resumes(&credentials, server.url[0]));
}

/* `afar run` uses the time in which its command begins. */
static void while_the_command_runs(void **state)
{
    (void)state;
    struct program client;
    char folder[128];
    (void)snprintf(folder, sizeof folder, "AFAR_SESSIONS=%s", sessions);
    const char *environment[] = {folder, NULL};
    const char *argv[] = {"afar",        "run",
                          "--ca",        server.ca,
                          "--cert",      server.client_cert,
                          "--key",       server.client_key,
                          server.url[0], "--",
                          "cat",         NULL};
    program_start(&client, argv, environment);
    int64_t deadline_ms = clock_now_ms() + test_deadline_ms();
    while (count_files() == 0 && clock_now_ms() < deadline_ms)
        (void)poll(NULL, 0, 5);
    assert_int_equal(count_files(), 1);
    program_finish(&client, "there", 5);
    assert_string_equal(client.stdout_data, "there");
    assert_int_equal(program_exit_status(&client), 0);
    program_close(&client);
    const struct afar_credentials credentials = usual();
    assert_true(resumes(&credentials, server.url[0]));
}

/* The same bytes in a new file: who renews a certificate means another one. */
static void copy_file(const char *from, const char *to)
{
    struct program copier;
    const char *argv[] = {"cp", "-p", from, to, NULL};
    assert_int_equal(program_run(&copier, argv, NULL, 0), 0);
    program_close(&copier);
}

static void of_the_same_credentials_only(void **state)
{
    (void)state;
    char other[128];
    struct afar_credentials credentials = usual();
    assert_false(resumes(&credentials, server.url[0]));
    const char **fields[] = {&credentials.ca_file, &credentials.cert_file, &credentials.key_file};
    for (unsigned i = 0; i < 3; i++) {
        credentials = usual();
        (void)snprintf(other, sizeof other, "%s/other%u.pem", server.folder, i);
        copy_file(*fields[i], other);
        *fields[i] = other;
        assert_false(resumes(&credentials, server.url[0]));
        assert_true(resumes(&credentials, server.url[0]));
        char again[160];
        (void)snprintf(again, sizeof again, "%s.new", other);
        copy_file(other, again);
        assert_int_equal(rename(again, other), 0);
        assert_false(resumes(&credentials, server.url[0]));
    }
    credentials = usual();
    assert_true(resumes(&credentials, server.url[0]));
}

static bool nobody(void *user, const char *server_name, const char *pin)
{
    (void)user;
    (void)server_name;
    (void)pin;
    return false;
}

/* Who is asked whom to trust must be asked, whatever was trusted once. */
static void not_where_a_person_decides(void **state)
{
    (void)state;
    struct afar_credentials credentials = usual();
    credentials.trust = nobody;
    assert_false(resumes(&credentials, server.url[0])); /* a CA vouches for it */
    assert_false(resumes(&credentials, server.url[0]));
    assert_int_equal(count_files(), 0);
}

static void not_another_servers(void **state)
{
    (void)state;
    char url[600];
    char moved[400];
    struct afar_credentials credentials = usual();
    assert_false(resumes(&credentials, server.url[0]));
    assert_int_equal(count_files(), 1);
    (void)snprintf(moved, sizeof moved, "%s", file);
    (void)snprintf(url, sizeof url, "tls://localhost:%u", afard_port(&server, 0));
    assert_false(resumes(&credentials, url));
    assert_int_equal(count_files(), 2);
    /* Each file under the other's name. */
    const char *script = "cd \"$0\"; set -- *; mv \"$1\" .x; mv \"$2\" \"$1\"; mv .x \"$2\"";
    struct program shell;
    const char *argv[] = {"sh", "-euc", script, sessions, NULL};
    assert_int_equal(program_run(&shell, argv, NULL, 0), 0);
    program_close(&shell);
    assert_false(resumes(&credentials, server.url[0]));
    assert_false(resumes(&credentials, url));
    assert_true(resumes(&credentials, url));
}

static void not_a_file_that_others_could_know(void **state)
{
    (void)state;
    char other[400];
    struct afar_credentials credentials = usual();
    assert_false(resumes(&credentials, server.url[0]));
    assert_int_equal(count_files(), 1);
    const mode_t modes[] = {0640, 0620, 0604, 0602};
    for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(file, modes[i]), 0);
        assert_false(resumes(&credentials, server.url[0])); /* and makes a new one */
        assert_true(resumes(&credentials, server.url[0]));
    }
    (void)snprintf(other, sizeof other, "%s-aside", file);
    assert_int_equal(rename(file, other), 0);
    assert_int_equal(symlink(other, file), 0);
    assert_false(resumes(&credentials, server.url[0]));
    assert_int_equal(unlink(other), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(file, 65534, (gid_t)-1), 0);
        assert_false(resumes(&credentials, server.url[0]));
    }
}

static void a_damaged_file_is_no_harm(void **state)
{
    (void)state;
    struct afar_credentials credentials = usual();
    assert_false(resumes(&credentials, server.url[0]));
    assert_int_equal(count_files(), 1);
    const off_t sizes[] = {0, 1, 63, 64, 65, 80, 200, 700};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(truncate(file, sizes[i]), 0);
        assert_false(resumes(&credentials, server.url[0]));
        assert_true(resumes(&credentials, server.url[0]));
    }
    for (off_t at = 0; at < 700; at += 50) { /* as one sees it that another process is writing */
        char byte = 0;
        int fd = open(file, O_RDWR | O_CLOEXEC);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_int_equal(close(fd), 0);
        assert_false(resumes(&credentials, server.url[0]));
        assert_true(resumes(&credentials, server.url[0]));
    }
    assert_int_equal(truncate(file, 1 << 20), 0);
    assert_false(resumes(&credentials, server.url[0]));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0); /* nobody writes into it */
    assert_false(resumes(&credentials, server.url[0]));
}

static void a_folder_that_cannot_be_is_no_harm(void **state)
{
    (void)state;
    struct afar_credentials credentials = usual();
    credentials.session_folder = "/proc/nowhere/sessions";
    assert_false(resumes(&credentials, server.url[0]));
    credentials.session_folder = server.ca;
    assert_false(resumes(&credentials, server.url[0]));
    credentials.session_folder = "";
    assert_false(resumes(&credentials, server.url[0]));
}

static void what_is_old_goes(void **state)
{
    (void)state;
    char url[600];
    struct afar_credentials credentials = usual();
    assert_false(resumes(&credentials, server.url[0]));
    assert_int_equal(count_files(), 1);
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
    (void)snprintf(url, sizeof url, "tls://localhost:%u", afard_port(&server, 0));
    assert_false(resumes(&credentials, url));
    assert_int_equal(count_files(), 1);
    assert_true(resumes(&credentials, url));
}

static void put_old_file(const char *name, const char *text, mode_t mode)
{
    static const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    char path[400];
    (void)snprintf(path, sizeof path, "%s/%s", sessions, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* The user may name a folder that has other things in it, however old and whatever their names. */
static void what_is_not_ours_stays(void **state)
{
    (void)state;
#define HEX32 "0123456789abcdef0123456789abcdef"
    char url[600];
    struct afar_credentials credentials = usual();
    assert_false(resumes(&credentials, server.url[0]));
    assert_int_equal(count_files(), 1);
    assert_int_equal(unlink(file), 0);
    put_old_file("a-letter-to-somebody-whom-i-have-not-met.txt", HEX32 HEX32, 0600);
    put_old_file(HEX32, "a cache that names its files by MD5", 0600);
    put_old_file(HEX32 "01234567", HEX32 HEX32 "by SHA-1", 0600);
    put_old_file(HEX32 ".png", HEX32 HEX32, 0600);
    put_old_file(HEX32 "-old", HEX32 HEX32, 0600);
    put_old_file("0123456789ABCDEF0123456789ABCDEF", HEX32 HEX32, 0600);
    put_old_file("1" HEX32, HEX32 HEX32, 0600);
    put_old_file("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", HEX32 HEX32 "of several people", 0644);
    /* These two are ours: a session, and what was left of the making of one. */
    put_old_file("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", HEX32 HEX32 "secret", 0600);
    put_old_file("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-aZ09xy", HEX32, 0600);
    assert_int_equal(count_files(), 10);
    (void)snprintf(url, sizeof url, "tls://localhost:%u", afard_port(&server, 0));
    assert_false(resumes(&credentials, url));
    assert_int_equal(count_files(), 8 + 1);
    assert_true(resumes(&credentials, url));
}

/* The program: the second of two needs no key. AFAR_SESSIONS is set by the test's server. */
static void by_the_program(void **state)
{
    (void)state;
    char aside[160];
    struct program client;
    const char *argv[] = {"afar", "run", "-n", server.url[0], "--", "echo", "hello", NULL};
    assert_int_equal(program_run(&client, argv, NULL, 0), 0);
    program_close(&client);
    (void)snprintf(aside, sizeof aside, "%s.aside", server.client_key);
    assert_int_equal(program_run(&client, argv, NULL, 0), 0);
    assert_string_equal(client.stdout_data, "hello\n");
    program_close(&client);
    assert_int_equal(setenv("AFAR_SESSIONS", "", 1), 0);
    assert_int_equal(rename(server.client_key, aside), 0);
    assert_int_equal(program_run(&client, argv, NULL, 0), 125);
    assert_non_null(strstr(client.stderr_data, "cannot read the key file"));
    program_close(&client);
    assert_int_equal(rename(aside, server.client_key), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(from_process_to_process, forget),
        cmocka_unit_test_teardown(while_the_command_runs, forget),
        cmocka_unit_test_teardown(of_the_same_credentials_only, forget),
        cmocka_unit_test_teardown(not_where_a_person_decides, forget),
        cmocka_unit_test_teardown(not_another_servers, forget),
        cmocka_unit_test_teardown(not_a_file_that_others_could_know, forget),
        cmocka_unit_test_teardown(a_damaged_file_is_no_harm, forget),
        cmocka_unit_test_teardown(a_folder_that_cannot_be_is_no_harm, forget),
        cmocka_unit_test_teardown(what_is_old_goes, forget),
        cmocka_unit_test_teardown(what_is_not_ours_stays, forget),
        cmocka_unit_test(by_the_program),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
