/* Rules with user =: what the server needs for them, what it says where that is missing, and that a
 * command which it may not end is not said to have been ended. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/ruled.h"

#define AS_NOBODY "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"

static void need_root(void)
{
    if (geteuid() != 0) {
        print_message("skipped: only root can become somebody else\n");
        skip();
    }
}

/* `afard --check` of these rules, with the capabilities that setpriv is told to leave. NULL: all.
 */
static void check(const char *rules, const char *bounding_set, int status, const char *said)
{
    struct ruled ruled;
    struct program program;
    char afard[PROGRAM_TEXT_BYTES];
    (void)program_path("afard", afard);
    ruled_make_file(&ruled, rules);
    int got = program_run(&program,
                          WORDS("setpriv", "--bounding-set", bounding_set, afard, "-c", ruled.file,
                                "--listen", "tcp://127.0.0.1:0", "--check"),
                          NULL, 0);
    if (got != status || strstr(program.stderr_data, said) == NULL)
        fail_msg("%s: %d, not %d; '%s' is not in: %s", bounding_set, got, status, said,
                 program.stderr_data);
    program_close(&program);
    assert_int_equal(unlink(ruled.file), 0);
}

/* ---- what is needed -------------------------------------------------------------------------- */

#define RULE "[allow x]\nclient = any\ncommand = /bin/true\n"

/* Said when the rules are loaded, and not when a timeout ends nothing. */
static void test_capabilities_are_named(void **state)
{
    static const struct {
        const char *rules;
        const char *without;
        const char *missing; /* NULL: it does without */
    } cases[] = {
        {RULE "user = daemon\n", "-kill", "does not have: CAP_KILL;"},
        {RULE "user = daemon\n", "-all,+setuid,+setgid", "does not have: CAP_SETPCAP, CAP_KILL;"},
        {RULE "user = daemon\n", "-all",
         "does not have: CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_KILL;"},
        {RULE "user = daemon\n", "-all,+setuid,+setgid,+setpcap,+kill", NULL},
        {"user = daemon\n", "-kill", "[server]: its user"},
        {"user = daemon\n" RULE, "-kill", "[allow x]: its user"},
        {RULE "user = root\n", "-all,+setgid", NULL},
        {RULE "group = daemon\n", "-setgid", "CAP_SETGID"},
        {RULE "chroot = /usr\n", "-sys_chroot", "CAP_SYS_CHROOT"},
        {RULE "nice = -1\n", "-sys_nice", "CAP_SYS_NICE"},
        {RULE "nice = 1\n", "-sys_nice", NULL},
        {RULE "rlimit_nofile = 1000000\n", "-sys_resource", "CAP_SYS_RESOURCE"},
        {RULE "rlimit_nofile = 10\n", "-sys_resource", NULL},
    };
    struct program program;
    (void)state;
    need_root();
    int status = program_run(&program, WORDS("setpriv", "--bounding-set", "-all", "true"), NULL, 0);
    program_close(&program);
    if (status != 0) {
        print_message("skipped: there is no setpriv, or it may not drop capabilities\n");
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(cases[i].rules, cases[i].without, cases[i].missing == NULL ? 0 : 1,
              cases[i].missing == NULL ? "" : cases[i].missing);
}

/* Nor by a reload, which changes nothing then. */
static void test_capabilities_at_a_reload(void **state)
{
    struct ruled ruled;
    struct program server;
    char afard[PROGRAM_TEXT_BYTES];
    (void)state;
    need_root();
    (void)program_path("afard", afard);
    ruled_make_file(&ruled, RULE);
    program_start(&server,
                  WORDS("setpriv", "--bounding-set", "-kill", afard, "-c", ruled.file, "--listen",
                        "tcp://127.0.0.1:0", "--print-endpoints"),
                  NULL);
    program_expect(&server, 1, "listening ");
    ruled_write(&ruled, RULE "user = daemon\n");
    assert_int_equal(kill(server.pid, SIGHUP), 0);
    program_expect(&server, 2, "SIGHUP: not reloaded, nothing changed: ");
    program_expect(&server, 2, "does not have: CAP_KILL;");
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    program_finish(&server, NULL, 0);
    assert_int_equal(program_exit_status(&server), 0);
    program_close(&server);
    assert_int_equal(unlink(ruled.file), 0);
}

/* ---- why that is asked for ------------------------------------------------------------------- */

static void drop_kill(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &header, sets) != 0)
        _exit(1);
    sets[CAP_TO_INDEX(CAP_KILL)].effective &= ~CAP_TO_MASK(CAP_KILL);
    if (syscall(SYS_capset, &header, sets) != 0)
        _exit(1);
}

