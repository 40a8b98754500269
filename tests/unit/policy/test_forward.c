/* Where connections may be forwarded to: patterns, rules, and decisions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "policy/decide.h"
#include "policy/forward_pattern.h"
#include "policy/rule.h"
#include "support/decider.h"

static const struct {
    const char *pattern;
    const char *target;
    bool match;
} table[] = {
    {"localhost:5432", "localhost:5432", true},
    {"localhost:5432", "LOCALHOST:5432", true},
    {"localhost:5432", "localhost:5433", false},
    {"localhost:5432", "127.0.0.1:5432", false}, /* the name that was asked for counts */
    {"localhost:5432", "localhost.:5432", false},
    {"db.example:5432", "db.example.evil:5432", false},
    {"*.example:80", "a.example:80", true},
    {"*.example:80", "a.b.example:80", false},
    {"*.example:80", ".example:80", true},
    {"**.example:80", "a.b.example:80", true},
    {"*:80", "web:80", true},
    {"*:80", "web.example:80", false},
    {"*:80", "127.0.0.1:80", false},
    {"*:80", "[::1]:80", false},
    {"**:80", "127.0.0.1:80", true},
    {"**:80", "[::1]:80", true},
    {"**:80", "a.b.c:80", true},
    {"**:80", "a.b.c:81", false},
    {"**:*", "a:65535", true},
    {"10.0.0.0/8:22", "10.1.2.3:22", true},
    {"10.0.0.0/8:22", "11.1.2.3:22", false},
    {"10.0.0.0/8:22", "10.evil.example:22", false},
    {"10.0.0.0/8:22", "[::ffff:10.1.2.3]:22", true},
    {"127.0.0.1:8000-8010", "127.0.0.1:8000", true},
    {"127.0.0.1:8000-8010", "127.0.0.1:8010", true},
    {"127.0.0.1:8000-8010", "127.0.0.1:8011", false},
    {"127.0.0.1:8000-8010", "127.0.0.2:8001", false},
    {"[fd00::/8]:*", "[fd12::1]:9", true},
    {"[fd00::/8]:*", "[fe12::1]:9", false},
    {"[::1]:80", "[0::1]:80", true},
};

static void test_patterns(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct forward_pattern pattern;
        struct forward_target target;
        struct afar_error err = {0};
        if (forward_pattern_parse(&pattern, table[i].pattern, &err) != AFAR_OK ||
            forward_target_parse(&target, table[i].target, &err) != AFAR_OK)
            fail_msg("%s, %s: %s", table[i].pattern, table[i].target, err.message);
        if (forward_pattern_match(&pattern, &target) != table[i].match)
            fail_msg("%s, %s: not %d", table[i].pattern, table[i].target, table[i].match);
        forward_pattern_close(&pattern);
    }
}

static void test_bad_patterns(void **state)
{
    static const char *const bad[] = {
        "db",           "db:",           ":80",    "db:0",    "db:65536",    "db:80-70",
        "db:80-",       "db:8*",         "::1:80", "[db]:80", "[::1]",       "[10.0.0.0/8]:80",
        "10.0.0.1/8:1", "10.0.0.0/33:1", "a b:80", "a,b:80",  "http://a:80", "a:80 b:80"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct forward_pattern pattern;
        if (forward_pattern_parse(&pattern, bad[i], NULL) == AFAR_OK)
            fail_msg("'%s' was taken", bad[i]);
    }
}

/* ---- rules ----------------------------------------------------------------------------------- */

