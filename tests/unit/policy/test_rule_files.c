/* What rules say of files, and who may use them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/rule_files.h"
#include "support/decider.h"

#define RULE "[allow x]\nclient = cn:ann\n"

static void test_bad_values(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *message;
    } cases[] = {
        {"/srv", "files: read PATH… or write PATH… was expected"},
        {"write", "files: read PATH… or write PATH… was expected"},
        {"append /srv", "files: read PATH… or write PATH… was expected"},
        {"read srv", "files: 'srv': an absolute path without //, . and .. was expected, or ~ for "
                     "the user's home"},
        {"read /srv/", "files: '/srv/': an absolute path without //, . and .. was expected, or ~ "
                       "for the user's home"},
        {"read /srv ~bob", "files: '~bob': an absolute path without //, . and .. was expected, or "
                           "~ for the user's home"},
        {"read /a/../b", "files: '/a/../b': an absolute path without //, . and .. was expected, "
                         "or ~ for the user's home"},
        {"write \"/a", "files: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rule *rule = rule_new("x", 1);
        struct afar_error err;
        assert_int_equal(rule_set(rule, "files", cases[i].value, &err), AFAR_EINVAL);
        assert_memory_equal(err.message, cases[i].message, strlen(cases[i].message));
        rule_free(rule);
    }
}

/* What only the whole rule shows. */
static void test_bad_rules(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        const char *message;
    } cases[] = {
        {"command = **\nfiles = read /srv\n", "files says something of files"},
        {"command = **\nfiles_max = 1M\n", "files_max says something of files"},
        {"may = run files\ncommand = **\nwrapper = /bin/env\n", "wrapper and may = files cannot"},
        {"may = run files\nforce = /bin/true\n", "force and may = files cannot"},
        {"may = files\nfiles = write /srv\nfiles = read /srv/x\n",
         "files = read /srv/x lies in files = write /srv"},
        {"may = files\nfiles = write /\nfiles = read /srv\n", "files = read /srv lies in"},
        {"may = files\nfiles = write /srv\nfiles = read /srv\n", "files = read /srv lies in"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        struct config config;
        struct afar_error err;
        (void)snprintf(text, sizeof text, RULE "%s", cases[i].rule);
        assert_int_equal(decider_load(&config, text, &err), AFAR_EINVAL);
        if (strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s", err.message);
        config_close(&config);
    }
}

static void test_good_rules(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "may = files\n", "may = run, files\ncommand = **\n", "may = files\nfiles = read /\n",
        "may = files\nfiles = read /srv /var/log\nfiles = write /srv/up \"/a b\"\nfiles_max = 1G\n",
        "may = files\nfiles = write ~ ~/x\n"};
    assert_int_equal(setenv("HOME", "/home/me", 1), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        struct config config;
        struct afar_error err;
        (void)snprintf(text, sizeof text, RULE "%s", cases[i]);
        if (decider_load(&config, text, &err) != AFAR_OK)
            fail_msg("%s", err.message);
        config_close(&config);
    }
}

