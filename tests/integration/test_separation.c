/* Commands of a real server and the files that are the server's own: key, configuration, audit log.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/folder.h"
#include "support/process_wait.h"
#include "support/program.h"

enum { PATH_BYTES = 160, SERVER = 54881, COMMANDS = 54882 };

#define WORDS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

/* What afard.service leaves to root, but for what it needs of /proc. */
#define FEW                                         \
    "setpriv", "--no-new-privs", "--inh-caps=-all", \
        "--bounding-set=-all,+setuid,+setgid,+setpcap,+kill"
/* Another user than root for the server itself. */
#define AS_SERVER "setpriv", "--reuid=54881", "--regid=54881", "--clear-groups"

/* Below a folder of root's: tls and log, which are the server's, and home, which is everybody's. */
struct place {
    char folder[64];
    char config[PATH_BYTES];
    struct program program;
    char url[PATH_BYTES];
};

static void path_of(const struct place *place, const char *name, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/%s", place->folder, name);
}

static void put(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fchmod(fileno(file), mode), 0);
    assert_int_equal(fclose(file), 0);
}

static void need_root(void)
{
    struct program program;
    char path[PROGRAM_TEXT_BYTES];
    if (geteuid() != 0) {
        print_message("skipped: only root can start a server that has another user\n");
        skip();
    }
    int status =
        program_run(&program, WORDS(AS_SERVER, program_path("afard", path), "--version"), NULL, 0);
    program_close(&program);
    if (status != 0) {
        print_message("skipped: another user than root cannot reach the program\n");
        skip();
    }
}

/* `owner`: of tls and log and what is in them. */
static void make_place(struct place *place, uid_t owner, const char *lines)
{
    static const struct {
        const char *name;
        mode_t mode;
        bool file;
    } made[] = {{"tls", 0700, false},
                {"tls/key.pem", 0600, true},
                {"log", 0700, false},
                {"log/audit.log", 0600, true}};
    char path[PATH_BYTES];
    char text[1024];
    *place = (struct place){.folder = "/run/afar-separation-XXXXXX"};
    assert_non_null(mkdtemp(place->folder));
    assert_int_equal(chmod(place->folder, 0755), 0);
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        path_of(place, made[i].name, path);
        if (made[i].file)
            put(path, "SECRET\n", made[i].mode);
        else
            assert_int_equal(mkdir(path, made[i].mode), 0);
        assert_int_equal(chown(path, owner, owner), 0);
    }
    path_of(place, "home", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 01777), 0);
    path_of(place, "afard.conf", place->config);
    (void)snprintf(text, sizeof text, "tls_key = %s/tls/key.pem\naudit_log = %s/log/audit.log\n%s",
                   place->folder, place->folder, lines);
    put(place->config, text, 0644);
}

static void remove_place(const struct place *place)
{
    assert_int_equal(folder_remove(place->folder), 0);
}

/* Starts `PREFIX… afard -c …` and waits until it listens. */
static void start(struct place *place, const char *const *prefix)
{
    const char *argv[PROGRAM_ARGS_MAX];
    char path[PROGRAM_TEXT_BYTES];
    char home[PATH_BYTES + 8];
    size_t used = 0;
    for (; *prefix != NULL; prefix++)
        argv[used++] = *prefix;
    argv[used++] = program_path("afard", path);
    argv[used++] = "-c";
    argv[used++] = place->config;
    argv[used++] = "--listen";
    argv[used++] = "tcp://127.0.0.1:0";
    argv[used++] = "--print-endpoints";
    argv[used] = NULL;
    (void)snprintf(home, sizeof home, "HOME=%s/home", place->folder);
    program_start(&place->program, argv, WORDS(home));
    program_expect(&place->program, 1, "listening ");
    const char *at = program_expect_after(&place->program, 1, 0, "\n");
    const char *url = strstr(place->program.stdout_data, "tcp://");
    (void)snprintf(place->url, sizeof place->url, "%.*s", (int)(at - url), url);
}

static void stop(struct place *place)
{
    assert_int_equal(kill(place->program.pid, SIGTERM), 0);
    program_finish(&place->program, NULL, 0);
    assert_int_equal(program_exit_status(&place->program), 0);
    program_close(&place->program);
}

/* A shell line, in which '@' stands for the folder: its status, and what it prints. */
static void assert_line(const struct place *place, const char *line, int status, const char *prints)
{
    struct program program;
    char text[2048];
    size_t used = 0;
    for (; *line != '\0' && used + PATH_BYTES < sizeof text; line++) {
        if (*line == '@')
            used += (size_t)snprintf(text + used, sizeof text - used, "%s", place->folder);
        else
            text[used++] = *line;
    }
    text[used] = '\0';
    int got = program_run(
        &program, WORDS("afar", "run", "-n", "--cwd", "/", place->url, "--", "sh", "-c", text),
        NULL, 0);
    if (got != status || strstr(program.stdout_data, prints) == NULL)
        fail_msg("%s: status %d, not %d: %s%s", text, got, status, program.stdout_data,
                 program.stderr_data);
    program_close(&program);
}

