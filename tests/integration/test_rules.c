/* Rules, on a real server: who is let do what, and what becomes of a command. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/ruled.h"

enum { TEXT_BYTES = 4096 };

/* ---- decisions ------------------------------------------------------------------------------- */

static void test_allowed_and_denied(void **state)
{
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled,
               "[allow echo]\nclient = any\ncommand = /bin/echo **\nenv = LC_*\n"
               "[allow env]\nclient = any\ncommand = /usr/bin/env\n",
               "info");
    ruled_expect(&ruled, NULL, WORDS("echo", "a", "b c"), 0, "a b c\n");
    ruled_expect(&ruled, NULL, WORDS("/bin/echo", "a"), 0, "a\n");
    ruled_expect(&ruled, NULL, WORDS("/usr/../bin/echo"), 125,
                 "run '/usr/../bin/echo'; there is one for '/bin/echo'");
    ruled_expect(&ruled, NULL, WORDS("/bin/cat", "/etc/hostname"), 125, "run '/bin/cat' (denied)");
    ruled_expect(&ruled, NULL, WORDS("env", "x"), 125, "run 'env' with these arguments");
    ruled_expect(&ruled, WORDS("-s"), WORDS("echo x"), 125, "run a shell line");
    ruled_expect(&ruled, WORDS("--env", "LC_ALL=C"), WORDS("echo", "x"), 0, "x\n");
    ruled_expect(&ruled, WORDS("--env", "PATH=/x"), WORDS("echo", "x"), 125,
                 "does not let the client set PATH");
    ruled_expect(&ruled, WORDS("--env", "X=hush"), WORDS("echo", "x"), 125, "set X");
    afard_expect_log(&ruled.afard, "denied: rule 'echo'");
    assert_null(strstr(ruled.afard.program.stderr_data, "hush"));
    ruled_close(&ruled);
}

static void test_nobody(void **state)
{
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled, "deny_reason = brief\n[allow x]\nclient = cn:x\ncommand = **\n", "info");
    ruled_expect(&ruled, NULL, WORDS("true"), 125, "the server does not allow this");
    afard_expect_log(&ruled.afard, "no rule lets this client (uid:");
    ruled_close(&ruled);
}

static void test_denied_briefly(void **state)
{
    struct ruled ruled;
    struct program program;
    (void)state;
    ruled_open(&ruled, "deny_reason = brief\n[allow x]\nclient = any\ncommand = /bin/true\n",
               "info");
    assert_int_equal(ruled_run(&ruled, &program, NULL, WORDS("false")), 125);
    assert_non_null(strstr(program.stderr_data, "the server does not allow this"));
    assert_null(strstr(program.stderr_data, " rule"));
    program_close(&program);
    afard_expect_log(&ruled.afard, "run 'false'");
    ruled_close(&ruled);
}

static size_t count(const char *text, const char *wanted)
{
    size_t found = 0;
    for (text = strstr(text, wanted); text != NULL; text = strstr(text + 1, wanted))
        found++;
    return found;
}

/* By the rules that are for the client, or by none being so; where the client hears why, or not. */
static void test_denied_once(void **state)
{
    static const char *const rules[] = {
        "[allow x]\nclient = any\ncommand = /bin/true\n",
        "[allow x]\nclient = cn:x\ncommand = /bin/true\n",
        "deny_reason = brief\n[allow x]\nclient = any\ncommand = /bin/true\n",
        "deny_reason = brief\n[allow x]\nclient = cn:x\ncommand = /bin/true\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct ruled ruled;
        struct program program;
        ruled_open(&ruled, rules[i], "info");
        assert_int_equal(ruled_run(&ruled, &program, NULL, WORDS("false")), 125);
        assert_non_null(strstr(program.stderr_data, "(denied)"));
        /* It is final: a client that is told when to try again would do so for ever. */
        assert_null(strstr(program.stderr_data, "try again"));
        program_close(&program);
        assert_int_equal(kill(ruled.afard.program.pid, SIGHUP), 0);
        afard_expect_log(&ruled.afard, "reloaded"); /* and what came before it */
        assert_int_equal(count(ruled.afard.program.stderr_data, "denied: "), 1);
        assert_int_equal(count(ruled.afard.program.stderr_data, "no rule lets this client"), 1);
        ruled_close(&ruled);
    }
}

