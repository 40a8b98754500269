#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "support/alloc_fault.h"

// wrap: malloc calloc realloc strdup

/* The longest line that inih's buffer of 200 bytes holds. */
enum { LINE_MAX_BYTES = 199 };

struct place {
    char folder[64];
    char path[96];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    if (place == NULL)
        return -1;
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/afar-config-XXXXXX");
    if (mkdtemp(place->folder) == NULL) {
        free(place);
        return -1;
    }
    (void)snprintf(place->path, sizeof place->path, "%s/afard.conf", place->folder);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    (void)unlink(place->path);
    int failed = rmdir(place->folder);
    free(place);
    return failed;
}

static void write_file(const struct place *place, const void *text, size_t size)
{
    FILE *file = fopen(place->path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* The file must be taken; the caller closes *config. */
static void load(const struct place *place, struct config *config, const char *text)
{
    struct afar_error err = {.code = AFAR_OK};
    write_file(place, text, strlen(text));
    config_init(config);
    if (config_load(config, place->path, &err) != AFAR_OK)
        fail_msg("%s", err.message);
}

/* The file must be refused with the line and this message, and without a place for one too. */
static void assert_bytes_refused(const struct place *place, const void *text, size_t size,
                                 unsigned line, const char *message)
{
    struct config config;
    struct afar_error err = {.code = AFAR_OK};
    char expected[AFAR_ERROR_MESSAGE_BYTES];
    (void)snprintf(expected, sizeof expected, "%s:%u: %s", place->path, line, message);
    write_file(place, text, size);
    config_init(&config);
    assert_int_equal(config_load(&config, place->path, &err), AFAR_EINVAL);
    assert_string_equal(err.message, expected);
    config_close(&config);
    config_init(&config);
    assert_int_equal(config_load(&config, place->path, NULL), AFAR_EINVAL);
    config_close(&config);
}

static void assert_refused(const struct place *place, const char *text, unsigned line,
                           const char *message)
{
    assert_bytes_refused(place, text, strlen(text), line, message);
}

static void test_every_key(void **state)
{
    struct config config;
    load(*state, &config,
         "# a comment\n"
         "; another\n"
         "[server]\n"
         "listen = tls://[::]:1?protocol=upper\n"
         "listen = unix:///run/afar.sock\n"
         "allow_plaintext = yes\n"
         "tls_cert = /c c.pem\n"
         "tls_key=/k.pem\n"
         "tls_client_ca = /a.pem\n"
         "tls_allow_12 = true\n"
         "log_level = debug\n"
         "log_format = json\n"
         "workers = 1\n"
         "max_connections = 2\n"
         "max_jobs = 3\n"
         "handshake_timeout_ms = 4\n"
         "idle_timeout_ms = 5\n"
         "write_timeout_ms = 6\n"
         "job_timeout_ms = 7\n"
         "kill_grace_ms = 8\n"
         "linger_ms = 9\n"
         "linger_max_ms = 10\n"
         "drain_ms = 11\n"
         "output_log_bytes = 300000\n"
         "control_queue_bytes = 5000\n"
         "request_bytes = 12\n"
         "collect_memory_bytes = 6000\n"
         "collect_max_bytes = 13\n"
         "quiet_ms = 14\n"
         "udp_rate_per_second = 15\n");
    assert_int_equal(config.listen_count, 2);
    assert_string_equal(config.listen[0].host, "::");
    assert_string_equal(config.listen[1].path, "/run/afar.sock");
    assert_true(config.allow_plaintext);
    assert_string_equal(config.tls_cert, "/c c.pem");
    assert_string_equal(config.tls_key, "/k.pem");
    assert_string_equal(config.tls_client_ca, "/a.pem");
    assert_true(config.tls_allow_12);
    assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(config.log_format, LOG_FORMAT_JSON);
    assert_int_equal(config.workers, 1);
    assert_int_equal(config.max_connections, 2);
    assert_int_equal(config.max_jobs, 3);
    assert_int_equal(config.handshake_timeout_ms, 4);
    assert_int_equal(config.idle_timeout_ms, 5);
    assert_int_equal(config.write_timeout_ms, 6);
    assert_int_equal(config.job_timeout_ms, 7);
    assert_int_equal(config.kill_grace_ms, 8);
    assert_int_equal(config.linger_ms, 9);
    assert_int_equal(config.linger_max_ms, 10);
    assert_int_equal(config.drain_ms, 11);
    assert_int_equal(config.output_log_bytes, 300000);
    assert_int_equal(config.control_queue_bytes, 5000);
    assert_int_equal(config.request_bytes, 12);
    assert_int_equal(config.collect_memory_bytes, 6000);
    assert_int_equal(config.collect_max_bytes, 13);
    assert_int_equal(config.quiet_ms, 14);
    assert_int_equal(config.udp_rate_per_second, 15);
    config_close(&config);
}

static void test_nothing_in_it(void **state)
{
    static const char *const texts[] = {"",    "\n",       "\n\n  \n\t\n", "#",
                                        "; x", "[server]", "\xEF\xBB\xBF"};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct config config;
        load(*state, &config, texts[i]);
        assert_int_equal(config.max_jobs, 4096);
        assert_int_equal(config.listen_count, 0);
        config_close(&config);
    }
}

/* All ways to write the same thing. */
static void test_forms(void **state)
{
    static const char *const texts[] = {
        "workers=3",
        "workers = 3\n",
        "workers: 3\n",
        "[server]\nworkers = 3",
        "[server] ; comment\nworkers = 3\n",
        "[server] # comment\r\nworkers = 3\r\n",
        "   \t[server]\n   workers   =   3   \n",
        "workers = 3 ; three\n",
        "workers = 3 # three\n",
        "workers = 3 \t#\n",
        "workers = 3 # not \"4\" # nor ; 5\r\n",
        "\xEF\xBB\xBFworkers = 3\n",
        "\xEF\xBB\xBF[server]\nworkers = 3\n",
        "\xEF\xBB\xBF# comment\nworkers = 3\n",
        "[server]\n[server]\nworkers = 3\n",
    };
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct config config;
        load(*state, &config, texts[i]);
        if (config.workers != 3)
            fail_msg("case %u", i);
        config_close(&config);
    }
}

