/* Recordings: what a terminal has shown is in a file that players open, and in the audit log. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/folder.h"
#include "support/recorded.h"
#include "support/ruled.h"
#include "support/terminal.h"

enum { RULES_BYTES = 1024, FILE_BYTES = 1 << 20 };

static char folder[64];
static char casts[80];
static char text[FILE_BYTES];
static struct ruled ruled;
static struct terminal person;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-test-cast-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(casts, sizeof casts, "%s/casts", folder);
    return mkdir(casts, 0700);
}

static int tear_down(void **state)
{
    (void)state;
    (void)umount(casts); /* where a test has failed */
    return folder_remove(folder);
}

/* A server whose one rule records into `casts`, with these lines more in it. */
static void start(const char *more)
{
    char rules[RULES_BYTES];
    (void)snprintf(rules, sizeof rules,
                   "[server]\naudit_log = %s/audit\naudit_chain = yes\nkill_grace_ms = 300\n"
                   "state_directory = %s/state\n"
                   "[allow all]\nclient = any\nmay = run attach kill list keep\nshell = yes\n"
                   "command = **\nenv = PS1\nrecord = %s\n%s",
                   folder, folder, casts, more);
    ruled_open(&ruled, rules, "info");
}

static void verify(int status, const char *out, const char *err)
{
    char log[128];
    struct program program;
    (void)snprintf(log, sizeof log, "%s/audit", folder);
    const char *argv[] = {"afard", "--verify-audit", log, NULL};
    int ended = program_run(&program, argv, NULL, 0);
    if (ended != status || strstr(program.stdout_data, out) == NULL ||
        strstr(program.stderr_data, err) == NULL)
        fail_msg("%d: %s %s", ended, program.stdout_data, program.stderr_data);
    program_close(&program);
}

static void read_audit(void)
{
    char log[128];
    (void)snprintf(log, sizeof log, "%s/audit", folder);
    (void)recorded_read(log, text, sizeof text);
}

/* The one recording there is; its text. */
static void read_cast(char path[512])
{
    struct stat info;
    assert_int_equal(recorded_find(casts, path), 1);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    (void)recorded_read(path, text, sizeof text);
}

static void forget(const char *path)
{
    char log[128];
    (void)snprintf(log, sizeof log, "%s/audit", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(log), 0);
}

/* Each line is JSON, and what 'o' holds is what came here. */
static void check_format(const char *path, const char *shown)
{
    static const char script[] =
        "import json,sys\n"
        "lines=open(sys.argv[1],encoding='utf-8').read().split('\\n')\n"
        "assert lines.pop()==''\n"
        "h=json.loads(lines[0]); assert h['version']==2 and h['width']==80 and h['height']==24\n"
        "e=[json.loads(l) for l in lines[1:]]\n"
        "assert all(len(x)==3 and x[1] in 'orm' for x in e)\n"
        "assert [x[0] for x in e]==sorted(x[0] for x in e)\n"
        "out=''.join(x[2] for x in e if x[1]=='o')\n"
        "want=open(0,'rb').read().decode('utf-8','replace')\n"
        "assert out==want, (out,want)\n";
    struct program program;
    const char *argv[] = {"python3", "-c", script, path, NULL};
    if (program_run(&program, argv, shown, strlen(shown)) != 0)
        fail_msg("%s", program.stderr_data);
    program_close(&program);
}