static void test_reload(void **state)
{
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled, "[allow x]\nclient = any\ncommand = /bin/true\n", "info");
    ruled_expect(&ruled, NULL, WORDS("true"), 0, "");
    ruled_expect(&ruled, NULL, WORDS("echo"), 125, "echo");
    ruled_write(&ruled, "[allow x]\nclient = any\ncommand = /bin/echo\n");
    assert_int_equal(kill(ruled.afard.program.pid, SIGHUP), 0);
    afard_expect_log(&ruled.afard, "reloaded");
    ruled_expect(&ruled, NULL, WORDS("true"), 125, "true");
    ruled_expect(&ruled, NULL, WORDS("echo"), 0, "\n");
    ruled_write(&ruled, "[allow x]\nclient = nobody\ncommand = /bin/echo\n");
    assert_int_equal(kill(ruled.afard.program.pid, SIGHUP), 0);
    afard_expect_log(&ruled.afard, "'nobody' is not a client");
    ruled_expect(&ruled, NULL, WORDS("echo"), 0, "\n");
    ruled_close(&ruled);
}

/* ---- what is run ----------------------------------------------------------------------------- */

static void test_forced(void **state)
{
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled,
               "[allow x]\nclient = any\n"
               "force = /bin/sh -c \"echo $AFAR_ORIGINAL_COMMAND\"\n",
               "warn");
    ruled_expect(&ruled, NULL, WORDS("rm", "-rf", "a b"), 0, "rm -rf 'a b'\n");
    ruled_expect(&ruled, WORDS("-s"), WORDS("ls | wc"), 0, "ls | wc\n");
    ruled_expect(&ruled, WORDS("--env", "AFAR_ORIGINAL_COMMAND=x"), WORDS("ls"), 125,
                 "AFAR_ORIGINAL_COMMAND");
    ruled_close(&ruled);
}

static void test_wrapper(void **state)
{
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled,
               "[allow x]\nclient = any\nwrapper = /usr/bin/env\nwrapper = WRAPPED=yes\n"
               "command = /bin/sh **\n",
               "warn");
    ruled_expect(&ruled, NULL, WORDS("sh", "-c", "echo $0 $WRAPPED"), 0, "yes\n");
    ruled_close(&ruled);
}

/* A program may find its libraries by argv[0], as Python does: so the rule says what that is. A
 * link of the client's own to the program's folder would be another way to it. */
static void test_argv0_is_the_rules(void **state)
{
    struct ruled ruled;
    char folder[] = "/tmp/afar-argv0-XXXXXX";
    char link[64];
    char own[80];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(link, sizeof link, "%s/bin", folder);
    (void)snprintf(own, sizeof own, "%s/sh", link);
    assert_int_equal(symlink("/bin", link), 0);
    ruled_open(&ruled, "[allow x]\nclient = any\ncommand = /bin/sh **\n", "warn");
    ruled_expect(&ruled, NULL, WORDS("sh", "-c", "echo $0"), 0, "/bin/sh\n");
    ruled_expect(&ruled, NULL, WORDS("/bin/sh", "-c", "echo $0"), 0, "/bin/sh\n");
    ruled_expect(&ruled, NULL, WORDS(own, "-c", "echo $0"), 125, "there is one for '/bin/sh'");
    ruled_expect(&ruled, WORDS("-w", folder), WORDS("bin/sh", "-c", "echo $0"), 125,
                 "there is one for '/bin/sh'");
    ruled_close(&ruled);
    assert_int_equal(unlink(link) | rmdir(folder), 0);
}

static void test_limits(void **state)
{
    struct ruled ruled;
    struct program program;
    (void)state;
    ruled_open(&ruled,
               "kill_grace_ms = 0\n[allow slow]\nclient = any\ncommand = /bin/sleep *\n"
               "timeout = 200ms\nmax_jobs = 1\n"
               "[allow much]\nclient = any\ncommand = /usr/bin/yes\nmax_output = 10K\n"
               "[allow exact]\nclient = any\ncommand = /usr/bin/head **\nmax_output = 4K\n",
               "warn");
    assert_int_equal(ruled_run(&ruled, &program, WORDS("--timeout", "1h"), WORDS("sleep", "60")),
                     124);
    assert_non_null(strstr(program.stderr_data,
                           ": command timed out after 200 ms, the limit of its rule (timeout)\n"));
    program_close(&program);
    assert_int_equal(ruled_run(&ruled, &program, WORDS("--timeout", "100ms"), WORDS("sleep", "60")),
                     124);
    assert_non_null(strstr(program.stderr_data, ": command timed out after 100 ms\n"));
    program_close(&program);
    assert_int_equal(ruled_run(&ruled, &program, NULL, WORDS("yes")), 125);
    assert_non_null(
        strstr(program.stderr_data, ": more output than 10 KiB, the limit of its rule"));
    assert_int_equal(program.stdout_size, 10240);
    assert_non_null(strstr(program.stderr_data, "max_output"));
    program_close(&program);
    assert_int_equal(ruled_run(&ruled, &program, NULL, WORDS("head", "-c", "4096", "/dev/zero")),
                     0);
    assert_int_equal(program.stdout_size, 4096);
    program_close(&program);
    assert_int_equal(ruled_run(&ruled, &program, NULL, WORDS("head", "-c", "4097", "/dev/zero")),
                     125);
    assert_int_equal(program.stdout_size, 4096);
    program_close(&program);
    ruled_close(&ruled);
}

