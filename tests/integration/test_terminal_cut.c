/* A terminal on a network that is cut again and again: nobody sees anything of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/afard.h"
#include "support/cutter.h"
#include "support/pane.h"
#include "support/terminal.h"

enum { ROWS = 30, COLS = 100, CUTS = 40 };

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

static struct cutter *begin(unsigned cuts, unsigned most_bytes, char url[64])
{
    const struct cutter_plan plan = {.cuts = cuts, .most_bytes = most_bytes, .seed = 20};
    struct cutter *cutter = cutter_start(afard_port(&server, 0), &plan);
    (void)snprintf(url, 64, "tcp://127.0.0.1:%u", cutter_port(cutter));
    return cutter;
}

static void end(struct cutter *cutter, unsigned cuts)
{
    struct cutter_result result;
    cutter_stop(cutter, &result);
    assert_true(result.cuts >= cuts);
}

/* Not one byte twice, and none missing. */
static void much_output(void **state)
{
    static const char line[] = "seq 30000; echo rea\"\"dy; read x; echo \"<$x>\"";
    static char whole[TERMINAL_BYTES];
    char url[64];
    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        struct cutter *cutter = cut ? begin(CUTS, 8000, url) : NULL;
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

/* What is typed while it is cut, and what the program draws for it. */
static void an_editor(void **state)
{
    static const char command[] = "run -t %s -- vim -u NONE -n --cmd 'set shortmess+=F' "
                                  "/etc/services";
    char url[64];
    char line[1024];
    (void)state;
    if (!pane_has("tmux") || !pane_has("vim")) {
        print_message("no tmux, or no vim here\n");
        skip();
    }
    struct pane *panes[] = {&straight, &pane};
    struct cutter *cutter = begin(CUTS, 3000, url);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(line, sizeof line, "afar ");
        (void)snprintf(line + 5, sizeof line - 5, command, i == 0 ? server.url[0] : url);
        pane_open(panes[i], ROWS, COLS, line);
        pane_expect(panes[i], "# Network services");
        for (int k = 0; k < 10; k++) {
            pane_type(panes[i], "C-f");
            pane_type(panes[i], "itext");
            pane_type(panes[i], "Escape");
        }
        pane_type(panes[i], "gg");
        pane_type(panes[i], ":e!");
        pane_type(panes[i], "Enter");
        pane_type(panes[i], "10Gyyp");
    }
    pane_settle(&straight, "# Network services");
    pane_expect_all(&pane, straight.text);
    pane_type(&pane, ":q!");
    pane_type(&pane, "Enter");
    pane_expect(&pane, "rc=0.");
    pane_close(&pane);
    pane_close(&straight);
    end(cutter, 5);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(much_output),
        cmocka_unit_test(an_editor),
        cmocka_unit_test(told_on_the_other_screen),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