static struct rule *rule_of(const char *const *lines, struct afar_error *err)
{
    struct rule *rule = rule_new("x", 1);
    assert_non_null(rule);
    assert_int_equal(rule_set(rule, "client", "any", NULL), AFAR_OK);
    for (; lines[0] != NULL; lines += 2) {
        if (rule_set(rule, lines[0], lines[1], err) != AFAR_OK)
            fail_msg("%s = %s: %s", lines[0], lines[1], err->message);
    }
    return rule;
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_rules(void **state)
{
    const struct {
        const char *const *lines;
        const char *message; /* NULL: good */
    } rules[] = {
        {LINES("may", "forward", "forward", "localhost:80"), NULL},
        {LINES("may", "run forward", "command", "**", "forward", "a:80", "forward", "b:*"), NULL},
        {LINES("may", "forward"), "add forward = HOST:PORT"},
        {LINES("command", "**", "forward", "a:80"), "add forward to may"},
        {LINES("may", "forward", "forward", "a:80", "force", "/bin/true"), "force and may"},
        {LINES("may", "forward", "forward", "a:80", "wrapper", "/bin/true"), "wrapper and may"},
        {LINES("may", "forward", "forward", "a:80", "pty", "must"), "pty = must"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct afar_error err = {0};
        struct rule *rule = rule_of(rules[i].lines, &err);
        enum afar_status status = rule_check(rule, &err);
        if ((status == AFAR_OK) != (rules[i].message == NULL) ||
            (status != AFAR_OK && strstr(err.message, rules[i].message) == NULL))
            fail_msg("rule %zu: '%s'", i, err.message);
        rule_free(rule);
    }
}

/* ---- decisions ------------------------------------------------------------------------------- */

/* "": allowed; else why not. */
static void expect(const char *text, const char *target, const char *user, const char *reason)
{
    char *names[] = {(char[]){"cn:ann"}, NULL};
    char *argv[] = {(char[]){"forward"}, NULL};
    const struct user self = {.name = (char[]){"me"}};
    const struct policy_client client = {.names = names, .address = "127.0.0.1:1"};
    const struct policy_request request = {
        .argv = argv, .forward = target, .user = user, .path = "/bin", .self = &self};
    struct policy_decision decision;
    struct afar_error err = {0};
    struct config config;
    if (decider_load(&config, text, &err) != AFAR_OK)
        fail_msg("%s: %s", text, err.message);
    assert_int_equal(policy_decide(config.rules, &client, &request, &decision, &err), AFAR_OK);
    if (decision.allowed != (reason[0] == '\0') || strstr(decision.reason, reason) == NULL)
        fail_msg("%s: '%s' for '%s'", target, decision.reason, reason);
    if (decision.allowed)
        assert_string_equal(decision.cwd, "/");
    policy_decision_close(&decision);
    config_close(&config);
}

#define DB "[allow db]\nclient = cn:ann\nmay = forward\nforward = db.example:5432\n"
#define RUN "[allow run]\nclient = cn:ann\ncommand = **\n"
#define OTHER "[allow other]\nclient = cn:bob\nmay = forward\nforward = **:*\n"

static void test_decisions(void **state)
{
    (void)state;
    expect("", "localhost:80", NULL, "");
    expect("", "127.0.0.1:80", "me", "");
    expect("", "[::1]:80", NULL, "");
    expect("", "127.0.0.1:80", "you", "runs commands as 'me', not as 'you'");
    expect("", "db.example:80", NULL, "without rules");
    expect("", "10.0.0.1:80", NULL, "localhost, 127.0.0.0/8 and ::1 only, not to 10.0.0.1:80");
    expect("", "0.0.0.0:80", NULL, "without rules");
    expect(DB, "db.example:5432", NULL, "");
    expect(RUN DB, "db.example:5432", NULL, "");
    expect(DB, "db.example:5433", NULL, "forward to db.example:5433");
    expect(DB, "localhost:80", NULL,
           "forward to localhost:80"); /* rules decide about loopback too */
    expect(DB, "db.example:5432", "root", "as user");
    expect(RUN, "localhost:80", NULL, "no rule lets this client (cn:ann) forward connections");
    expect(OTHER RUN, "localhost:80", NULL, "forward connections");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_bad_patterns),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_decisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
