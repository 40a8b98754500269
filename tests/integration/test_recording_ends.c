/* Recordings that players show, and such as end before their time: where there is no room, and where
 * the server or a keeper is killed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/folder.h"
#include "support/keeping.h"
#include "support/pane.h"
#include "support/process_wait.h"
#include "support/terminal.h"

#define WORDS KEEPING_WORDS
#define RECORD_ERRORS "afard_record_errors_total"

enum { RULES_BYTES = 1024, PATH_BYTES = 512, LINES = 500, LOOK_EACH_US = 5000, WITHIN_MS = 1000 };

static char folder[64];
static char casts[80];
static char rules[80];
static struct keeping keeping;
static struct terminal person;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-test-cast-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(casts, sizeof casts, "%s/casts", folder);
    (void)snprintf(rules, sizeof rules, "%s/rules", folder);
    return mkdir(casts, 0700);
}

static int tear_down(void **state)
{
    (void)state;
    keeping_close(&keeping);
    (void)umount(casts); /* where a test has failed */
    return folder_remove(folder);
}

/* A server whose one rule records, with these lines more in it. */
static void start(const char *more)
{
    static const char *options[] = {"-c", rules, "--http", "tcp://127.0.0.1:0", NULL};
    FILE *file = fopen(rules, "we");
    assert_non_null(file);
    assert_true(fprintf(file,
                        "[server]\naudit_log = %s/audit\naudit_chain = yes\nkill_grace_ms = 300\n"
                        "[allow all]\nclient = any\nmay = run attach kill list keep\nshell = yes\n"
                        "command = **\nrecord = %s\n%s",
                        folder, casts, more) > 0);
    assert_int_equal(fclose(file), 0);
    keeping_open(&keeping, options);
}

/* The one recording there is; false: there is none. */
static bool find_cast(char path[PATH_BYTES])
{
    size_t count = 0;
    DIR *dir = opendir(casts);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        (void)snprintf(path, PATH_BYTES, "%s/%s", casts, entry->d_name);
    }
    (void)closedir(dir);
    assert_true(count <= 1);
    return count == 1;
}

/* Each line is JSON, but of one that is `torn` maybe the last; what 'o' holds is "line 1", "line 2"
 * and so on, and maybe the beginning of one more. Returns the last of these numbers. */
static long last_line(const char *path, bool torn)
{
    static const char script[] =
        "import json,sys\n"
        "lines=open(sys.argv[1],encoding='utf-8',errors='replace').read().split('\\n')\n"
        "rest=lines.pop()\n"
        "assert rest=='' or sys.argv[2]=='torn', rest\n"
        "h=json.loads(lines[0]); assert h['version']==2\n"
        "e=[json.loads(l) for l in lines[1:]]\n"
        "assert all(len(x)==3 and x[1] in 'orm' for x in e)\n"
        "assert [x[0] for x in e]==sorted(x[0] for x in e)\n"
        "if sys.argv[2]!='torn': assert [x[2] for x in e if x[1]=='m'][-1]=='end', e[-1]\n"
        "out=''.join(x[2] for x in e if x[1]=='o').split('\\r\\n')\n"
        "last=out.pop(); n=len(out)\n"
        "assert out==['line %d'%i for i in range(1,n+1)], n\n"
        "assert ('line %d\\r'%(n+1)).startswith(last), last\n"
        "print(n)\n";
    struct program program;
    if (program_run(&program, WORDS("python3", "-c", script, path, torn ? "torn" : "whole"), NULL,
                    0) != 0)
        fail_msg("%s", program.stderr_data);
    const long last = strtol(program.stdout_data, NULL, 10);
    program_close(&program);
    return last;
}

/* The file has it, while its command runs. */
static bool has_line(char path[PATH_BYTES], const char *text)
{
    struct program program;
    if (!find_cast(path))
        return false;
    const int status = program_run(&program, WORDS("grep", "-q", text, path), NULL, 0);
    program_close(&program);
    return status == 0;
}

static void await_line(char path[PATH_BYTES], long number)
{
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    char text[64];
    (void)snprintf(text, sizeof text, "line %ld.u000d", number);
    while (!has_line(path, text)) {
        if (clock_now_ms() >= deadline_ms)
            fail_msg("'%s' is not recorded", text);
        (void)usleep(LOOK_EACH_US);
    }
}

/* ---- as players show it ------------------------------------------------------------------------ */

