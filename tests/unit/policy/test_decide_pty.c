/* Terminals and login shells: who may have them, and what a login shell is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "policy/rule.h"
#include "support/decider.h"

#define FOR_ANN "[allow x]\nclient = cn:ann\n"

static const struct user self = {
    .name = (char *)"0", .home = (char *)"/root", .shell = (char *)"/usr/bin/zsh"};

/* "allowed: PROGRAM|ARGV…|ORIGINAL in CWD", or the reason. */
static void decide(const char *rules, const char *words, bool login, bool pty,
                   const struct user *user, char *out, size_t size)
{
    char text[DECIDER_TEXT_BYTES];
    struct config config;
    struct decider_request made;
    struct policy_decision decision;
    struct afar_error err;
    const struct asked asked = {"cn:ann", NULL, words, NULL, NULL, NULL};
    decider_expand(text, sizeof text, rules);
    if (decider_load(&config, text, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    decider_request_make(&made, &asked);
    made.request.login = login;
    made.request.pty = pty;
    made.request.self = user;
    assert_int_equal(policy_decide(config.rules, &made.client, &made.request, &decision, &err),
                     AFAR_OK);
    size_t used = 0;
    if (!decision.allowed) {
        (void)snprintf(out, size, "%s", decision.reason);
    } else {
        char *const *argv = decision.argv != NULL ? decision.argv : made.request.argv;
        used = (size_t)snprintf(out, size, "%s", decision.program != NULL ? decision.program : "?");
        for (; *argv != NULL; argv++)
            used += (size_t)snprintf(out + used, size - used, "|%s", *argv);
        if (decision.original != NULL)
            used += (size_t)snprintf(out + used, size - used, "|%s", decision.original);
        (void)snprintf(out + used, size - used, " in %s", decision.cwd != NULL ? decision.cwd : "");
    }
    policy_decision_close(&decision);
    decider_request_close(&made);
    config_close(&config);
}

static void assert_decided(const char *rules, bool login, bool pty, const char *expected)
{
    char out[DECIDER_TEXT_BYTES];
    char wanted[DECIDER_TEXT_BYTES];
    decide(rules, "/bin/true", login, pty, &self, out, sizeof out);
    decider_expand(wanted, sizeof wanted, expected);
    if (strstr(out, wanted) == NULL)
        fail_msg("%s: '%s', not '%s'", rules, out, wanted);
}

static void terminals(void **state)
{
    (void)state;
    static const struct {
        const char *value; /* "": the key is not there */
        bool pty;
        const char *expected;
    } table[] = {
        {"", false, "?|/bin/true"},
        {"", true, "?|/bin/true"},
        {"pty = yes\n", false, "?|/bin/true"},
        {"pty = yes\n", true, "?|/bin/true"},
        {"pty = no\n", false, "?|/bin/true"},
        {"pty = no\n", true, "does not let the client have a terminal"},
        {"pty = must\n", true, "?|/bin/true"},
        {"pty = must\n", false, "wants a terminal: afar run -t"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char rules[256];
        (void)snprintf(rules, sizeof rules, FOR_ANN "command = **\n%s", table[i].value);
        assert_decided(rules, false, table[i].pty, table[i].expected);
    }
}

static void login_shells(void **state)
{
    (void)state;
    static const struct {
        const char *rules;
        const char *expected;
    } table[] = {
        {"", "/usr/bin/zsh|-zsh in /root"}, /* without rules */
        {FOR_ANN "shell = yes\n", "/usr/bin/zsh|-zsh in /root"},
        {FOR_ANN "shell = yes\ncwd = /srv\n", "/usr/bin/zsh|-zsh in /srv"},
        {FOR_ANN "command = **\n", "run a login shell"},
        {FOR_ANN "shell = no\ncommand = **\n", "run a login shell"},
        {FOR_ANN "force = @/bin/tool x\n", "@/bin/tool|@/bin/tool|x in /root"},
        {FOR_ANN "shell = yes\nwrapper = @/bin/tool --in\n",
         "@/bin/tool|@/bin/tool|--in|/usr/bin/zsh|-l in /root"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_decided(table[i].rules, true, false, table[i].expected);
}

/* Whom the system does not know gets the shell that every system has. */
static void without_an_entry(void **state)
{
    (void)state;
    char out[DECIDER_TEXT_BYTES];
    const struct user nobody = {.name = (char *)"12345", .shell = (char *)""};
    decide("", "/bin/true", true, true, &nobody, out, sizeof out);
    assert_string_equal(out, "/bin/sh|-sh in /");
    decide("", "/bin/true", true, true, NULL, out, sizeof out);
    assert_string_equal(out, "/bin/sh|-sh in /");
}

static void the_key(void **state)
{
    (void)state;
    static const struct {
        const char *values[2];
        bool right;
    } table[] = {{{"yes", NULL}, true},    {{"no", NULL}, true},      {{"MUST", NULL}, true},
                 {{"maybe", NULL}, false}, {{"must", "must"}, false}, {{"yes", "must"}, false},
                 {{"must", "no"}, false}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct rule *rule = rule_new("x", 1);
        struct afar_error err;
        assert_non_null(rule);
        enum afar_status status = AFAR_OK;
        for (size_t k = 0; k < 2 && status == AFAR_OK && table[i].values[k] != NULL; k++)
            status = rule_set(rule, "pty", table[i].values[k], &err);
        assert_int_equal(status == AFAR_OK, table[i].right);
        rule_free(rule);
    }
}

/* What is recorded is what a terminal shows, and files are nothing of that. */
static void recordings(void **state)
{
    (void)state;
    static const struct {
        const char *pairs[4][2];
        const char *problem; /* NULL: right */
    } table[] = {
        {{{"record", "/"}}, NULL},
        {{{"record", "/"}, {"pty", "yes"}, {"record_max", "1M"}, {"record_full", "go_on"}}, NULL},
        {{{"record", "/"}, {"pty", "must"}, {"record_full", "end"}}, NULL},
        {{{"record", "var"}}, "absolute"},
        {{{"record", "/"}, {"record", "/"}}, "already"},
        {{{"record", "/"}, {"record_full", "stop"}}, "neither end nor go_on"},
        {{{"record", "/"}, {"record_full", "end"}, {"record_full", "end"}}, "already"},
        {{{"record", "/no/such/folder"}}, "No such file"},
        {{{"record", "/etc/passwd"}}, "Not a directory"},
        {{{"record", "/tmp"}}, "others can write"},
        {{{"record", "/"}, {"pty", "no"}}, "nothing to record"},
        {{{"record", "/"}, {"may", "run files"}}, "may = files"},
        {{{"pty", "must"}, {"may", "run files"}}, "may = files"},
        {{{"record_max", "1M"}}, "need record"},
        {{{"record_full", "end"}}, "need record"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct rule *rule = rule_new("x", 1);
        struct afar_error err = {0};
        assert_non_null(rule);
        assert_int_equal(rule_set(rule, "client", "any", &err), AFAR_OK);
        assert_int_equal(rule_set(rule, "command", "**", &err), AFAR_OK);
        enum afar_status status = AFAR_OK;
        for (size_t k = 0; k < 4 && status == AFAR_OK && table[i].pairs[k][0] != NULL; k++)
            status = rule_set(rule, table[i].pairs[k][0], table[i].pairs[k][1], &err);
        if (status == AFAR_OK)
            status = rule_check(rule, &err);
        if ((status == AFAR_OK) != (table[i].problem == NULL) ||
            (status != AFAR_OK && strstr(err.message, table[i].problem) == NULL))
            fail_msg("%zu: %s", i, err.message);
        rule_free(rule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terminals),        cmocka_unit_test(login_shells),
        cmocka_unit_test(without_an_entry), cmocka_unit_test(the_key),
        cmocka_unit_test(recordings),
    };
    return cmocka_run_group_tests(tests, decider_make_tree, decider_remove_tree);
}
