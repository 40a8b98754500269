/* Files of rules beside the configuration, the defaults before it, and the user for all commands.
 */
// wrap: malloc calloc realloc strdup
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/decide.h"
#include "support/alloc_fault.h"
#include "support/folder.h"

enum { PATH_BYTES = 128, SOMEBODY = 54881 };

#define RULE(name) "[allow " name "]\nclient = any\ncommand = /bin/" name "\n"

struct place {
    char folder[48];
    char main[PATH_BYTES];
    char defaults[PATH_BYTES];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    char rules[PATH_BYTES];
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/afar-include-XXXXXX");
    if (mkdtemp(place->folder) == NULL)
        return -1;
    (void)snprintf(place->main, PATH_BYTES, "%s/afard.conf", place->folder);
    (void)snprintf(place->defaults, PATH_BYTES, "%s/defaults.conf", place->folder);
    (void)snprintf(rules, PATH_BYTES, "%s/rules.d", place->folder);
    *state = place;
    return mkdir(rules, 0755);
}

static int tear_down(void **state)
{
    struct place *place = *state;
    int failed = folder_remove(place->folder);
    free(place);
    return failed;
}

static void path_of(const struct place *place, const char *name, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/%s", place->folder, name);
}

static void put(const struct place *place, const char *name, const char *text)
{
    char path[PATH_BYTES];
    path_of(place, name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fchmod(fileno(file), 0644), 0);
    assert_int_equal(fclose(file), 0);
}

/* As afard does. */
static enum afar_status read_all(const struct place *place, struct config *config,
                                 struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    config_init(config);
    if (access(place->defaults, F_OK) == 0)
        status = config_load_defaults(config, place->defaults, err);
    if (status == AFAR_OK)
        status = config_load(config, place->main, err);
    return status == AFAR_OK ? config_finish(config, err) : status;
}

static void load(const struct place *place, struct config *config)
{
    struct afar_error err = {.code = AFAR_OK};
    if (read_all(place, config, &err) != AFAR_OK)
        fail_msg("%s", err.message);
}

static void assert_refused(const struct place *place, const char *says)
{
    struct config config;
    struct afar_error err = {.code = AFAR_OK};
    assert_int_not_equal(read_all(place, &config, &err), AFAR_OK);
    if (strstr(err.message, says) == NULL)
        fail_msg("'%s' is not in: %s", says, err.message);
    config_close(&config);
    assert_int_not_equal(read_all(place, &config, NULL), AFAR_OK);
    config_close(&config);
}

/* "a b c": the rules in the order in which they are tried. */
static void assert_rules(const struct config *config, const char *names)
{
    char got[256] = "";
    for (size_t i = 0; i < rules_count(config->rules); i++) {
        (void)strcat(got, i == 0 ? "" : " ");
        (void)strcat(got, rules_at(config->rules, i)->name);
    }
    assert_string_equal(got, names);
}

/* ---- include --------------------------------------------------------------------------------- */

static void test_order(void **state)
{
    const struct place *place = *state;
    struct config config;
    char expected[PATH_BYTES];
    /* By a name, which is relative to the file's folder; by a pattern; hidden ones are not seen, as
     * the folders of a Kubernetes volume. */
    put(place, "afard.conf",
        "include = rules.d/*.conf\ninclude = last.conf\nworkers = 3\n" RULE("ls"));
    put(place, "rules.d/20.conf", RULE("cp") RULE("mv"));
    put(place, "rules.d/10.conf", "\n\n" RULE("ln"));
    put(place, "rules.d/.15.conf", RULE("rm"));
    put(place, "rules.d/15.off", RULE("rm"));
    put(place, "last.conf", RULE("cat"));
    load(place, &config);
    assert_rules(&config, "ls ln cp mv cat");
    path_of(place, "rules.d/10.conf", expected);
    assert_string_equal(rules_at(config.rules, 1)->file, expected);
    assert_int_equal(rules_at(config.rules, 1)->line, 3);
    assert_string_equal(rules_file(config.rules), place->main);
    assert_int_equal(rules_file_count(config.rules), 4);
    assert_int_equal(config.files.count, 4);
    assert_int_equal(config.workers, 3);
    config_close(&config);
}

static void test_only_files(void **state)
{
    const struct place *place = *state;
    struct config config;
    put(place, "afard.conf", "include = rules.d/*.conf\n");
    put(place, "rules.d/a.conf", RULE("ls"));
    load(place, &config);
    assert_rules(&config, "ls");
    config_close(&config);
}

