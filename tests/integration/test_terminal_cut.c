/* A terminal on a network that is cut again and again: nobody sees anything of it.
 *
 *   AFAR_TERMINAL_CUTS=n AFAR_TERMINAL_LINES=n  so many cuts of each program, and lines of seq, instead
 *                                             of 30 and 300,000: `make soak-terminal` has 100 and a
 *                                             million */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/cutter.h"
#include "support/folder.h"
#include "support/pane.h"
#include "support/terminal.h"

enum { ROWS = 30, COLS = 100, CUTS = 30, LINES = 300000, LINE_BYTES = 8 };

static unsigned cuts = CUTS;
static unsigned lines = LINES;
static struct afard server;
static struct pane pane;
static struct pane straight;
static struct terminal person;

static int set_up(void **state)
{
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "kill_grace_ms=300", NULL};
    (void)state;
    afard_start(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

static struct cutter *begin(unsigned count, unsigned most_bytes, char url[64])
{
    const struct cutter_plan plan = {.cuts = count, .most_bytes = most_bytes, .seed = 20};
    struct cutter *cutter = cutter_start(afard_port(&server, 0), &plan);
    (void)snprintf(url, 64, "tcp://127.0.0.1:%u", cutter_port(cutter));
    return cutter;
}

static void end(struct cutter *cutter, unsigned least)
{
    struct cutter_result result;
    cutter_stop(cutter, &result);
    assert_true(result.cuts >= least);
}

/* Not one byte twice, and none missing. */
static void much_output(void **state)
{
    static const char line[] = "seq 30000; echo rea\"\"dy; read x; echo \"<$x>\"";
    static char whole[TERMINAL_BYTES];
    char url[64];
    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        struct cutter *cutter = cut ? begin(40, 8000, url) : NULL;
        const char *argv[] = {"afar", "run", "-t", cut ? url : server.url[0], "--", "sh",
                              "-c",   line,  NULL};
        terminal_start_at(&person, argv, ROWS, COLS);
        terminal_await(&person, "ready\r\n");
        terminal_type(&person, "key\r");
        assert_int_equal(terminal_finish(&person), 0);
        if (cut)
            assert_string_equal(person.text, whole);
        memcpy(whole, person.text, sizeof whole);
        if (cut)
            end(cutter, 10);
    }
}

/* The same of far more, and what a screen shows of it in the end. */
static void a_million_lines(void **state)
{
    char line[2048];
    char url[64];
    (void)state;
    if (!pane_has("tmux")) {
        print_message("no tmux here\n");
        skip();
    }
    for (int cut = 0; cut < 2; cut++) {
        struct cutter *cutter = cut ? begin(cuts, lines / cuts * LINE_BYTES, url) : NULL;
        const char *to = cut ? url : server.url[0];
        (void)snprintf(line, sizeof line,
                       "s=$(afar run -t %s -- seq %u </dev/null | cksum); "
                       "afar run -t %s -- seq %u; echo sum=$s",
                       to, lines, to, lines);
        pane_open(&pane, ROWS, COLS, line);
        pane_settle(&pane, "rc=0.");
        if (cut)
            assert_string_equal(pane.text, straight.text);
        memcpy(straight.text, pane.text, sizeof straight.text);
        pane_close(&pane);
        if (cut)
            end(cutter, cuts);
    }
}

/* One round of what is typed; each is shown before the next. */
static void edit(struct pane *at, unsigned round)
{
    char echo[64];
    char shown[32];
    pane_type(at, "C-f");
    pane_type(at, "itext");
    pane_type(at, "Escape");
    (void)snprintf(shown, sizeof shown, "<%u>", round * 7);
    (void)snprintf(echo, sizeof echo, ":echo '<' . %u * 7 . '>'", round);
    /* Of keys that arrive together vim first executes all, and then draws the page over the echo. */
    pane_insist(at, echo, true, shown);
}

/* What is typed while it is cut, and what the program draws for it. */
static void an_editor(void **state)
{
    static const char command[] = "afar run -t %s -- vim -u NONE -n --cmd 'set shortmess+=F' "
                                  "/etc/services";
    char url[64];
    char line[1024];
    unsigned rounds = 0;
    (void)state;
    if (!pane_has("tmux") || !pane_has("vim")) {
        print_message("no tmux, or no vim here\n");
        skip();
    }
    struct pane *panes[] = {&pane, &straight};
    struct cutter *cutter = begin(cuts, 2500, url);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(line, sizeof line, command, i == 0 ? url : server.url[0]);
        pane_open(panes[i], ROWS, COLS, line);
        pane_expect(panes[i], "# Network services");
        for (unsigned round = 0; i == 0 ? cutter_count(cutter) <= cuts : round < rounds; round++) {
            edit(panes[i], round);
            rounds = i == 0 ? round + 1 : rounds;
        }
        pane_type(panes[i], "gg10Gyyp");
    }
    pane_settle(&straight, "# Network services");
    pane_expect_all(&pane, straight.text);
    pane_type(&pane, ":q!");
    pane_type(&pane, "Enter");
    pane_expect(&pane, "rc=0.");
    pane_close(&pane);
    pane_close(&straight);
    end(cutter, cuts);
}