/* It wants a terminal, and writes to a file. */
static void expect_player(const char *path, const char *shown, size_t size)
{
    static struct terminal player;
    static char played[TERMINAL_BYTES];
    char file[PATH_BYTES];
    (void)snprintf(file, sizeof file, "%s/played", folder);
    terminal_start(&player,
                   WORDS("sh", "-c", "LC_ALL=C.UTF-8 exec asciinema cat $1 >$2", "sh", path, file));
    if (terminal_finish(&player) != 0)
        fail_msg("%s", player.text);
    FILE *from = fopen(file, "re");
    assert_non_null(from);
    assert_int_equal(fread(played, 1, sizeof played, from), size);
    assert_int_equal(fclose(from), 0);
    assert_memory_equal(played, shown, size);
}

static void in_a_player(void **state)
{
    (void)state;
    static char shown[TERMINAL_BYTES];
    char path[PATH_BYTES];
    if (!pane_has("asciinema")) {
        print_message("skipped: no asciinema here\n");
        start("");
        skip();
    }
    start("");
    terminal_start_at(
        &person,
        WORDS(
            "afar", "run", "-t", keeping.url, "--", "bash", "-c",
            "stty -echo; printf '\\u00e9\\u20ac \\033[1mbold\\033[0m \"\\\\\\t\\x01\\n'; seq 9999; "
            "printf '\\342'; sleep .1; printf '\\202\\254'; echo rea\"\"dy; read x; stty size; "
            "echo en\"\"ter; read x; until stty size | grep -q 98; do :; done; printf "
            "'\\033[?1049h\\033[2J\\033[?1049l'; seq 9999"),
        24, 80);
    terminal_await(&person, "ready\r\n");
    terminal_size(&person, 31, 99);
    terminal_type(&person, "secret\r");
    terminal_await(&person, "enter\r\n");
    terminal_size(&person, 32, 98);
    terminal_type(&person, "other secret\r");
    assert_int_equal(terminal_finish(&person), 0);
    memcpy(shown, person.text, sizeof shown);
    assert_non_null(strstr(shown, "31 99\r\n"));
    assert_true(find_cast(path));
    expect_player(path, shown, person.size);
    assert_true(has_line(path, "\"r\", \"99x31\""));
    assert_true(has_line(path, "\"r\", \"98x32\""));
    assert_false(has_line(path, "secret"));
    assert_false(has_line(path, ", \"i\", "));
}

/* ---- no room ----------------------------------------------------------------------------------- */

/* A command that writes more than there is room for: `afar run`'s status, and what it shows. */
static void run_without_room(const char *more, int status, const char *shown, char path[PATH_BYTES])
{
    struct program program;
    if (geteuid() != 0 || mount("none", casts, "tmpfs", 0, "size=1m,mode=700") != 0) {
        start("");
        print_message("skipped: no file system can be mounted here\n");
        skip();
    }
    start(more);
    const int ended = keeping_afar(
        &program,
        WORDS("run", "-tn", "-s", keeping.url, "--",
              "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); echo line $i; done; echo end"));
    if (ended != status ||
        (strstr(program.stdout_data, shown) == NULL && strstr(program.stderr_data, shown) == NULL))
        fail_msg("status %d: %s", ended, program.stderr_data);
    program_close(&program);
    assert_int_equal((int)afard_metric(&keeping.server, RECORD_ERRORS), 1);
    assert_true(find_cast(path));
}

static void no_room_for_it(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    run_without_room(
        "", 125, "killed by the server: its recording cannot be written: No space left on device",
        path);
    assert_true(last_line(path, true) > LINES);
    assert_int_equal(umount(casts), 0);
}

static void it_goes_on_without(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    run_without_room("record_full = go_on\n", 0, "line 200000\r\nend\r\n", path);
    assert_true(last_line(path, true) > LINES);
    afard_expect_log(&keeping.server, "its recording cannot be written: No space left on device");
    assert_int_equal(umount(casts), 0);
}

/* Each byte is six in the file, and as many come at a time as there is room for. */
static void much_at_once(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    struct program program;
    start("");
    int ended = keeping_afar(
        &program, WORDS("run", "-tn", "-s", keeping.url, "--",
                        "stty -opost; head -c 8000000 /dev/zero | tr '\\0' '\\001'; echo end"));
    if (ended != 0)
        fail_msg("status %d: %s", ended, program.stderr_data);
    program_close(&program);
    assert_int_equal((int)afard_metric(&keeping.server, RECORD_ERRORS), 0);
    assert_true(find_cast(path));
    assert_true(has_line(path, "end"));
}

/* ---- killed ------------------------------------------------------------------------------------ */