/* No way to the key, nor to the log; and the rest of the system as it is. */
static void assert_kept_away(const struct place *place)
{
    static const char *const lines[] = {
        "head -c 6 @/tls/key.pem",
        "head -c 6 /proc/self/root@/tls/key.pem",
        "ln -s @/tls/key.pem @/home/link; cat @/home/link",
        "ln @/tls/key.pem @/home/hard && cat @/home/hard",
        "mv @/tls @/home/tls && cat @/home/tls/key.pem",
        ": >@/log/audit.log",
        "echo x >>@/log/audit.log",
        "rm -f @/log/audit.log",
        "mv @/home/x @/log/audit.log",
        "echo x >>@/afard.conf",
    };
    char path[PATH_BYTES];
    struct stat log;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char line[512];
        (void)snprintf(line, sizeof line,
                       "if (%s) >@/home/out 2>&1; then echo done; exit 9; fi; "
                       "if grep SECRET @/home/out; then exit 8; fi; exit 0",
                       lines[i]);
        assert_line(place, line, 0, "");
    }
    (void)snprintf(path, sizeof path, "cat /proc/%d/environ || cat /proc/%d/root@/tls/key.pem",
                   (int)place->program.pid, (int)place->program.pid);
    assert_line(place, path, 1, "");
    assert_line(place, "echo x >@/home/x && cat /etc/passwd @/home/x >/dev/null && ls / @/home", 0,
                "etc");
    path_of(place, "log/audit.log", path);
    assert_int_equal(stat(path, &log), 0);
    assert_true(log.st_size > (off_t)strlen("SECRET\n"));
}

/* ---- another user ---------------------------------------------------------------------------- */

static void test_another_user(void **state)
{
    struct place place;
    char line[64];
    (void)state;
    need_root();
    make_place(&place, 0, "user = 54882\n");
    start(&place, WORDS(FEW));
    assert_kept_away(&place);
    assert_line(&place, "id -u; id -G; grep -E 'Cap(Prm|Bnd)|NoNew' /proc/self/status", 0,
                "54882\n54882\nCapPrm:\t0000000000000000\nCapBnd:\t0000000000000000\n"
                "NoNewPrivs:\t1\n");
    (void)snprintf(line, sizeof line, "kill -0 %d", (int)place.program.pid);
    assert_line(&place, line, 1, "");
    assert_null(strstr(place.program.stderr_data, "warn commands"));
    stop(&place);
    remove_place(&place);
}

/* With so few capabilities a command is ended as always, and what it leaves behind is found. */
static void test_ended_with_few_capabilities(void **state)
{
    struct place place;
    struct program program;
    char pid[32] = "";
    char path[PATH_BYTES];
    (void)state;
    need_root();
    make_place(&place, 0, "user = 54882\nkill_grace_ms = 100\n");
    start(&place, WORDS(FEW));
    int status = program_run(&program,
                             WORDS("afar", "run", "-n", "--timeout", "1s", place.url, "--", "sh",
                                   "-c", "trap '' TERM; sleep 1000"),
                             NULL, 0);
    assert_int_equal(status, 124);
    program_close(&program);
    /* A daemon: twice in a session of its own, and an orphan. */
    assert_line(&place,
                "setsid sh -c 'setsid sh -c \"echo \\$\\$ >@/home/pid; mv @/home/pid @/home/is; "
                "exec sleep 1000\" >/dev/null 2>&1 &' >/dev/null 2>&1; "
                "while ! [ -e @/home/is ]; do sleep 0.01; done",
                0, "");
    path_of(&place, "home/is", path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(pid, sizeof pid, file));
    assert_int_equal(fclose(file), 0);
    expect_processes_gone(pid);
    stop(&place);
    remove_place(&place);
}

/* ---- the server's own user ------------------------------------------------------------------- */

static bool has_landlock(struct place *place)
{
    if (strstr(place->program.stderr_data, "Landlock, as of Linux 6.2") == NULL)
        return true;
    print_message("skipped: this kernel has no Landlock\n");
    stop(place);
    remove_place(place);
    return false;
}

/* Nobody can miss that: in the log, in --check, and in the metrics. */
static void test_told(void **state)
{
    static const char says[] = "commands run as uid 54881, as this server does, and can read "
                               "tls_key /run/afar-separation-";
    struct place place;
    struct program program;
    char path[PROGRAM_TEXT_BYTES];
    (void)state;
    need_root();
    make_place(&place, SERVER, "confine = no\n");
    start(&place, WORDS(AS_SERVER));
    program_expect(&place.program, 2, says);
    program_expect(&place.program, 2, ": confine = no is set\n");
    assert_line(&place, "head -c 6 @/tls/key.pem", 0, "SECRET");
    stop(&place);
    /* (The rest of the check has nothing against a key that is none, without tls://.) */
    int status = program_run(&program,
                             WORDS(AS_SERVER, program_path("afard", path), "-c", place.config,
                                   "--listen", "tcp://127.0.0.1:0", "--check"),
                             NULL, 0);
    assert_int_equal(status, 0);
    assert_non_null(strstr(program.stderr_data, "afard: warning: "));
    assert_non_null(strstr(program.stderr_data, says));
    program_close(&program);
    remove_place(&place);
}

