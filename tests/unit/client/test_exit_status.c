#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include <afar/afar.h>

static int status_of(enum afar_outcome outcome, int code, const char *signal, const char *name,
                     const char *stage)
{
    struct afar_receipt receipt = {.outcome = outcome, .code = code};
    (void)snprintf(receipt.signal, sizeof receipt.signal, "%s", signal);
    (void)snprintf(receipt.error_name, sizeof receipt.error_name, "%s", name);
    (void)snprintf(receipt.error_stage, sizeof receipt.error_stage, "%s", stage);
    return afar_exit_status(&receipt);
}

static void test_the_commands_own(void **state)
{
    (void)state;
    assert_int_equal(status_of(AFAR_OUTCOME_EXITED, 0, "", "", ""), 0);
    assert_int_equal(status_of(AFAR_OUTCOME_EXITED, 255, "", "", ""), 255);
}

static void test_signals(void **state)
{
    (void)state;
    assert_int_equal(status_of(AFAR_OUTCOME_SIGNALED, -1, "KILL", "", ""), 137);
    assert_int_equal(status_of(AFAR_OUTCOME_SIGNALED, -1, "INT", "", ""), 130);
    assert_int_equal(status_of(AFAR_OUTCOME_SIGNALED, -1, "34", "", ""), 162);
    assert_int_equal(status_of(AFAR_OUTCOME_SIGNALED, -1, "NOSUCH", "", ""), 128);
    assert_int_equal(status_of(AFAR_OUTCOME_SIGNALED, -1, "999", "", ""), 128);
}

static void test_never_ran(void **state)
{
    (void)state;
    assert_int_equal(status_of(AFAR_OUTCOME_SPAWN_FAILED, -1, "", "ENOENT", "exec"), 127);
    assert_int_equal(status_of(AFAR_OUTCOME_SPAWN_FAILED, -1, "", "EACCES", "exec"), 126);
    assert_int_equal(status_of(AFAR_OUTCOME_SPAWN_FAILED, -1, "", "ENOENT", "chdir"), 126);
}

/* Code and signal are what the process did on its way out; the outcome decides. */
static void test_what_is_no_ending_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(status_of(AFAR_OUTCOME_TIMED_OUT, 0, "TERM", "", ""), 124);
    assert_int_equal(status_of(AFAR_OUTCOME_OUTPUT_LIMIT, 0, "", "", ""), 125);
    assert_int_equal(status_of(AFAR_OUTCOME_KILLED, 0, "KILL", "", ""), 125);
    assert_int_equal(status_of(AFAR_OUTCOME_DISCONNECTED, 0, "", "", ""), 125);
    assert_int_equal(status_of(AFAR_OUTCOME_SERVER_LOST, 0, "", "", ""), 125);
    assert_int_equal(afar_exit_status(NULL), 125);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(afar_outcome_name(AFAR_OUTCOME_EXITED), "exited");
    assert_string_equal(afar_outcome_name(AFAR_OUTCOME_SERVER_LOST), "server_lost");
    assert_string_equal(afar_version(), AFAR_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_commands_own),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_never_ran),
        cmocka_unit_test(test_what_is_no_ending_of_its_own),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