/* Another user's process that has asked for KILL at its parent's end: says 'x' where it lives on. */
_Noreturn static void live_on(pid_t parent, int ready, int out)
{
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || write(ready, "r", 1) != 1)
        _exit(1);
    while (getppid() == parent)
        (void)poll(NULL, 0, 1);
    (void)poll(NULL, 0, 20); /* the signal comes with the change, and may be seen after it */
    _exit(write(out, "x", 1) == 1 ? 0 : 1);
}

static bool outlives_its_parent(bool may_kill)
{
    int out[2];
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(out) | pipe(ready), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        if (!may_kill)
            drop_kill();
        pid_t self = getpid();
        if (fork() == 0)
            live_on(self, ready[1], out[1]);
        _exit(read(ready[0], &byte, 1) == 1 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_int_equal(status, 0);
    (void)close(out[1]);
    ssize_t got = read(out[0], &byte, 1);
    (void)close(out[0]);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return got == 1;
}

/* The kernel asks whether the parent may signal it. */
static void test_a_parents_end_needs_it(void **state)
{
    (void)state;
    need_root();
#ifdef __SANITIZE_THREAD__
    print_message(
        "skipped: ThreadSanitizer has a thread of its own, which keeps its capabilities\n");
    skip();
#endif
    assert_false(outlives_its_parent(true));
    assert_true(outlives_its_parent(false));
}

static void test_warnings(void **state)
{
    (void)state;
    need_root();
    check(RULE, "+all", 0, ":1: [allow x]: its clients run programs as root");
    check(RULE "user = daemon\ncwd = /nonexistent/a\n", "+all", 0,
          "cwd: '/nonexistent/a': No such file or directory; its commands will fail");
    check(RULE "chroot = /nonexistent/b\n", "+all", 0, "chroot: '/nonexistent/b'");
    check(RULE "chroot = /usr\ncwd = /nonexistent/c\n", "+all", 0,
          "cwd: '/nonexistent/c' in '/usr'");
    check("[allow x]\nclient = any\nforce = /nonexistent/d\n", "+all", 0,
          "force: '/nonexistent/d'");
    check(RULE "wrapper = /etc/passwd\n", "+all", 0, "wrapper: '/etc/passwd': Permission denied");
    check("[allow x]\nclient = any\ncommand = /nonexistent/e **\n", "+all", 0,
          "command: '/nonexistent/e'");
}

/* Nothing is wrong with these rules. */
static void test_no_warnings(void **state)
{
    static const char *const rules[] = {
        "[allow x]\nclient = uid:0\ncommand = /bin/true\n",
        "[allow x]\nclient = any\ncommand = **\nuser = root\n",
        "[allow x]\nclient = any\nmay = kill\n",
        "[allow x]\nclient = any\ncommand = /bin/true\nuser = daemon\ncwd = /\n",
        "[allow x]\nclient = any\ncommand = /bin/true\nuser = daemon\nchroot = /usr\n",
    };
    struct ruled ruled;
    struct program program;
    (void)state;
    need_root();
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        ruled_make_file(&ruled, rules[i]);
        assert_int_equal(program_run(&program,
                                     WORDS("afard", "-c", ruled.file, "--listen",
                                           "tcp://127.0.0.1:0", "--check"),
                                     NULL, 0),
                         0);
        if (strstr(program.stderr_data, "[allow x]: ") != NULL)
            fail_msg("%s: %s", rules[i], program.stderr_data);
        program_close(&program);
        assert_int_equal(unlink(ruled.file), 0);
    }
}

/* ---- where it begins ------------------------------------------------------------------------- */

/* nobody's home is not there on most systems, and must not keep him from his commands. */
static void test_a_home_that_is_missing(void **state)
{
    struct ruled ruled;
    struct program program;
    (void)state;
    need_root();
    if (program_run(&program, WORDS("sh", "-c", "test ! -e ~nobody"), NULL, 0) != 0) {
        print_message("skipped: here nobody has a home\n");
        skip();
    }
    program_close(&program);
    ruled_open(&ruled,
               "[allow root]\nclient = any\ncommand = /bin/true\nuser = nobody\n"
               "chroot = /nonexistent/jail\n"
               "[allow x]\nclient = any\ncommand = /bin/sh **\nuser = nobody\n"
               "[allow cwd]\nclient = any\ncommand = /bin/echo\nuser = nobody\n"
               "cwd = /nonexistent/place\n",
               "info");
    ruled_expect(&ruled, NULL, WORDS("sh", "-c", "pwd; id -un"), 0, "/\nnobody\n");
    ruled_expect(&ruled, WORDS("-w", "/tmp"), WORDS("sh", "-c", "pwd"), 0, "/tmp\n");
    ruled_expect(&ruled, WORDS("-w", "/nonexistent/asked"), WORDS("sh", "-c", "pwd"), 126,
                 "cannot change to directory '/nonexistent/asked': No such file or directory");
    ruled_expect(&ruled, NULL, WORDS("/bin/echo"), 126,
                 "cannot change to directory '/nonexistent/place': No such file or directory");
    ruled_expect(&ruled, NULL, WORDS("/bin/true"), 126,
                 "cannot change to the root directory '/nonexistent/jail'");
    ruled_close(&ruled);
}

