/* Keepers of an older afard with a newer one: an upgrade loses nothing. The older programs' build
 * folder is in AFAR_OLD_BUILD (`make test-upgrade` makes one of the commit before); without it this
 * is skipped. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/keeping.h"

#define WORDS KEEPING_WORDS

static struct keeping keeping;

static int tear_down(void **state)
{
    (void)state;
    if (keeping.folder[0] != '\0')
        keeping_close(&keeping);
    return 0;
}

/* Of whose build the server is. */
static void use(const char *build)
{
    assert_int_equal(setenv("AFAR_BUILD", build, 1), 0);
}

static void old_keepers(void **state)
{
    const char *old = getenv("AFAR_OLD_BUILD");
    char fresh[256];
    char job[2][KEEPING_JOB_BYTES];
    struct program client;
    char *const url = keeping.url;
    (void)state;
    if (old == NULL || getenv("AFAR_BUILD") == NULL) {
        print_message("no AFAR_OLD_BUILD: skipped\n");
        skip();
    }
    (void)snprintf(fresh, sizeof fresh, "%s", getenv("AFAR_BUILD"));
    use(old);
    keeping_open(&keeping, NULL);
    keeping_detach(&keeping, "echo one; sleep 1; echo two; exit 7", job[0]);
    keeping_detach(&keeping, "echo $PPID; exec sleep 1000", job[1]);
    (void)keeping_number(&keeping, job[1]);
    keeping_kill(&keeping);
    use(fresh);
    keeping_start(&keeping);

    assert_int_equal(keeping_afar(&client, WORDS("ps", url)), 0);
    assert_non_null(strstr(client.stdout_data, "running"));
    assert_null(strstr(client.stdout_data, "unreachable"));
    program_close(&client);
    assert_int_equal(keeping_afar(NULL, WORDS("wait", url, job[0])), 7);
    assert_int_equal(keeping_afar(&client, WORDS("logs", url, job[0])), 0);
    assert_string_equal(client.stdout_data, "one\ntwo\n");
    program_close(&client);
    assert_int_equal(keeping_afar(NULL, WORDS("kill", url, job[1])), 0);
    assert_int_equal(keeping_afar(NULL, WORDS("wait", url, job[1])), 125);
    for (int i = 0; i < 2; i++)
        assert_int_equal(keeping_afar(NULL, WORDS("rm", url, job[i])), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(old_keepers, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