/* To inih alone an indented line would be more of the value before. */
static void test_indented_lines_are_lines(void **state)
{
    struct config config;
    load(*state, &config,
         "[server]\n"
         "    listen = tcp://127.0.0.1:1\n"
         "    workers = 3\n"
         "\t  # indented comment\n"
         "\f\v max_jobs = 5\n");
    assert_int_equal(config.listen_count, 1);
    assert_int_equal(config.workers, 3);
    assert_int_equal(config.max_jobs, 5);
    config_close(&config);
}

static void test_semicolons_and_hashes(void **state)
{
    struct config config;
    load(*state, &config,
         "listen = unix:///x;y\n"
         "listen = unix:///x ;y\n"
         "tls_cert = /a#b\n"
         "tls_key = /a # b\n"
         "listen = tcp://127.0.0.1:1 # \"here\"\n"
         "audit_log = /a\" # b\"\n"
         "tls_client_ca = \"/a\"\n");
    assert_string_equal(config.listen[0].path, "/x;y");
    assert_string_equal(config.listen[1].path, "/x");
    assert_string_equal(config.tls_cert, "/a#b");
    assert_string_equal(config.tls_key, "/a");
    assert_int_equal(config.listen[2].port, 1);
    assert_string_equal(config.audit_log, "/a\" # b\""); /* quoted, though quotes stay */
    assert_string_equal(config.tls_client_ca, "\"/a\"");
    config_close(&config);
}