/* ---- a command that cannot be ended ---------------------------------------------------------- */

/* Run as `test_privileges --root`, set-user-ID: becomes somebody whom the server may not signal,
 * and ends with its input. */
static int become_root(void)
{
    char byte = 0;
    if (setresuid(0, 0, 0) != 0)
        return 99;
    (void)puts("root");
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    return 7;
}

/* A copy of this program in `folder`, that runs as root whoever starts it. */
static void make_set_user_id(const char *folder, char copy[128])
{
    char self[512];
    struct program program;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    (void)snprintf(copy, 128, "%s/root", folder);
    assert_int_equal(program_run(&program, WORDS("cp", self, copy), NULL, 0), 0);
    program_close(&program);
    assert_int_equal(chmod(folder, 0755) | chmod(copy, 04755), 0);
}

/* A server that is nobody, on loopback; its URL. False: it cannot be started here. */
static bool start_as_nobody(struct program *server, char url[128])
{
    char afard[PROGRAM_TEXT_BYTES];
    (void)program_path("afard", afard);
    struct program probe;
    int status = program_run(&probe, WORDS(AS_NOBODY, afard, "--version"), NULL, 0);
    program_close(&probe);
    if (status != 0)
        return false;
    program_start(server,
                  WORDS(AS_NOBODY, afard, "--print-endpoints", "--listen", "tcp://127.0.0.1:0",
                        "--set", "kill_grace_ms=50"),
                  (const char *const[]){"ASAN_OPTIONS=detect_leaks=0", NULL}); /* see server_free */
    program_expect(server, 1, "listening ");
    program_expect(server, 1, "\n");
    (void)snprintf(url, 128, "%s", strstr(server->stdout_data, "tcp://"));
    url[strcspn(url, "\n")] = '\0';
    return true;
}

static void test_what_cannot_be_ended(void **state)
{
    char folder[] = "/tmp/afar-setuid-XXXXXX";
    char copy[128];
    char url[128];
    struct statvfs info;
    struct program server;
    struct program client;
    (void)state;
    need_root();
    assert_non_null(mkdtemp(folder));
    make_set_user_id(folder, copy);
    if (statvfs(folder, &info) != 0 || (info.f_flag & ST_NOSUID) != 0 ||
        !start_as_nobody(&server, url)) {
        print_message("skipped: no set-user-ID in /tmp, or nobody cannot reach the program\n");
        assert_int_equal(unlink(copy) | rmdir(folder), 0);
        skip();
    }
    program_start(&client,
                  WORDS("afar", "run", "--json", "--timeout", "1s", url, "--", copy, "--root"),
                  NULL);
    program_expect(&client, 1, "root");
    /* Its time is over, and neither TERM nor KILL can be sent. It ends when it likes. */
    program_expect(&server, 2, "cannot send it SIGTERM");
    program_expect(&server, 2, "cannot send it SIGKILL");
    program_finish(&client, NULL, 0);
    assert_int_equal(program_exit_status(&client), 7);
    assert_non_null(strstr(client.stdout_data, "\"outcome\":\"exited\""));
    assert_non_null(strstr(client.stdout_data,
                           "it should have been ended (timed_out), but the server may "
                           "not signal its processes"));
    program_close(&client);
    /* Nor does the server wait for it when it ends. */
    program_start(&client, WORDS("afar", "run", "--json", url, "--", copy, "--root"), NULL);
    program_expect(&client, 1, "root");
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    program_expect(&server, 2, "draining: ");
    assert_int_equal(kill(server.pid, SIGTERM), 0); /* at once */
    program_finish(&server, NULL, 0);
    assert_int_equal(program_exit_status(&server), 0);
    assert_non_null(strstr(server.stderr_data, "1 commands could not be killed and still run"));
    program_close(&server);
    program_finish(&client, NULL, 0);
    assert_int_equal(program_exit_status(&client), 125);
    assert_non_null(strstr(client.stdout_data, "\"outcome\":\"server_lost\""));
    program_close(&client);
    assert_int_equal(unlink(copy) | rmdir(folder), 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--root") == 0)
        return become_root();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capabilities_are_named),
        cmocka_unit_test(test_capabilities_at_a_reload),
        cmocka_unit_test(test_a_parents_end_needs_it),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_no_warnings),
        cmocka_unit_test(test_a_home_that_is_missing),
        cmocka_unit_test(test_what_cannot_be_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