static void test_fence(void **state)
{
    struct place place;
    (void)state;
    need_root();
    make_place(&place, SERVER, "confine = yes\n");
    struct program program;
    char path[PROGRAM_TEXT_BYTES];
    int status = program_run(&program,
                             WORDS(AS_SERVER, program_path("afard", path), "-c", place.config,
                                   "--listen", "tcp://127.0.0.1:0", "--check"),
                             NULL, 0);
    if (status != 0 && strstr(program.stderr_data, "Landlock, as of Linux 6.2") != NULL) {
        print_message("skipped: this kernel has no Landlock\n");
        program_close(&program);
        remove_place(&place);
        skip();
    }
    program_close(&program);
    start(&place, WORDS(AS_SERVER));
    assert_null(strstr(place.program.stderr_data, "warn commands"));
    assert_kept_away(&place);
    assert_line(&place, "grep NoNewPrivs /proc/self/status", 0, "NoNewPrivs:\t1\n");
    stop(&place);
    remove_place(&place);
}

/* A reload makes another fence, or none; rules may be without. */
static void test_reload_and_rules(void **state)
{
    struct place place;
    char text[1024];
    (void)state;
    need_root();
    make_place(&place, SERVER, "confine = no\n");
    start(&place, WORDS(AS_SERVER));
    if (!has_landlock(&place))
        skip();
    assert_line(&place, "head -c 6 @/tls/key.pem", 0, "SECRET");
    (void)snprintf(text, sizeof text,
                   "confine = yes\ntls_key = %s/tls/key.pem\naudit_log = %s/log/audit.log\n"
                   "[allow head]\nclient = any\ncommand = /usr/bin/head **\nconfine = no\n"
                   "[allow x]\nclient = any\ncommand = **\n",
                   place.folder, place.folder);
    put(place.config, text, 0644);
    size_t seen = place.program.stderr_size;
    assert_int_equal(kill(place.program.pid, SIGHUP), 0);
    (void)program_expect_after(&place.program, 2, seen, "SIGHUP: reloaded");
    (void)program_expect_after(&place.program, 2, seen,
                               "warn commands of rule 'head' run as uid 54881");
    assert_line(&place, "head -c 6 @/tls/key.pem 2>/dev/null", 1, "");
    char key[PATH_BYTES];
    struct program program;
    path_of(&place, "tls/key.pem", key);
    assert_int_equal(
        program_run(&program, WORDS("afar", "run", "-n", place.url, "--", "head", key), NULL, 0),
        0);
    assert_string_equal(program.stdout_data, "SECRET\n");
    program_close(&program);
    /* What cannot be had changes nothing. */
    put(place.config, "confine = yes\nuser = 1\n", 0644);
    seen = place.program.stderr_size;
    assert_int_equal(kill(place.program.pid, SIGHUP), 0);
    (void)program_expect_after(&place.program, 2, seen, "SIGHUP: not reloaded");
    assert_line(&place, "head -c 6 @/tls/key.pem 2>/dev/null", 1, "");
    stop(&place);
    remove_place(&place);
}

/* By itself, where the root is read-only and there are no new privileges anyway: as in a pod. */
static void test_as_in_a_pod(void **state)
{
    static const char line[] =
        "mount --make-rprivate / && mount --rbind / / && mount -o remount,bind,ro / || exit 77\n"
        "! mountpoint -q /run || mount -o remount,bind,ro /run || exit 77\n"
        "mount -t tmpfs none \"$0/home\" && chmod 1777 \"$0/home\" || exit 77\n"
        "mount --bind \"$0/log\" \"$0/log\" && mount -o remount,bind,rw \"$0/log\" || exit 77\n"
        "exec \"$@\"";
    struct place place;
    struct program program;
    (void)state;
    need_root();
    make_place(&place, SERVER, "");
    int status = program_run(
        &program, WORDS("unshare", "-m", "chroot", "/", "sh", "-c", line, place.folder, "true"),
        NULL, 0);
    program_close(&program);
    if (status != 0) {
        print_message("skipped: nothing can be mounted here\n");
        remove_place(&place);
        skip();
    }
    start(&place,
          WORDS("unshare", "-m", "sh", "-c", line, place.folder, AS_SERVER, "--no-new-privs"));
    if (!has_landlock(&place))
        skip();
    program_expect(&place.program, 2, "commands that run as this server's user cannot use ");
    assert_null(strstr(place.program.stderr_data, "warn commands"));
    assert_kept_away(&place);
    stop(&place);
    remove_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_user),
        cmocka_unit_test(test_ended_with_few_capabilities),
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_fence),
        cmocka_unit_test(test_reload_and_rules),
        cmocka_unit_test(test_as_in_a_pod),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