static void test_adds_to_what_was_set(void **state)
{
    struct place *place = *state;
    struct config config;
    static const char text[] = "listen = tcp://127.0.0.1:2\ntls_cert = new\n";
    write_file(place, text, sizeof text - 1);
    config_init(&config);
    assert_int_equal(config_set(&config, "listen", "tcp://127.0.0.1:1", NULL), AFAR_OK);
    assert_int_equal(config_set(&config, "tls_cert", "old", NULL), AFAR_OK);
    assert_int_equal(config_load(&config, place->path, NULL), AFAR_OK);
    assert_int_equal(config.listen_count, 2);
    assert_string_equal(config.tls_cert, "new");
    config_close(&config);
}

static void test_bad_values(void **state)
{
    assert_refused(*state, "\n[server]\n\n# x\nworkers = many\n", 5,
                   "workers: 'many' is not a whole number from 0 to 1024");
    assert_refused(*state, "workers = 4# four\n", 1,
                   "workers: '4# four' is not a whole number from 0 to 1024");
    assert_refused(*state, "workers = # four\n", 1,
                   "workers: '' is not a whole number from 0 to 1024");
    assert_refused(*state, "workers =\n", 1, "workers: '' is not a whole number from 0 to 1024");
    assert_refused(*state, "tls_cert = ; none\n", 1, "tls_cert: expected the name of a file");
    assert_refused(*state, "allow_plaintext = maybe", 1,
                   "allow_plaintext: 'maybe' is neither yes nor no");
    assert_refused(*state, "\r\nlog_level = loud\r\n", 2,
                   "log_level: 'loud' is not a log level: error, warn, info or debug");
    assert_refused(*state, "listen = tcp://[::1\n", 1,
                   "listen: 'tcp://[::1': ']' is missing after the IPv6 address");
}

static void test_unknown_keys(void **state)
{
    assert_refused(*state, "workers = 1\nmax_job = 1\n", 2,
                   "unknown key 'max_job': did you mean 'max_jobs' (commands running or starting "
                   "at once)?");
    assert_refused(*state, "Workers = 1\n", 1,
                   "unknown key 'Workers': did you mean 'workers' (threads; 0: twice the "
                   "processors, at least 4)?");
    assert_refused(*state, "port = 1\n", 1, "unknown key 'port'; afard.conf(5) lists the keys");
}

static void test_unknown_sections(void **state)
{
    assert_refused(*state, "[server]\n[client]\n", 2,
                   "unknown section [client]: expected [server] or [allow NAME]");
    assert_refused(*state, "[]\n", 1, "unknown section []: expected [server] or [allow NAME]");
    assert_refused(*state, "[ server ]\n", 1,
                   "unknown section [ server ]: expected [server] or [allow NAME]");
    assert_refused(*state, "[serverx]\nworkers = 1\n", 1,
                   "unknown section [serverx]: expected [server] or [allow NAME]");
    assert_refused(*state, "[SERVER]\nworkers = many\n", 1,
                   "unknown section [SERVER]: expected [server] or [allow NAME]");
    assert_refused(*state, "\n  [server\nworkers = 1\n", 2,
                   "']' is missing: expected [server] or [allow NAME]");
    assert_refused(*state, "[allow]\n", 1,
                   "unknown section [allow]: expected [server] or [allow NAME]");
    assert_refused(*state, "[allowx y]\n", 1,
                   "unknown section [allowx y]: expected [server] or [allow NAME]");
    /* inih would ignore the rest of the line. */
    assert_refused(*state, "[server] workers = 1\n", 1,
                   "expected the end of the line after '[server]'");
    assert_refused(*state, "[server]]\n", 1, "expected the end of the line after '[server]'");
}