static void it_is_what_was_shown(void **state)
{
    (void)state;
    char path[512];
    start("");
    const char *argv[] = {"afar",
                          "run",
                          "-t",
                          ruled.afard.url[0],
                          "--",
                          "bash",
                          "-c",
                          "stty size; printf '\\u00e9\\u20ac \\033[1mbold\\033[0m \"\\\\\\n'; "
                          "printf '\\342\\202'; sleep .2; printf '\\254\\377'; sleep .2; "
                          "stty -echo; echo rea\"\"dy; read x; echo; stty size",
                          NULL};
    terminal_start_at(&person, argv, 24, 80);
    terminal_await(&person, "ready\r\n");
    terminal_size(&person, 31, 99);
    terminal_type(&person, "secret\r");
    assert_int_equal(terminal_finish(&person), 0);
    read_cast(path);
    assert_non_null(strstr(text, "\"afar\": {\"job\": \""));
    assert_non_null(strstr(text, "\"rule\": \"all\""));
    assert_non_null(strstr(text, ", \"command\": \"bash -c 'stty size; printf "));
    assert_non_null(strstr(text, "\"r\", \"99x31\"]\n"));
    assert_non_null(strstr(text, "\"m\", \"end\"]\n"));
    assert_null(strstr(text, "secret"));
    check_format(path, person.text);
    ruled_close(&ruled);
    read_audit();
    assert_non_null(strstr(text, "\"event\":\"start\""));
    assert_non_null(strstr(text, "\"record\":\"/tmp/"));
    assert_non_null(strstr(text, ",\"record_sha256\":\""));
    verify(0, "1 recordings are as they were written\n", "");
    /* A byte more, and another. */
    assert_int_equal(truncate(path, 100), 0);
    verify(1, "", "is not as it was written");
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    (void)close(fd);
    assert_int_equal(rename(path, "/tmp/afar-test-cast-gone"), 0);
    verify(1, "", "the recording /tmp/");
    /* What is in its place is not waited for, and not followed. */
    assert_int_equal(mkfifo(path, 0600), 0);
    verify(1, "", "is not a regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/tmp/afar-test-cast-gone", path), 0);
    verify(1, "", "is a symbolic link");
    assert_int_equal(rename("/tmp/afar-test-cast-gone", path), 0);
    forget(path);
}

/* Nothing of it goes unrecorded because no terminal was asked for. */
static void it_wants_a_terminal(void **state)
{
    (void)state;
    start("");
    ruled_expect(&ruled, NULL, WORDS("echo", "x"), 125, "wants a terminal: afar run -t");
    ruled_close(&ruled);
    start("pty = yes\n");
    ruled_expect(&ruled, NULL, WORDS("echo", "x"), 0, "x\n");
    ruled_close(&ruled);
}

/* A burst that is longer than the recording may be: of it, too, nothing is shown that is not
 * recorded, however the command ends. */
static void no_burst_goes_unrecorded(void **state)
{
    (void)state;
    static const char *const ends[] = {"seq 300000; sleep 100", "exec seq 12000"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char path[512];
        struct program program;
        start("record_max = 64K\n");
        const int status = ruled_run(&ruled, &program, WORDS("-t"), WORDS("sh", "-c", ends[i]));
        if (status != 125 || strstr(program.stderr_data, "its recording cannot be written") == NULL)
            fail_msg("%d: %s", status, program.stderr_data);
        ruled_close(&ruled);
        read_cast(path);
        assert_in_range(strlen(text), 60000, 65536);
        assert_non_null(strstr(text, "\"m\", \"not recorded from here: it is as long as its rule"));
        assert_true(program.stdout_size > 20000);
        check_format(path, program.stdout_data);
        program_close(&program);
        verify(0, "1 recordings", "");
        forget(path);
    }
}

static void its_limit(void **state)
{
    (void)state;
    char path[512];
    start("record_max = 20K\n");
    ruled_expect(&ruled, WORDS("-t"), WORDS("sh", "-c", "seq 100000; sleep 100"), 125,
                 "its recording cannot be written: it is as long as its rule allows");
    ruled_close(&ruled);
    read_cast(path);
    assert_true(strlen(text) <= 20480 && text[strlen(text) - 1] == '\n');
    verify(0, "1 recordings", "");
    forget(path);
    start("record_max = 20K\nrecord_full = go_on\n");
    ruled_expect(&ruled, WORDS("-t"), WORDS("sh", "-c", "seq 100000; echo the end"), 0,
                 "the end\r\n");
    ruled_close(&ruled);
    read_cast(path);
    assert_true(strlen(text) <= 20480);
    assert_non_null(strstr(text, "\"m\", \"not recorded from here: it is as long as its rule"));
    read_audit();
    assert_non_null(strstr(text, ",\"record_error\":\"it is as long as its rule allows"));
    verify(0, "1 recordings", "");
    forget(path);
}

