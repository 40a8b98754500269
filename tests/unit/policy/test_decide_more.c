/* What is run by a rule, why not, and what holds whatever the rules are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/decider.h"
#include "support/seeded.h"

#define CI                                                                       \
    "[allow ci]\nclient = uri:spiffe://prod/ci/*\ncommand = @/bin/git fetch *\n" \
    "command = @/bin/git log **\ncommand = @/bin/tool\ncommand = @/bin/ls **\n"
#define RUNNER "uri:spiffe://prod/ci/runner-7"
#define ANN "cn:ann"

/* ---- what is run ----------------------------------------------------------------------------- */

/* Decides, and gives the words that would be run with '|' between them, the program first. */
static void run_words(const char *rules, const struct asked *asked, char *out, size_t size)
{
    char text[DECIDER_TEXT_BYTES];
    struct config config;
    struct decider_request request;
    struct policy_decision decision;
    struct afar_error err;
    decider_expand(text, sizeof text, rules);
    assert_int_equal(decider_load(&config, text, &err), AFAR_OK);
    decider_request_make(&request, asked);
    assert_int_equal(
        policy_decide(config.rules, &request.client, &request.request, &decision, &err), AFAR_OK);
    assert_true(decision.allowed);
    char *const *argv = decision.argv != NULL ? decision.argv : request.request.argv;
    size_t used =
        (size_t)snprintf(out, size, "%s", decision.program != NULL ? decision.program : "?");
    for (; *argv != NULL; argv++)
        used += (size_t)snprintf(out + used, size - used, "|%s", *argv);
    if (decision.original != NULL)
        (void)snprintf(out + used, size - used, "|%s", decision.original);
    config_close(&config); /* the decision holds on to its rules */
    policy_decision_close(&decision);
    decider_request_close(&request);
}

static void assert_runs(const char *rules, const char *words, const char *expected)
{
    char out[DECIDER_TEXT_BYTES];
    char wanted[DECIDER_TEXT_BYTES];
    const struct asked asked = {ANN, NULL, words, NULL, NULL, NULL};
    run_words(rules, &asked, out, sizeof out);
    decider_expand(wanted, sizeof wanted, expected);
    assert_string_equal(out, wanted);
}

static void test_what_is_run(void **state)
{
    (void)state;
#define X "[allow x]\nclient = any\n"
    assert_runs("", "git a", "?|git|a");
    /* What argv[0] is the rule says, and not the client. */
    assert_runs(X "command = @/bin/git **\n", "@/bin/git a", "@/bin/git|@/bin/git|a");
    assert_runs(X "command = @/bin/ls **\n", "ls", "@/bin/ls|@/bin/ls");
    assert_runs(X "command = @/link/git **\n", "git", "@/link/git|@/link/git");
    assert_runs(X "command = **\n", "git a", "?|git|a");
    assert_runs(X "force = /bin/deploy --to \"the site\"\n", "git \"a b\" \"c'd\"",
                "/bin/deploy|/bin/deploy|--to|the site|AFAR_ORIGINAL_COMMAND=git 'a b' 'c'\\''d'");
    assert_runs(X "force = /bin/deploy\n", "-s make | tee x",
                "/bin/deploy|/bin/deploy|AFAR_ORIGINAL_COMMAND=make | tee x");
    assert_runs(X "wrapper = /usr/bin/bwrap --ro-bind / /\nwrapper = --dev /dev\n"
                  "command = @/bin/git **\n",
                "git a", "/usr/bin/bwrap|/usr/bin/bwrap|--ro-bind|/|/|--dev|/dev|@/bin/git|a");
    assert_runs(X "wrapper = /usr/bin/bwrap\nshell = yes\n", "-s a b",
                "/usr/bin/bwrap|/usr/bin/bwrap|/bin/sh|-c|a b");
    assert_runs(X "wrapper = /usr/bin/bwrap\nforce = /bin/deploy x\n", "git",
                "/usr/bin/bwrap|/usr/bin/bwrap|/bin/deploy|x|AFAR_ORIGINAL_COMMAND=git");
#undef X
}