/* The bytes of the one recording in the folder, into `path`. */
static void replay_into(const char *folder, const char *path)
{
    static const char script[] =
        "import glob,json,sys\n"
        "l=open(glob.glob(sys.argv[1]+'/*.cast')[0],encoding='utf-8').read().splitlines()[1:]\n"
        "e=[json.loads(x) for x in l]\n"
        "assert e[-1][1:]==['m','end']\n"
        "open(sys.argv[2],'wb').write(''.join(x[2] for x in e if x[1]=='o').encode())\n";
    struct program program;
    const char *argv[] = {"python3", "-c", script, folder, path, NULL};
    if (program_run(&program, argv, NULL, 0) != 0)
        fail_msg("%s", program.stderr_data);
    program_close(&program);
}

/* A server that records into casts/ of the folder. */
static void start_recorder(struct afard *recorder, const char *folder)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/casts", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/afard.conf", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fprintf(file,
                  "[server]\nkill_grace_ms = 300\n[allow all]\n"
                  "client = any\ncommand = **\nshell = yes\nrecord = %s/casts\n",
                  folder);
    assert_int_equal(fclose(file), 0);
    const char *args[] = {"-c", path, "--listen", "tcp://127.0.0.1:0", NULL};
    afard_start(recorder, args);
}

/* It never draws the same twice; so its recording says what it has drawn, and what a screen without
 * a network shows of that is what there must be. */
static void a_list_of_processes(void **state)
{
    static char shown[PANE_BYTES];
    char folder[] = "/tmp/afar-test-cut-XXXXXX";
    char path[96];
    char url[64];
    char line[512];
    struct afard recorder;
    (void)state;
    if (!pane_has("tmux") || !pane_has("top")) {
        print_message("no tmux, or no top here\n");
        skip();
    }
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/bytes", folder);
    start_recorder(&recorder, folder);
    const struct cutter_plan plan = {.cuts = cuts, .most_bytes = 2500, .seed = 21};
    struct cutter *cutter = cutter_start(afard_port(&recorder, 0), &plan);
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%u", cutter_port(cutter));
    (void)snprintf(line, sizeof line,
                   "afar run -t %s -- env HOME=/ top -d .1; printf '\\033[30;1H'", url);
    pane_open(&pane, ROWS, COLS, line);
    pane_expect(&pane, "load average");
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (cutter_count(cutter) <= cuts) {
        assert_true(clock_now_ms() < deadline_ms);
        pane_expect(&pane, "load average");
    }
    pane_type(&pane, "q");
    pane_expect(&pane, "rc=0.");
    memcpy(shown, pane.text, sizeof shown);
    pane_close(&pane);
    end(cutter, cuts);
    assert_int_equal(afard_stop(&recorder), 0);
    char casts[96];
    (void)snprintf(casts, sizeof casts, "%s/casts", folder);
    replay_into(casts, path);
    (void)snprintf(line, sizeof line, "stty raw; cat %s; stty sane; printf '\\033[30;1H'", path);
    pane_open(&straight, ROWS, COLS, line);
    pane_expect(&straight, "rc=0.");
    assert_string_equal(shown, straight.text);
    assert_non_null(strstr(shown, "%Cpu(s)"));
    pane_close(&straight);
    assert_int_equal(folder_remove(folder), 0);
}

/* Who waits at the other screen is told so in its last row, which is the program's again when the
 * connection is back. */
static void told_on_the_other_screen(void **state)
{
    static char before[PANE_BYTES];
    char url[64];
    char line[1024];
    (void)state;
    if (!pane_has("tmux") || !pane_has("vim")) {
        print_message("no tmux, or no vim here\n");
        skip();
    }
    struct cutter *cutter = begin(0, 1, url);
    (void)snprintf(line, sizeof line,
                   "afar run -t %s -- vim -u NONE -n --cmd 'set shortmess+=F' /etc/services", url);
    pane_open(&pane, ROWS, COLS, line);
    pane_settle(&pane, "# Network services");
    memcpy(before, pane.text, sizeof before);
    cutter_refuse(cutter, 1);
    cutter_cut(cutter);
    pane_expect(&pane, "trying to come back");
    const char *said = strstr(pane.text, "trying to come back");
    assert_ptr_equal(strchr(said, '\n') + 1, pane.text + strlen(pane.text)); /* the last row */
    assert_non_null(strstr(pane.text, "# Network services"));
    cutter_refuse(cutter, 0);
    pane_expect_all(&pane, before);
    pane_type(&pane, ":q!");
    pane_type(&pane, "Enter");
    pane_expect(&pane, "rc=0.");
    pane_close(&pane);
    end(cutter, 0);
}

static unsigned number_from(const char *name, unsigned usual)
{
    const char *value = getenv(name);
    return value != NULL && atoi(value) > 0 ? (unsigned)atoi(value) : usual;
}

int main(void)
{
    cuts = number_from("AFAR_TERMINAL_CUTS", CUTS);
    lines = number_from("AFAR_TERMINAL_LINES", LINES);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(much_output),
        cmocka_unit_test(a_million_lines),
        cmocka_unit_test(an_editor),
        cmocka_unit_test(a_list_of_processes),
        cmocka_unit_test(told_on_the_other_screen),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