static void test_roots(void **state)
{
    (void)state;
    struct words roots = {0};
    struct rule *rule = rule_new("x", 1);
    assert_int_equal(setenv("HOME", "/home/me", 1), 0);
    assert_int_equal(rule_set(rule, "files", "read /srv ~/in", NULL), AFAR_OK);
    assert_int_equal(rule_set(rule, "files", "write /srv/up ~", NULL), AFAR_OK);
    assert_int_equal(rule_files_roots(rule, NULL, &roots, NULL), AFAR_OK);
    assert_int_equal(roots.count, 4);
    assert_string_equal(roots.at[0], "r/srv");
    assert_string_equal(roots.at[1], "r/home/me/in");
    assert_string_equal(roots.at[2], "w/srv/up");
    assert_string_equal(roots.at[3], "w/home/me");
    assert_string_equal(rule_files_find(&roots, "/srv/x"), "r/srv");
    assert_string_equal(rule_files_find(&roots, "/srv/up/x"), "w/srv/up");
    assert_string_equal(rule_files_find(&roots, "/srv/upper"), "r/srv");
    assert_null(rule_files_find(&roots, "/srvx"));
    assert_null(rule_files_find(&roots, "/home"));
    words_close(&roots);

    assert_int_equal(setenv("HOME", "/", 1), 0);
    assert_int_equal(rule_files_roots(rule, NULL, &roots, NULL), AFAR_OK);
    assert_string_equal(roots.at[1], "r/in");
    assert_string_equal(roots.at[3], "w/");
    words_close(&roots);

    /* Without HOME that of the database of users. */
    char own[] = "/home/own";
    const struct user self = {.home = own};
    const struct user homeless = {.home = NULL};
    assert_string_equal(rule_files_home(NULL, &self), "/");
    assert_int_equal(unsetenv("HOME"), 0);
    assert_string_equal(rule_files_home(NULL, &self), own);
    assert_string_equal(rule_files_home(rule, &self), own);
    assert_null(rule_files_home(NULL, &homeless));
    assert_int_equal(rule_files_roots(rule, &self, &roots, NULL), AFAR_OK);
    assert_string_equal(roots.at[3], "w/home/own");
    words_close(&roots);

    struct afar_error err;
    assert_int_equal(rule_files_roots(rule, NULL, &roots, &err), AFAR_EINVAL);
    assert_string_equal(err.message, "files: ~/in: it is not known where the user's home is");
    words_close(&roots);
    rule_free(rule);
}

static const char rules[] = "[allow runs]\nclient = cn:ann\ncommand = **\n"
                            "[allow srv]\nclient = cn:ann\nmay = files\nfiles = write /srv\n"
                            "[allow all]\nclient = cn:bob\nmay = run files\ncommand = /bin/ls\n"
                            "cwd = /srv\n"
                            "[allow again]\nclient = cn:ann\nmay = files\n";

static void decide(const char *name, const char *cwd, struct policy_decision *decision)
{
    static char *nothing[] = {NULL};
    char copy[32];
    char *names[] = {strcpy(copy, name), NULL};
    struct config config;
    assert_int_equal(decider_load(&config, rules, NULL), AFAR_OK);
    const struct policy_client client = {.names = names, .address = "127.0.0.1"};
    const struct policy_request request = {.argv = nothing, .is_files = true, .cwd = cwd};
    assert_int_equal(policy_decide(config.rules, &client, &request, decision, NULL), AFAR_OK);
    config_close(&config);
}

/* The first rule that has the verb decides, whatever commands it allows. */
static void test_deciding(void **state)
{
    (void)state;
    struct policy_decision decision;
    assert_int_equal(setenv("HOME", "/home/server", 1), 0);
    decide("cn:ann", NULL, &decision);
    assert_true(decision.allowed);
    assert_string_equal(decision.cwd, "/home/server");
    assert_true(decision.cwd_is_home);
    assert_string_equal(decision.rule->name, "srv");
    assert_int_equal(decision.roots.count, 1);
    assert_string_equal(decision.roots.at[0], "w/srv");
    policy_decision_close(&decision);

    decide("cn:bob", NULL, &decision);
    assert_true(decision.allowed);
    assert_string_equal(decision.rule->name, "all");
    assert_int_equal(decision.roots.count, 0);
    assert_string_equal(decision.cwd, "/srv");
    policy_decision_close(&decision);

    decide("cn:bob", "/tmp", &decision);
    assert_false(decision.allowed);
    policy_decision_close(&decision);

    decide("cn:eve", NULL, &decision);
    assert_false(decision.allowed);
    assert_string_equal(decision.reason, "no rule lets this client (cn:eve) use files");
    policy_decision_close(&decision);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_values), cmocka_unit_test(test_bad_rules),
        cmocka_unit_test(test_good_rules), cmocka_unit_test(test_roots),
        cmocka_unit_test(test_deciding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