static void test_errors_name_the_file(void **state)
{
    const struct place *place = *state;
    char expected[PATH_BYTES + 64];
    put(place, "afard.conf", "include = rules.d/*.conf\n" RULE("ls"));
    put(place, "rules.d/a.conf", "[allow x]\nclient = any\nnonsense = 1\n");
    (void)snprintf(expected, sizeof expected, "include: %s/rules.d/a.conf:3: unknown key",
                   place->folder);
    assert_refused(place, expected);
    put(place, "rules.d/a.conf", RULE("ls"));
    (void)snprintf(expected, sizeof expected, "there is a rule 'ls' already in %s:2", place->main);
    assert_refused(place, expected);
    put(place, "rules.d/a.conf", "[server]\nworkers = 1\n");
    assert_refused(place, "a.conf:1: a file named by include has only sections");
    put(place, "rules.d/a.conf", "workers = 1\n");
    assert_refused(place, "a.conf:1: a file named by include has only sections");
    put(place, "rules.d/a.conf", "include = more.conf\n");
    assert_refused(place, "a.conf:1: a file named by include has only sections");
}

/* A typing error must not end in a server without rules. */
static void test_nothing_there(void **state)
{
    const struct place *place = *state;
    struct config config;
    put(place, "afard.conf", "include = rules.d/*.conf\n");
    assert_refused(place, "include: neither these files nor any other has a rule");
    put(place, "rules.d/a.conf", "; nothing\n");
    assert_refused(place, "include: neither these files nor any other has a rule");
    put(place, "afard.conf", "include = rule.d/*.conf\n" RULE("ls"));
    assert_refused(place, "rule.d/: cannot be read: No such file");
    put(place, "afard.conf", "include = rules.d/b.conf\n" RULE("ls"));
    assert_refused(place, "rules.d/b.conf: cannot be read: No such file");
    put(place, "afard.conf", "include = \n");
    assert_refused(place, "include: expected the name of a file");
    /* A folder for rules to come, beside one that is there. */
    put(place, "afard.conf", "include = rules.d/*.rules\n" RULE("ls"));
    load(place, &config);
    assert_rules(&config, "ls");
    config_close(&config);
}