/* Where any program may be run, its first word must not be read by the wrapper as its own. */
static void test_words_for_the_wrapper(void **state)
{
    static const struct {
        const char *rule;
        const char *words;
        const char *answer;
    } cases[] = {
        {"wrapper = /usr/bin/bwrap --ro-bind / /\ncommand = **\n", "--bind / / sh", "no"},
        {"wrapper = /usr/bin/bwrap --ro-bind / /\ncommand = *\n", "--help", "no"},
        {"wrapper = /usr/bin/bwrap --ro-bind / /\ncommand = **\n", "-", "no"},
        {"wrapper = /usr/bin/env -i\ncommand = **\n", "LD_PRELOAD=/evil.so ls", "no"},
        {"wrapper = /usr/bin/env -i\ncommand = **\n", "@/bin/x=y", "no"},
        {"wrapper = /usr/bin/bwrap --ro-bind / /\ncommand = **\n", "git --bind / /", "x"},
        {"wrapper = /usr/bin/bwrap --ro-bind / /\ncommand = **\n", "@/bin/git -x", "x"},
        {"wrapper = /usr/bin/bwrap\nshell = yes\n", "-s --bind / / sh", "x"},
        {"wrapper = /usr/bin/bwrap\nforce = /bin/x\n", "--bind / / sh", "x"},
        {"command = **\n", "-x A=b", "x"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char rules[256];
        char text[DECIDER_TEXT_BYTES];
        char answer[64];
        char reason[POLICY_REASON_BYTES];
        struct config config;
        struct afar_error err;
        const struct asked asked = {ANN, NULL, cases[i].words, NULL, NULL, NULL};
        (void)snprintf(rules, sizeof rules, "[allow x]\nclient = any\n%s", cases[i].rule);
        decider_expand(text, sizeof text, rules);
        assert_int_equal(decider_load(&config, text, &err), AFAR_OK);
        (void)decider_decide(config.rules, &asked, answer, reason, sizeof reason);
        if (strcmp(answer, cases[i].answer) != 0)
            fail_msg("'%s' by %s: %s (%s)", cases[i].words, cases[i].rule, answer, reason);
        if (strcmp(answer, "no") == 0)
            assert_non_null(strstr(reason, "wrapper"));
        config_close(&config);
    }
}

static void test_reasons(void **state)
{
    static const struct {
        const char *names;
        const char *words;
        const char *env;
        const char *reason;
        const char *user;
    } cases[] = {
        {"cn:bob", "git", NULL, "no rule lets this client (cn:bob) run anything", NULL},
        {"", "git", NULL, "no rule lets this client (nobody) run anything", NULL},
        {RUNNER, "-s ls|x", NULL, "no rule lets this client (" RUNNER ") run a shell line", NULL},
        {RUNNER, "-s cat x", NULL,
         "no rule lets this client (" RUNNER ") run a shell line, or without a shell 'cat'", NULL},
        {RUNNER, "git push", NULL,
         "no rule lets this client (" RUNNER ") run 'git' with these arguments", NULL},
        {RUNNER, "cat x", NULL, "no rule lets this client (" RUNNER ") run 'cat'", NULL},
        {RUNNER, "./git log", NULL,
         "no rule lets this client (" RUNNER ") run './git'; there is one for '@/bin/git'", NULL},
        {RUNNER, "/usr/bin/git log", NULL,
         "no rule lets this client (" RUNNER ") run '/usr/bin/git'; there is one for '@/bin/git'",
         NULL},
        {RUNNER, "tool", "SECRET=hush", "rule 'ci' (RULES:1) does not let the client set SECRET",
         NULL},
        {RUNNER, "git log", NULL,
         "no rule lets this client (" RUNNER ") run anything as user 'bob'", "bob"},
    };
    char text[DECIDER_TEXT_BYTES];
    struct config config;
    struct afar_error err;
    (void)state;
    decider_expand(text, sizeof text, CI);
    assert_int_equal(decider_load(&config, text, &err), AFAR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char answer[64];
        char reason[POLICY_REASON_BYTES];
        char expected[POLICY_REASON_BYTES];
        char wanted[2 * POLICY_REASON_BYTES];
        const struct asked asked = {cases[i].names, NULL, cases[i].words,
                                    cases[i].env,   NULL, cases[i].user};
        (void)decider_decide(config.rules, &asked, answer, reason, sizeof reason);
        decider_expand(expected, sizeof expected, cases[i].reason);
        const char *place = strstr(expected, "RULES");
        int size = place != NULL ? (int)(place - expected) : 0;
        if (place != NULL)
            (void)snprintf(wanted, sizeof wanted, "%.*s%s%s", size, expected,
                           rules_file(config.rules), place + 5);
        else
            (void)snprintf(wanted, sizeof wanted, "%s", expected);
        assert_string_equal(reason, wanted);
        assert_null(strstr(reason, "hush"));
    }
    config_close(&config);
}

/* There is a rule for the command, and one for the user: what is wrong is the two together. */
static void test_reason_names_the_user(void **state)
{
    char text[DECIDER_TEXT_BYTES];
    char answer[64];
    char reason[POLICY_REASON_BYTES];
    struct config config;
    struct afar_error err;
    (void)state;
    decider_expand(text, sizeof text,
                   "[allow a]\nclient = any\nuser = nobody\ncommand = @/bin/git log\n"
                   "[allow b]\nclient = any\nuser = root\ncommand = @/bin/cat\n");
    assert_int_equal(decider_load(&config, text, &err), AFAR_OK);
    const struct asked asked = {ANN, NULL, "cat", NULL, NULL, "nobody"};
    (void)decider_decide(config.rules, &asked, answer, reason, sizeof reason);
    assert_string_equal(answer, "-");
    assert_non_null(strstr(reason, ") run 'cat' as user 'nobody'"));
    config_close(&config);
}

/* Where it begins, which is decided once: for the audit log, for --explain and for the child. */
static void test_directories(void **state)
{
    static const struct {
        const char *rule;
        const char *asked;
        const char *cwd; /* NULL: where the server is */
        bool is_home;
    } cases[] = {
        {"", NULL, NULL, false},
        {"", "/tmp", "/tmp", false},
        {"cwd = /srv\n", NULL, "/srv", false},
        {"cwd = /srv\n", "/srv", "/srv", false},
        {"user = 0\n", NULL, "/root", true},
        {"user = 0\n", "/tmp", "/tmp", false},
        {"user = 0\ncwd = /srv\n", NULL, "/srv", false},
        {"user = 0\nchroot = /srv\n", NULL, "/", false},
        {"user = 4294967000\n", NULL, NULL, false}, /* without an entry */
    };
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: only root can become somebody else\n");
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        struct config config;
        struct decider_request request;
        struct policy_decision decision;
        struct afar_error err;
        const struct asked asked = {ANN, NULL, "x", NULL, cases[i].asked, NULL};
        (void)snprintf(text, sizeof text, "[allow x]\nclient = any\ncommand = **\n%s",
                       cases[i].rule);
        assert_int_equal(decider_load(&config, text, &err), AFAR_OK);
        decider_request_make(&request, &asked);
        assert_int_equal(
            policy_decide(config.rules, &request.client, &request.request, &decision, &err),
            AFAR_OK);
        if (cases[i].cwd == NULL)
            assert_null(decision.cwd);
        else
            assert_string_equal(decision.cwd, cases[i].cwd);
        assert_int_equal(decision.cwd_is_home, cases[i].is_home);
        policy_decision_close(&decision);
        decider_request_close(&request);
        config_close(&config);
    }
    /* Without rules, as asked. */
    struct decider_request request;
    struct policy_decision decision;
    const struct asked asked = {ANN, NULL, "x", NULL, "/tmp", NULL};
    decider_request_make(&request, &asked);
    assert_int_equal(policy_decide(NULL, &request.client, &request.request, &decision, NULL),
                     AFAR_OK);
    assert_string_equal(decision.cwd, "/tmp");
    policy_decision_close(&decision);
    decider_request_close(&request);
}