static void test_rule_sections(void **state)
{
    assert_refused(*state, "[allow ]\n", 1,
                   "'' is not a rule's name: expected up to 39 letters, digits, _ . and -");
    assert_refused(*state, "[allow a b]\n", 1,
                   "'a b' is not a rule's name: expected up to 39 letters, digits, _ . and -");
    assert_refused(*state, "[allow a]\nclient = any\n[allow a]\n", 3,
                   "there is a rule 'a' already in line 1");
    assert_refused(
        *state, "[allow a]\nworkers = 1\n", 2,
        "unknown key 'workers' in a rule; the keys are client, from, may, jobs, "
        "command, shell, files, files_max, forward, force, wrapper, env, env_dangerous, user, "
        "group, cwd, "
        "chroot, confine, pty, record, record_max, record_full, umask, nice, timeout, resume, "
        "spool, max_output, max_jobs, "
        "rlimit_nofile, rlimit_nproc, rlimit_as, rlimit_core, rlimit_cpu, memory, cpu, "
        "pids");
    assert_refused(*state, "[allow a]\nshell = yes\nshell = yes\n", 3,
                   "shell: given already in this rule");
    assert_refused(*state, "[allow a]\n[server]\nclient = any\n", 3,
                   "unknown key 'client'; afard.conf(5) lists the keys");
}

static void test_not_a_pair(void **state)
{
    assert_refused(*state, "workers = 1\nallow_plaintext\nworkers = 3\n", 2,
                   "expected KEY = VALUE");
    assert_refused(*state, "allow_plaintext", 1, "expected KEY = VALUE");
    assert_refused(*state, "= 3\n", 1, "expected KEY = VALUE");
    assert_refused(*state, "listen tcp://127.0.0.1\n", 1, "expected KEY = VALUE");
    assert_refused(*state, "workers ; = 3\n", 1, "expected KEY = VALUE");
    assert_refused(*state, "]\n", 1, "expected KEY = VALUE");
}

static void test_duplicates(void **state)
{
    assert_refused(*state, "workers = 1\n\nworkers = 1\n", 3, "workers: given already in line 1");
    assert_refused(*state, "[server]\ntls_cert = a\nmax_jobs = 1\n[server]\ntls_cert = b\n", 5,
                   "tls_cert: given already in line 2");
    assert_refused(*state, "udp_rate_per_second = 1\nudp_rate_per_second: 2\n", 2,
                   "udp_rate_per_second: given already in line 1");
}

/* Whatever kind the two are of, and whoever finds them. */
static void test_first_error_wins(void **state)
{
    static const struct {
        const char *line;
        const char *message;
    } bad[] = {
        {"workers = many", "workers: 'many' is not a whole number from 0 to 1024"},
        {"port = 1", "unknown key 'port'; afard.conf(5) lists the keys"},
        {"nothing", "expected KEY = VALUE"},
        {"[x]", "unknown section [x]: expected [server] or [allow NAME]"},
        {"[server", "']' is missing: expected [server] or [allow NAME]"},
        {"x y = z", "expected KEY = VALUE"},
    };
    enum { BAD = sizeof bad / sizeof bad[0] };
    for (unsigned i = 0; i < BAD; i++) {
        for (unsigned j = 0; j < BAD; j++) {
            char text[256];
            (void)snprintf(text, sizeof text, "# x\n%s\nmax_jobs = 1\n%s\n", bad[i].line,
                           bad[j].line);
            assert_refused(*state, text, 2, bad[i].message);
        }
    }
}

static void test_long_lines(void **state)
{
    /* "tls_cert = " and a name, at the limit and one more. */
    static const char head[] = "tls_cert = ";
    static const char too_long[] = "the line is longer than 199 bytes, the maximum";
    char text[2000];
    size_t fill = LINE_MAX_BYTES - (sizeof head - 1);
    struct config config;

    (void)snprintf(text, sizeof text, "workers = 1\n   %s%0*d\nmax_jobs = 2\n", head, (int)fill, 7);
    load(*state, &config, text);
    assert_int_equal(strlen(config.tls_cert), fill);
    assert_int_equal(config.max_jobs, 2);
    config_close(&config);

    (void)snprintf(text, sizeof text, "workers = 1\n%s%0*d\nmax_jobs = 2\n", head, (int)fill + 1,
                   7);
    assert_refused(*state, text, 2, too_long);
    (void)snprintf(text, sizeof text, "%s%01000d", head, 7);
    assert_refused(*state, text, 1, too_long);

    /* A comment may be as long as it likes, blanks too. */
    (void)snprintf(text, sizeof text, "#%01000d\n%500s\nworkers = 3\n", 7, "");
    load(*state, &config, text);
    assert_int_equal(config.workers, 3);
    config_close(&config);
}