/* It can be made, and no more than a part of it written. */
static void no_room(void **state)
{
    (void)state;
    char path[512];
    if (geteuid() != 0 || mount("none", casts, "tmpfs", 0, "size=64k,mode=700") != 0) {
        print_message("no file system can be mounted here\n");
        skip();
    }
    start("");
    ruled_expect(&ruled, WORDS("-t"), WORDS("sh", "-c", "seq 100000; sleep 100"), 125,
                 "its recording cannot be written: No space left on device");
    ruled_close(&ruled);
    read_cast(path);
    assert_int_equal(text[strlen(text) - 1], '\n');
    verify(0, "1 recordings", "");
    forget(path);
    (void)umount(casts);
    /* And where it cannot be made nothing runs. */
    start("");
    assert_int_equal(rmdir(casts), 0);
    ruled_expect(&ruled, WORDS("-t"), WORDS("sh", "-c", "touch /tmp/afar-must-not-be"), 125,
                 "the server cannot make its recording");
    assert_int_equal(access("/tmp/afar-must-not-be", F_OK), -1);
    ruled_close(&ruled);
    assert_int_equal(mkdir(casts, 0700), 0);
}

/* What the audit log could not name has not run, and has no file. */
static void nothing_without_its_line(void **state)
{
    (void)state;
    char path[RECORDED_PATH_BYTES];
    char log[128];
    char rules[RULES_BYTES];
    char filler[320];
    unsigned ran = 0;
    int status = 0;
    (void)snprintf(log, sizeof log, "%s/log", folder);
    assert_int_equal(mkdir(log, 0700), 0);
    if (geteuid() != 0 || mount("none", log, "tmpfs", 0, "size=64k,mode=700") != 0) {
        print_message("no file system can be mounted here\n");
        skip();
    }
    (void)snprintf(rules, sizeof rules,
                   "[server]\naudit_log = %s/audit\n[allow all]\nclient = any\ncommand = **\n"
                   "record = %s\n",
                   log, casts);
    ruled_open(&ruled, rules, "info");
    (void)snprintf(filler, sizeof filler, "cat /dev/zero >%s/filler", log);
    struct program program;
    (void)program_run(&program, WORDS("sh", "-c", filler), NULL, 0);
    program_close(&program);
    while (status == 0) { /* what is left of a page */
        status = ruled_run(&ruled, &program, WORDS("-t"), WORDS("true"));
        ran += status == 0;
        if (status != 0)
            assert_non_null(strstr(program.stderr_data, "cannot write its audit log"));
        program_close(&program);
        assert_true(ran < 50);
    }
    assert_int_equal(recorded_find(casts, path), ran);
    ruled_close(&ruled);
    assert_int_equal(umount(log), 0);
    (void)snprintf(filler, sizeof filler, "rm %s/*; rmdir %s", casts, log);
    (void)program_run(&program, WORDS("sh", "-c", filler), NULL, 0);
    program_close(&program);
}

/* A kept command runs under such a rule; when it has ended, its server tells the log. */
static void run_kept(const char *rule, const char *script, const char *output)
{
    struct program program;
    start(rule);
    ruled_expect(&ruled, WORDS("-t", "--keep"), WORDS("sh", "-c", script), 0, output);
    const char *argv[] = {"afar", "ps", "-a", ruled.afard.url[0], NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    program_close(&program);
    ruled_close(&ruled);
}

/* A kept one's is its keeper's, and its end comes to the log. */
static void kept(void **state)
{
    (void)state;
    char path[512];
    run_kept("", "echo one; echo two", "one\r\ntwo\r\n");
    read_cast(path);
    assert_non_null(strstr(text, "one\\u000d\\u000a"));
    read_audit();
    assert_non_null(strstr(text, ",\"record_sha256\":\""));
    assert_null(strstr(text, "record_error"));
    verify(0, "1 recordings", "");
    forget(path);
}

/* Its keeper tells of it in the folder of the job, and a server tells the log. */
static void kept_and_cut(void **state)
{
    (void)state;
    char path[512];
    run_kept("record_max = 2K\nrecord_full = go_on\n", "seq 10000; echo the end", "the end\r\n");
    read_cast(path);
    assert_true(strlen(text) <= 2048);
    read_audit();
    assert_non_null(strstr(text, ",\"record_sha256\":\""));
    assert_non_null(strstr(text, ",\"record_error\":\"it is as long as its rule allows"));
    verify(0, "1 recordings", "");
    forget(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_what_was_shown),
        cmocka_unit_test(it_wants_a_terminal),
        cmocka_unit_test(no_burst_goes_unrecorded),
        cmocka_unit_test(its_limit),
        cmocka_unit_test(no_room),
        cmocka_unit_test(nothing_without_its_line),
        cmocka_unit_test(kept),
        cmocka_unit_test(kept_and_cut),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