static void test_may(void **state)
{
    static const char text[] = "[allow a]\nclient = cn:a\nmay = kill\n"
                               "[allow b]\nclient = cn:b\nfrom = 10.0.0.0/8\ncommand = **\n";
    char *a[] = {(char[]){"cn:a"}, NULL};
    char *b[] = {(char[]){"cn:b"}, NULL};
    const struct policy_client near = {.names = b, .address = "10.1.1.1:1"};
    const struct policy_client far = {.names = b, .address = "11.1.1.1:1"};
    const struct policy_client ann = {.names = a, .address = "unix"};
    struct config config;
    struct afar_error err;
    (void)state;
    assert_int_equal(decider_load(&config, text, &err), AFAR_OK);
    assert_true(policy_may(config.rules, &ann, POLICY_KILL));
    assert_false(policy_may(config.rules, &ann, POLICY_RUN));
    assert_true(policy_may(config.rules, &near, POLICY_RUN));
    assert_true(policy_may(config.rules, &near, POLICY_KILL));
    assert_false(policy_may(config.rules, &near, POLICY_FILES));
    assert_false(policy_may(config.rules, &far, POLICY_RUN));
    assert_true(policy_may(NULL, &far, POLICY_FILES));
    config_close(&config);
}

/* ---- whatever the rules ---------------------------------------------------------------------- */