static void test_max_jobs(void **state)
{
    struct ruled ruled;
    struct program first;
    (void)state;
    ruled_open(&ruled, "[allow x]\nclient = any\ncommand = /bin/cat\nmax_jobs = 1\n", "info");
    const char *argv[] = {"afar", "run", ruled.afard.url[0], "--", "cat", NULL};
    program_start(&first, argv, NULL);
    assert_int_equal(write(first.in, "x", 1), 1);
    program_expect(&first, 1, "x"); /* it runs */
    ruled_expect(&ruled, NULL, WORDS("cat"), 125, "the rule 'x'");
    program_finish(&first, NULL, 0);
    assert_int_equal(program_exit_status(&first), 0);
    program_close(&first);
    ruled_expect(&ruled, NULL, WORDS("cat"), 0, "");
    ruled_close(&ruled);
}

static void test_another_user(void **state)
{
    struct ruled ruled;
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: only root can become somebody else\n");
        skip();
    }
    ruled_open(&ruled,
               "[allow x]\nclient = any\ncommand = /bin/sh **\ncommand = /bin/sleep *\n"
               "user = nobody\ncwd = /\numask = 027\nrlimit_nofile = 99\nnice = 3\nenv = FOO\n"
               "timeout = 1d\n",
               "info");
    ruled_expect(&ruled, NULL,
                 WORDS("sh", "-c",
                       "id -un; id -G; pwd; umask; ulimit -n; nice; echo $USER $FOO $PATH; "
                       "grep NoNewPrivs /proc/self/status"),
                 0,
                 "nobody\n65534\n/\n0027\n99\n3\n"
                 "nobody /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
                 "NoNewPrivs:\t1\n");
    ruled_expect(&ruled, WORDS("--env", "FOO=bar"), WORDS("sh", "-c", "echo $FOO"), 0, "bar\n");
    ruled_expect(&ruled, NULL, WORDS("sh", "-c", "cat /etc/shadow 2>&1"), 1, "ermission denied");
    /* His processes are ended like all others, though he has left them. */
    ruled_expect(&ruled, WORDS("--timeout", "1"), WORDS("sh", "-c", "sleep 60 & sleep 60"), 124,
                 "");
    ruled_close(&ruled);
}

/* The server that cannot is told so before it starts. */
static void test_who_is_not_root(void **state)
{
    struct ruled ruled;
    struct program program;
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: only root can become somebody else\n");
        skip();
    }
    ruled_make_file(&ruled, "[allow x]\nclient = any\ncommand = **\nuser = daemon\n");
    assert_int_equal(chmod(ruled.file, 0644), 0);
    char afard[PROGRAM_TEXT_BYTES];
    (void)program_path("afard", afard);
    int status =
        program_run(&program,
                    WORDS("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", afard,
                          "-c", ruled.file, "--listen", "tcp://127.0.0.1:0", "--check"),
                    NULL, 0);
    if (status == 126 || status == 127) {
        print_message("skipped: nobody cannot reach the program\n");
        skip();
    }
    assert_int_equal(status, 1);
    assert_non_null(strstr(program.stderr_data, ":1: [allow x]: user = daemon: this server runs as "
                                                "uid 65534 and cannot become another user"));
    program_close(&program);
    assert_int_equal(unlink(ruled.file), 0);
}

/* Where there is no cgroup to be had, its command fails, and the start has said so. */
static void test_cgroup(void **state)
{
    struct ruled ruled;
    struct program program;
    (void)state;
    ruled_open(&ruled, "[allow x]\nclient = any\ncommand = /bin/true\nmemory = 64M\n", "info");
    int status = ruled_run(&ruled, &program, NULL, WORDS("true"));
    if (status == 0) {
        print_message("there are cgroups here\n");
    } else {
        assert_int_equal(status, 126);
        assert_non_null(strstr(program.stderr_data, "cgroup"));
        afard_expect_log(&ruled.afard, "rule 'x' needs a cgroup: its commands will fail");
    }
    program_close(&program);
    ruled_close(&ruled);
}