static void test_nul_bytes(void **state)
{
    static const char message[] = "it contains a NUL byte: expected a text file";
    static const char in_value[] = "max_jobs = 1\nworkers = 1\0002\n";
    static const char in_comment[] = "# a\0b\nworkers = 1\n";
    static const char at_end[] = "workers = 1\n\0";
    assert_bytes_refused(*state, in_value, sizeof in_value - 1, 2, message);
    assert_bytes_refused(*state, in_comment, sizeof in_comment - 1, 1, message);
    assert_bytes_refused(*state, at_end, sizeof at_end - 1, 2, message);
    assert_bytes_refused(*state, "w\0o\0r\0k\0", 8, 1, message); /* UTF-16 */
}

/* Every beginning of a file is either taken or refused, never more than that. */
static void test_cut_at_each_byte(void **state)
{
    struct place *place = *state;
    static const char text[] = "\xEF\xBB\xBF# c\r\n[server] ; c\nlisten = unix:///x;y\n  workers = "
                               "12 ; c\n\ntls_cert: /a\nbad\n";
    for (size_t size = 0; size < sizeof text; size++) {
        struct config config;
        write_file(place, text, size);
        config_init(&config);
        enum afar_status status = config_load(&config, place->path, NULL);
        assert_true(status == AFAR_OK || status == AFAR_EINVAL);
        config_close(&config);
    }
}

static void test_unreadable(void **state)
{
    struct place *place = *state;
    struct config config;
    struct afar_error err = {.code = AFAR_OK};
    char expected[AFAR_ERROR_MESSAGE_BYTES];
    config_init(&config);

    (void)unlink(place->path); /* an earlier test left it */
    assert_int_equal(config_load(&config, place->path, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, ENOENT);
    (void)snprintf(expected, sizeof expected, "%s: cannot be read: No such file or directory",
                   place->path);
    assert_string_equal(err.message, expected);

    /* fopen takes a folder, reading it does not. */
    assert_int_equal(config_load(&config, place->folder, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, EISDIR);
    (void)snprintf(expected, sizeof expected, "%s: cannot be read: Is a directory", place->folder);
    assert_string_equal(err.message, expected);
    assert_int_equal(config_load(&config, place->folder, NULL), AFAR_ESYSTEM);
    config_close(&config);
}

static void test_out_of_memory(void **state)
{
    struct place *place = *state;
    static const char text[] = "\ntls_cert = a\ntls_key = b\n";
    unsigned failures = 0;
    write_file(place, text, sizeof text - 1);
    for (int n = 1;; n++) {
        struct config config;
        struct afar_error err = {.code = AFAR_OK};
        config_init(&config);
        alloc_fault_arm(n);
        enum afar_status status = config_load(&config, place->path, &err);
        bool fired = alloc_fault_fired();
        config_close(&config);
        if (!fired) {
            assert_int_equal(status, AFAR_OK);
            break;
        }
        char expected[AFAR_ERROR_MESSAGE_BYTES];
        if (n <= 2)
            (void)snprintf(expected, sizeof expected, "%s:%d: %s: out of memory", place->path,
                           n + 1, n == 1 ? "tls_cert" : "tls_key");
        else
            (void)snprintf(expected, sizeof expected, "%s: out of memory", place->path);
        assert_int_equal(status, AFAR_ENOMEM);
        assert_string_equal(err.message, expected);
        failures++;
    }
    assert_int_equal(failures, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_nothing_in_it),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_indented_lines_are_lines),
        cmocka_unit_test(test_semicolons_and_hashes),
        cmocka_unit_test(test_adds_to_what_was_set),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_unknown_sections),
        cmocka_unit_test(test_rule_sections),
        cmocka_unit_test(test_not_a_pair),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_first_error_wins),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_cut_at_each_byte),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