static const char *pick(struct seeded *seeded, const char *const *from, size_t count)
{
    return from[seeded_below(seeded, (unsigned)count)];
}

#define PICK(from) pick(seeded, from, sizeof(from) / sizeof(from)[0])

static const char *const clients[] = {"cn:a", "cn:b", "cn:*", "any", "dns:*.x", "uri:spiffe://**"};
static const char *const commands[] = {"command = @/bin/git **",
                                       "command = @/bin/git *",
                                       "command = @/bin/tool",
                                       "command = **",
                                       "shell = yes",
                                       "force = /bin/x",
                                       "command = * a",
                                       "may = kill"};
static const char *const extras[] = {"", "env = FOO", "env = *\nenv_dangerous = yes", "cwd = /srv",
                                     "from = 10.0.0.0/8"};
static const char *const asked_names[] = {"cn:a", "cn:b", "dns:h.x", "uri:spiffe://s/t", "uid:7"};
static const char *const asked_words[] = {"git", "git a", "tool", "@/evil/git a", "-s ls", "x a"};
static const char *const asked_env[] = {NULL, "FOO=1", "PATH=/x"};
static const char *const asked_cwd[] = {NULL, "/srv", "/"};

static size_t add_rule(struct seeded *seeded, unsigned number, char *text, size_t size)
{
    return (size_t)snprintf(text, size, "[allow r%u]\nclient = %s\n%s\n%s\n", number, PICK(clients),
                            PICK(commands), PICK(extras));
}

/* Adding a rule at the end changes nothing that an earlier one decides. */
static void test_adding_a_rule(void **state)
{
    struct seeded made = {.state = 4711};
    struct seeded *seeded = &made;
    unsigned decided = 0;
    (void)state;
    for (unsigned round = 0; round < 400; round++) {
        char plain[DECIDER_TEXT_BYTES] = "";
        char text[DECIDER_TEXT_BYTES];
        struct config shorter;
        struct config longer;
        struct afar_error err;
        size_t used = 0;
        unsigned rules = 1 + seeded_below(seeded, 4);
        for (unsigned i = 0; i < rules; i++)
            used += add_rule(seeded, i, plain + used, sizeof plain - used);
        decider_expand(text, sizeof text, plain);
        assert_int_equal(decider_load(&shorter, text, &err), AFAR_OK);
        (void)add_rule(seeded, rules, plain + used, sizeof plain - used);
        decider_expand(text, sizeof text, plain);
        assert_int_equal(decider_load(&longer, text, &err), AFAR_OK);
        for (unsigned i = 0; i < 20; i++) {
            char before[64];
            char after[64];
            char reason[POLICY_REASON_BYTES];
            const struct asked asked = {PICK(asked_names), "10.0.0.1:9",    PICK(asked_words),
                                        PICK(asked_env),   PICK(asked_cwd), NULL};
            (void)decider_decide(shorter.rules, &asked, before, reason, sizeof reason);
            (void)decider_decide(longer.rules, &asked, after, reason, sizeof reason);
            if (strcmp(before, "-") == 0)
                continue;
            decided++;
            if (strcmp(before, after) != 0)
                fail_msg("%s\n%s asks for '%s': %s, and then %s", text, asked.names, asked.words,
                         before, after);
        }
        config_close(&shorter);
        config_close(&longer);
    }
    assert_true(decided > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_run),   cmocka_unit_test(test_words_for_the_wrapper),
        cmocka_unit_test(test_reasons),       cmocka_unit_test(test_reason_names_the_user),
        cmocka_unit_test(test_directories),   cmocka_unit_test(test_may),
        cmocka_unit_test(test_adding_a_rule),
    };
    return cmocka_run_group_tests(tests, decider_make_tree, decider_remove_tree);
}
