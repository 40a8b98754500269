/* vttest(1) shows the same through Afar as without: each screen of its tests of cursor movements, of
 * the screen's features and of the VT102's, with all attributes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/pane.h"

enum { ROWS = 24, COLS = 80, LOOK_EACH_US = 15000, SETTLED_LOOKS = 10, SCREENS_MAX = 60 };

static const char menu[] = "Enter choice number (0 - 12):";

static struct afard server;
static struct pane through;
static struct pane straight;

static int set_up(void **state)
{
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    (void)state;
    if (pane_has("tmux") && pane_has("vttest"))
        afard_start(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return server.url_count > 0 ? afard_stop(&server) : 0;
}

/* Both wait for a key, and have shown the same for a while. */
static void same_screen(void)
{
    static char before[PANE_BYTES];
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    before[0] = '\0';
    for (int same = 0; same < SETTLED_LOOKS; same++) {
        (void)usleep(LOOK_EACH_US);
        const char *shown = pane_look_styled(&through);
        const bool right = strcmp(pane_look_styled(&straight), shown) == 0 &&
                           (strstr(shown, "RETURN") != NULL || strstr(shown, menu) != NULL);
        if (!right || strcmp(shown, before) != 0)
            same = -1;
        memcpy(before, shown, sizeof before);
        if (clock_now_ms() > deadline_ms)
            fail_msg("without:\n%s\nthrough afar:\n%s", straight.text, through.text);
    }
}

static void type(const char *keys)
{
    pane_type(&straight, keys);
    pane_type(&through, keys);
}

/* Goes through one entry of the menu; how many screens it has. */
static unsigned run_entry(const char *entry)
{
    unsigned screens = 0;
    type(entry);
    type("Enter");
    for (same_screen(); strstr(through.text, menu) == NULL; same_screen()) {
        assert_true(++screens < SCREENS_MAX);
        type("Enter");
    }
    return screens;
}

static void it_shows_the_same(void **state)
{
    static const char *const entries[] = {"1", "2", "8"};
    char line[600];
    (void)state;
    if (server.url_count == 0) {
        print_message("no tmux, or no vttest here\n");
        skip();
    }
    (void)snprintf(line, sizeof line, "afar run -t %s -- vttest", server.url[0]);
    pane_open(&through, ROWS, COLS, line);
    pane_open(&straight, ROWS, COLS, "vttest");
    same_screen();
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        const unsigned screens = run_entry(entries[i]);
        print_message("entry %s: %u screens\n", entries[i], screens);
        assert_true(screens >= 5);
    }
    type("0");
    type("Enter");
    pane_expect(&through, "rc=0.");
    pane_expect(&straight, "rc=0.");
    pane_close(&through);
    pane_close(&straight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_shows_the_same),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