#define COUNT_LINES "i=0; until [ -e $D/stop ]; do i=$((i+1)); echo line $i; done"

static void begin(char line[RULES_BYTES], const char *before)
{
    (void)snprintf(line, RULES_BYTES, "D=%s; %s" COUNT_LINES, folder, before);
}

/* What is shown is in the file within a second. */
static void it_is_written_at_once(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    struct program client;
    start("");
    program_start(&client,
                  WORDS("afar", "run", "-t", "-s", keeping.url, "--", "echo line 1; read x"), NULL);
    program_expect(&client, 1, "line 1\r\n");
    const int64_t shown_ms = clock_now_ms();
    await_line(path, 1);
    const int64_t most_ms = WITHIN_MS * test_deadline_ms() / 60000;
    assert_true(clock_now_ms() - shown_ms <= most_ms);
    program_finish(&client, "\n", 1);
    program_close(&client);
}

/* With it goes the command; what was recorded of it can be played. */
static void the_server_is_killed(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    char line[RULES_BYTES];
    char job[64];
    struct program client;
    start("");
    begin(line, "");
    program_start(&client,
                  WORDS("afar", "run", "-tn", "-s", "--reconnect", "0", keeping.url, "--", line),
                  NULL);
    await_line(path, LINES);
    keeping_kill(&keeping);
    program_finish(&client, NULL, 0);
    assert_int_equal(program_exit_status(&client), 125);
    program_close(&client);
    const char *id = strrchr(path, '-');
    assert_non_null(id);
    (void)snprintf(job, sizeof job, "AFAR_JOB=%.32s", id + 1);
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (processes_with(job) > 0) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(LOOK_EACH_US);
    }
    assert_true(last_line(path, true) >= LINES);
    keeping_start(&keeping); /* which it does not hinder */
}

/* A keeper records on, and its recording is whole. */
static void a_keeper_stays(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    char line[RULES_BYTES];
    char job[KEEPING_JOB_BYTES];
    struct program client;
    start("");
    begin(line, "");
    assert_int_equal(keeping_afar(&client, WORDS("run", "-d", "-t", "-s", keeping.url, "--", line)),
                     0);
    (void)snprintf(job, sizeof job, "%.32s", client.stdout_data);
    program_close(&client);
    await_line(path, LINES);
    keeping_kill(&keeping);
    const long then = last_line(path, true);
    await_line(path, then + LINES); /* there is no server */
    keeping_start(&keeping);
    await_line(path, last_line(path, true) + LINES);
    (void)snprintf(line, sizeof line, "%s/stop", folder);
    FILE *stop = fopen(line, "we");
    assert_non_null(stop);
    assert_int_equal(fclose(stop), 0);
    assert_int_equal(keeping_afar(NULL, WORDS("wait", keeping.url, job)), 0);
    assert_true(last_line(path, false) > then + 2 * LINES);
    assert_int_equal(keeping_stop(&keeping), 0);
    (void)snprintf(line, sizeof line, "%s/audit", folder);
    if (program_run(&client, WORDS("afard", "--verify-audit", line), NULL, 0) != 0 ||
        strstr(client.stdout_data, "1 recordings are as they were written\n") == NULL)
        fail_msg("%s%s", client.stdout_data, client.stderr_data);
    program_close(&client);
    keeping_start(&keeping);
}

static void a_keeper_is_killed(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    char line[RULES_BYTES];
    char job[KEEPING_JOB_BYTES];
    struct program client;
    int keeper = 0;
    start("");
    begin(line, "echo $PPID >$D/keeper; ");
    assert_int_equal(keeping_afar(&client, WORDS("run", "-d", "-t", "-s", keeping.url, "--", line)),
                     0);
    (void)snprintf(job, sizeof job, "%.32s", client.stdout_data);
    program_close(&client);
    await_line(path, LINES);
    (void)snprintf(line, sizeof line, "%s/keeper", folder);
    FILE *from = fopen(line, "re");
    assert_non_null(from);
    assert_int_equal(fscanf(from, "%d", &keeper), 1);
    assert_int_equal(fclose(from), 0);
    assert_true(keeper > 1);
    assert_int_equal(kill(keeper, SIGKILL), 0);
    expect_process_gone(keeper);
    (void)keeping_afar(NULL, WORDS("wait", keeping.url, job));
    assert_true(last_line(path, true) >= LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_a_player, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_room_for_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_goes_on_without, set_up, tear_down),
        cmocka_unit_test_setup_teardown(much_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_written_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_server_is_killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_keeper_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_keeper_is_killed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