/* The key is in its memory. */
static void test_nobody_looks_in(void **state)
{
    struct ruled ruled;
    char command[256];
    (void)state;
    if (geteuid() != 0) {
        print_message(
            "skipped: the server is made dumpable for the tests where they are not root\n");
        skip();
    }
    ruled_open(&ruled, "[allow x]\nclient = any\nshell = yes\n", "warn");
    /* What is not dumpable belongs to root, as far as /proc is concerned (proc(5)); and so it is
     * seen from a user namespace, which has no rights over it, even by its own user. */
    (void)snprintf(command, sizeof command, "grep -c '^Max core file size *0 ' /proc/%d/limits",
                   (int)ruled.afard.program.pid);
    ruled_expect(&ruled, WORDS("-s"), WORDS(command), 0, "1\n");
    /* A command has what the server was started with. */
    struct rlimit limit;
    char expected[64];
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    if (limit.rlim_cur == RLIM_INFINITY)
        (void)snprintf(expected, sizeof expected, "unlimited\n");
    else
        (void)snprintf(expected, sizeof expected, "%llu\n",
                       (unsigned long long)limit.rlim_cur / 512);
    ruled_expect(&ruled, WORDS("-s"), WORDS("ulimit -c"), 0, expected);
    ruled_close(&ruled);
}

/* ---- afard --explain ------------------------------------------------------------------------- */

static void test_explain(void **state)
{
    static const char rules[] = "[allow x]\nclient = cn:ann\nfrom = 10.0.0.0/8\n"
                                "command = /bin/sh -c *\nenv = LANG\ntimeout = 2s\numask = 077\n";
    struct ruled ruled;
    struct program program;
    char expected[TEXT_BYTES];
    (void)state;
    ruled_make_file(&ruled, rules);
    assert_int_equal(program_run(&program,
                                 WORDS("afard", "-c", ruled.file, "--explain", "dns:x,cn:ann",
                                       "--from", "10.1.2.3", "--", "sh", "-c", "touch /tmp/never"),
                                 NULL, 0),
                     0);
    (void)snprintf(expected, sizeof expected, "allowed by rule 'x' (%s:1)\n", ruled.file);
    assert_non_null(strstr(program.stdout_data, expected));
    assert_non_null(strstr(program.stdout_data, "  argv[0]      /bin/sh\n"));
    assert_non_null(strstr(program.stdout_data, "/bin/sh -c 'touch /tmp/never'"));
    assert_non_null(strstr(program.stdout_data, "what the client asks for, else the server's\n"));
    assert_non_null(strstr(program.stdout_data, "LANG"));
    assert_non_null(strstr(program.stdout_data, "2000 ms"));
    assert_non_null(strstr(program.stdout_data, "077"));
    program_close(&program);
    assert_int_equal(
        program_run(&program,
                    WORDS("afard", "-c", ruled.file, "--explain", "cn:ann", "--", "sh", "-c", "x"),
                    NULL, 0),
        3);
    assert_string_equal(program.stdout_data,
                        "denied: no rule lets this client (cn:ann) run anything\n");
    program_close(&program);
    assert_int_equal(program_run(&program,
                                 WORDS("afard", "-c", ruled.file, "--explain", "cn:ann", "--from",
                                       "10.1.2.3", "--user", "bob", "--", "sh", "-c", "x"),
                                 NULL, 0),
                     3);
    assert_string_equal(program.stdout_data,
                        "denied: no rule lets this client (cn:ann) run anything as user 'bob'\n");
    program_close(&program);
    assert_int_equal(
        program_run(&program, WORDS("afard", "-c", ruled.file, "--explain", "cn:ann"), NULL, 0), 2);
    program_close(&program);
    /* Names that nobody can have are not judged: "denied" would be read as the rules' word. */
    static const char *const strange[] = {"CN=ann", "ann", "any", "CN:ann", "cn:ann,ann@x", "uid="};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        assert_int_equal(program_run(&program,
                                     WORDS("afard", "-c", ruled.file, "--explain", strange[i],
                                           "--from", "10.1.2.3", "--", "sh", "-c", "x"),
                                     NULL, 0),
                         1);
        assert_string_equal(program.stdout_data, "");
        assert_non_null(strstr(program.stderr_data, "afard: '"));
        program_close(&program);
    }
    /* What is not text on a terminal is spelled out. */
    assert_int_equal(program_run(&program,
                                 WORDS("afard", "-c", ruled.file, "--explain", "cn:a b , cn:ann",
                                       "--from", "10.1.2.3", "--", "sh", "-c", "\xe2\x80\xaex"),
                                 NULL, 0),
                     0);
    assert_non_null(strstr(program.stdout_data, "\\u202ex"));
    program_close(&program);
    assert_int_equal(access("/tmp/never", F_OK), -1);
    assert_int_equal(unlink(ruled.file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed_and_denied),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_denied_briefly),
        cmocka_unit_test(test_denied_once),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_forced),
        cmocka_unit_test(test_wrapper),
        cmocka_unit_test(test_argv0_is_the_rules),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_max_jobs),
        cmocka_unit_test(test_another_user),
        cmocka_unit_test(test_who_is_not_root),
        cmocka_unit_test(test_nobody_looks_in),
        cmocka_unit_test(test_cgroup),
        cmocka_unit_test(test_explain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
