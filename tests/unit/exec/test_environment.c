// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/environment.h"
#include "support/alloc_fault.h"

static void later_entries_count(void **state)
{
    (void)state;
    char *base[] = {"A=1", "B=2", "PATH=/x", "A=3", NULL};
    char *extra[] = {"B=", "C=x=y", "B=5", NULL};
    char **made = NULL;
    assert_int_equal(environment_build(&made, base, extra, NULL, NULL), AFAR_OK);
    assert_string_equal(environment_get(made, "A"), "3");
    assert_string_equal(environment_get(made, "B"), "5");
    assert_string_equal(environment_get(made, "C"), "x=y");
    assert_string_equal(environment_get(made, "PATH"), "/x");
    assert_null(environment_get(made, "PAT"));
    assert_null(environment_get(made, "PATHS"));
    size_t count = 0;
    while (made[count] != NULL)
        count++;
    assert_int_equal(count, 4);
    environment_free(made);
}

/* Neither the server nor the request has a say in it. */
static void the_last_entry_stands(void **state)
{
    (void)state;
    char *base[] = {"AFAR_JOB=outer", "A=1", NULL};
    char *extra[] = {"AFAR_JOB=forged", "AFAR_JOB=again", NULL};
    char *last[] = {"AFAR_JOB=real", "AFAR_ORIGINAL_COMMAND=ls", NULL};
    char **made = NULL;
    size_t entries = 0;
    assert_int_equal(environment_build(&made, base, extra, last, NULL), AFAR_OK);
    for (char **at = made; *at != NULL; at++)
        entries += strncmp(*at, "AFAR_JOB=", 9) == 0;
    assert_int_equal(entries, 1);
    assert_string_equal(environment_get(made, "AFAR_JOB"), "real");
    assert_string_equal(environment_get(made, "AFAR_ORIGINAL_COMMAND"), "ls");
    environment_free(made);
}

static void what_speaks_to_the_server_stays_there(void **state)
{
    (void)state;
    char *base[] = {"AFARD_TOKEN=s",      "LISTEN_FDS=1",
                    "LISTEN_PID=2",       "LISTEN_FDNAMES=x",
                    "NOTIFY_SOCKET=n",    "WATCHDOG_USEC=1",
                    "INVOCATION_ID=i",    "JOURNAL_STREAM=8:9",
                    "SYSTEMD_EXEC_PID=3", "CREDENTIALS_DIRECTORY=/run/credentials/afard.service",
                    "MANAGERPID=1",       "AFARDX=kept",
                    "LISTEN=kept",        NULL};
    char **made = NULL;
    assert_int_equal(environment_build(&made, base, NULL, NULL, NULL), AFAR_OK);
    assert_string_equal(environment_get(made, "AFARDX"), "kept");
    assert_string_equal(environment_get(made, "LISTEN"), "kept");
    assert_non_null(environment_get(made, "PATH")); /* there is always one */
    assert_null(made[3]);
    environment_free(made);
}

static void nothing_at_all(void **state)
{
    (void)state;
    char **made = NULL;
    assert_int_equal(environment_build(&made, NULL, NULL, NULL, NULL), AFAR_OK);
    assert_non_null(environment_get(made, "PATH"));
    assert_null(made[1]);
    environment_free(made);
    environment_free(NULL);
    assert_null(environment_get(NULL, "A"));
}

/* As many as a client may send are no burden: not the square of their number. */
static void thousands(void **state)
{
    (void)state;
    enum { ENTRIES = 50000, ENTRY_BYTES = 16 };
    char(*texts)[ENTRY_BYTES] = calloc(ENTRIES, sizeof *texts);
    char **extra = calloc(ENTRIES + 1, sizeof *extra);
    char *base[] = {"N0=base", "OTHER=1", NULL};
    char **made = NULL;
    size_t count = 0;
    assert_non_null(texts);
    assert_non_null(extra);
    for (int i = 0; i < ENTRIES; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "N%d=%d", i / 2, i); /* each name twice */
        extra[i] = texts[i];
    }
    assert_int_equal(environment_build(&made, base, extra, NULL, NULL), AFAR_OK);
    while (made[count] != NULL)
        count++;
    assert_int_equal(count, ENTRIES / 2 + 2); /* OTHER and PATH */
    assert_string_equal(environment_get(made, "N0"), "1");
    assert_string_equal(environment_get(made, "N24999"), "49999");
    environment_free(made);
    free(extra);
    free(texts);
}

static void no_memory(void **state)
{
    (void)state;
    char *base[] = {"A=1", "B=2", NULL};
    char *extra[] = {"B=3", NULL};
    char *last[] = {"C=3", NULL};
    for (int n = 1;; n++) {
        char **made = NULL;
        alloc_fault_arm(n);
        enum afar_status status = environment_build(&made, base, extra, last, NULL);
        if (!alloc_fault_fired()) {
            assert_int_equal(status, AFAR_OK);
            environment_free(made);
            assert_int_equal(n, 3); /* both, and one more to see it through */
            break;
        }
        assert_int_equal(status, AFAR_ENOMEM);
        assert_null(made);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_entries_count),
        cmocka_unit_test(the_last_entry_stands),
        cmocka_unit_test(what_speaks_to_the_server_stays_there),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(thousands),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