static void set_mode(const struct place *place, const char *name, mode_t mode)
{
    char path[PATH_BYTES];
    path_of(place, name, path);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_writable_by_others(void **state)
{
    const struct place *place = *state;
    struct config config;
    put(place, "afard.conf", "include = rules.d/*.conf\n");
    put(place, "rules.d/a.conf", RULE("ls"));
    set_mode(place, "rules.d/a.conf", 0664);
    assert_refused(place,
                   "a.conf: others can write to it and change what clients may do: chmod go-w it");
    set_mode(place, "rules.d/a.conf", 0602);
    assert_refused(place, "a.conf: others can write to it");
    set_mode(place, "rules.d/a.conf", 0640);
    set_mode(place, "rules.d", 01777);
    assert_refused(place, "rules.d/: others can write to it");
    set_mode(place, "rules.d", 0750);
    load(place, &config);
    config_close(&config);
    if (geteuid() != 0)
        return;
    char path[PATH_BYTES];
    path_of(place, "rules.d/a.conf", path);
    assert_int_equal(chown(path, SOMEBODY, 0), 0);
    assert_refused(place, "a.conf: it belongs to uid 54881, who could change what clients may do");
    assert_int_equal(chown(path, 0, 0), 0);
    path_of(place, "rules.d", path);
    assert_int_equal(chown(path, SOMEBODY, 0), 0);
    assert_refused(place,
                   "rules.d/: it belongs to uid 54881, who could change what clients may do");
}

/* ---- defaults -------------------------------------------------------------------------------- */

static void test_defaults(void **state)
{
    const struct place *place = *state;
    struct config config;
    put(place, "defaults.conf",
        "listen = tcp://127.0.0.1:1\nlisten = tcp://127.0.0.1:2\ndrain_ms = 5000\nworkers = 4\n"
        "include = nowhere.d/*.conf\n");
    put(place, "afard.conf", "workers = 7\n");
    load(place, &config);
    assert_int_equal(config.drain_ms, 5000);
    assert_int_equal(config.workers, 7);
    assert_int_equal(config.listen_count, 2);
    assert_int_equal(rules_count(config.rules), 0);
    config_close(&config);

    put(place, "afard.conf", "listen = tcp://127.0.0.1:3\ndrain_ms = 1\n");
    load(place, &config);
    assert_int_equal(config.drain_ms, 1);
    assert_int_equal(config.listen_count, 1);
    assert_int_equal(config.listen[0].port, 3);
    config_close(&config);

    /* A folder that is there is meant. */
    put(place, "defaults.conf", "include = rules.d/*.conf\n");
    assert_refused(place, "include: neither these files");
    put(place, "rules.d/a.conf", RULE("ls"));
    load(place, &config);
    assert_rules(&config, "ls");
    config_close(&config);
    /* What the file itself includes has to be there. */
    put(place, "afard.conf", "include = nowhere.d/*.conf\n");
    assert_refused(place, "nowhere.d/: cannot be read");
}

/* ---- user ------------------------------------------------------------------------------------ */

static const struct rule *otherwise(struct config *config, struct policy_decision *decision)
{
    char *argv[] = {"/bin/anything", NULL};
    char *names[] = {NULL};
    const struct policy_client client = {.names = names, .address = "127.0.0.1:1"};
    const struct policy_request request = {.argv = argv, .path = "/bin"};
    assert_int_equal(policy_decide(config->rules, &client, &request, decision, NULL), AFAR_OK);
    assert_true(decision->allowed);
    return decision->rule;
}

static void test_user_of_all(void **state)
{
    const struct place *place = *state;
    struct config config;
    struct policy_decision decision;
    put(place, "afard.conf", "listen = tcp://127.0.0.1:0\nuser = 54881\n");
    if (geteuid() != 0) {
        load(place, &config);
        struct afar_error err;
        assert_int_equal(config_check(&config, &err), AFAR_EINVAL);
        assert_non_null(strstr(err.message, "user"));
        config_close(&config);
        put(place, "defaults.conf", "user = 54881\n");
        put(place, "afard.conf", "listen = tcp://127.0.0.1:0\n");
        load(place, &config);
        assert_int_equal(config_check(&config, NULL), AFAR_OK);
        assert_null(rules_otherwise(config.rules));
        config_close(&config);
        return;
    }
    load(place, &config);
    assert_int_equal(config_check(&config, NULL), AFAR_OK);
    assert_int_equal(rules_count(config.rules), 0);
    const struct rule *rule = otherwise(&config, &decision);
    assert_non_null(rule);
    assert_null(rule->name);
    assert_int_equal(rule->user.uid, SOMEBODY);
    assert_int_equal(rule->user.gid, SOMEBODY);
    assert_true(rule_switches(rule));
    policy_decision_close(&decision);
    config_close(&config);

    /* A rule's own wins, whoever it is. */
    put(place, "afard.conf",
        "listen = tcp://127.0.0.1:0\nuser = 54881\n" RULE("ls") "user = 0\n" RULE("cat")
            RULE("cp") "group = 7\n");
    load(place, &config);
    assert_int_equal(config_check(&config, NULL), AFAR_OK);
    assert_int_equal(rules_at(config.rules, 0)->user.uid, 0);
    assert_int_equal(rules_at(config.rules, 1)->user.uid, SOMEBODY);
    assert_int_equal(rules_at(config.rules, 2)->user.uid, SOMEBODY);
    assert_int_equal(rules_at(config.rules, 2)->group, 7);
    config_close(&config);

    /* Of two files' the later; and one that there is not. */
    put(place, "defaults.conf", "user = 1\n");
    load(place, &config);
    assert_int_equal(rules_at(config.rules, 1)->user.uid, SOMEBODY);
    config_close(&config);
    put(place, "afard.conf", "listen = tcp://127.0.0.1:0\n");
    load(place, &config);
    assert_int_equal(otherwise(&config, &decision)->user.uid, 1);
    policy_decision_close(&decision);
    config_close(&config);
    put(place, "afard.conf", "user = there-is-no-such-user\n");
    assert_refused(place, "user: there is no user 'there-is-no-such-user' here");
}

static void test_no_user(void **state)
{
    const struct place *place = *state;
    struct config config;
    struct policy_decision decision;
    char own[64];
    put(place, "afard.conf", "workers = 1\n");
    load(place, &config);
    assert_null(otherwise(&config, &decision));
    policy_decision_close(&decision);
    config_close(&config);
    if (geteuid() == 0)
        return;
    (void)snprintf(own, sizeof own, "user = %u\n", (unsigned)geteuid());
    put(place, "afard.conf", own);
    load(place, &config);
    assert_null(otherwise(&config, &decision));
    policy_decision_close(&decision);
    config_close(&config);
}

static void test_out_of_memory(void **state)
{
    const struct place *place = *state;
    put(place, "defaults.conf", "user = 1\ninclude = nowhere.d/*.conf\n");
    put(place, "afard.conf", "include = rules.d/*.conf\n" RULE("ls"));
    put(place, "rules.d/a.conf", RULE("cat"));
    for (int nth = 1;; nth++) {
        struct config config;
        struct afar_error err = {.code = AFAR_OK};
        alloc_fault_arm(nth);
        enum afar_status status = read_all(place, &config, &err);
        bool fired = alloc_fault_fired();
        assert_true((status != AFAR_OK) == fired);
        assert_true(!fired || err.message[0] != '\0');
        config_close(&config);
        if (!fired)
            break;
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_order),
        TEST(test_only_files),
        TEST(test_errors_name_the_file),
        TEST(test_nothing_there),
        TEST(test_writable_by_others),
        TEST(test_defaults),
        TEST(test_user_of_all),
        TEST(test_no_user),
        TEST(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
