#include "policy/rules.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct rules {
    atomic_uint references;
    struct words files; /* the last one is the file of the rules that are added */
    struct rule **at;
    size_t count;
    struct rule *otherwise; /* see rules_otherwise; NULL until rules_set_user */
};

struct rules *rules_new(const char *file)
{
    struct rules *rules = calloc(1, sizeof *rules);
    if (rules == NULL)
        return NULL;
    if (rules_from(rules, file, NULL) != AFAR_OK) {
        words_close(&rules->files);
        free(rules);
        return NULL;
    }
    atomic_init(&rules->references, 1);
    return rules;
}

enum afar_status rules_from(struct rules *rules, const char *file, struct afar_error *err)
{
    return words_add(&rules->files, file, strlen(file), err);
}

struct rules *rules_keep(struct rules *rules)
{
    if (rules != NULL)
        (void)atomic_fetch_add(&rules->references, 1);
    return rules;
}

void rules_free(struct rules *rules)
{
    if (rules == NULL || atomic_fetch_sub(&rules->references, 1) != 1)
        return;
    for (size_t i = 0; i < rules->count; i++)
        rule_free(rules->at[i]);
    rule_free(rules->otherwise);
    free(rules->at);
    words_close(&rules->files);
    free(rules);
}

static const char *present_file(const struct rules *rules)
{
    return rules->files.at[rules->files.count - 1];
}

static enum afar_status fail_taken(const struct rules *rules, const struct rule *rule,
                                   struct afar_error *err)
{
    if (rule->file == present_file(rules))
        return afar_fail(err, AFAR_EINVAL, "there is a rule '%s' already in line %u", rule->name,
                         rule->line);
    return afar_fail(err, AFAR_EINVAL, "there is a rule '%s' already in %.200s:%u", rule->name,
                     rule->file, rule->line);
}

static enum afar_status check_name(const struct rules *rules, const char *name,
                                   struct afar_error *err)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t size = strlen(name);
    if (size == 0 || size >= RULE_NAME_BYTES || strspn(name, letters) != size)
        return afar_fail(
            err, AFAR_EINVAL,
            "'%.60s' is not a rule's name: expected up to %d letters, digits, _ . and -", name,
            RULE_NAME_BYTES - 1);
    for (size_t i = 0; i < rules->count; i++) {
        if (strcmp(rules->at[i]->name, name) == 0)
            return fail_taken(rules, rules->at[i], err);
    }
    return AFAR_OK;
}

enum afar_status rules_begin(struct rules *rules, const char *name, unsigned line,
                             struct afar_error *err)
{
    enum afar_status status = check_name(rules, name, err);
    if (status != AFAR_OK)
        return status;
    if (rules->count >= RULES_MAX)
        return afar_fail(err, AFAR_EINVAL, "there can be at most %d rules", RULES_MAX);
    struct rule **longer = realloc(rules->at, (rules->count + 1) * sizeof(struct rule *));
    if (longer == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a rule");
    rules->at = longer;
    struct rule *rule = rule_new(name, line);
    if (rule == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a rule");
    rule->file = present_file(rules);
    rules->at[rules->count++] = rule;
    return AFAR_OK;
}

enum afar_status rules_set(struct rules *rules, const char *key, const char *value,
                           struct afar_error *err)
{
    return rule_set(rules->at[rules->count - 1], key, value, err);
}

/* Makes a rule without a name that allows every client what it may do without rules. */
static enum afar_status make_otherwise(struct rules *rules, struct afar_error *err)
{
    struct rule *rule = rule_new("", 0);
    if (rule == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a user");
    free(rule->name);
    rule->name = NULL;
    rule->file = rules->files.at[0];
    rule->may |= POLICY_FILES | POLICY_KEEP | POLICY_LEAVE; /* as without rules */
    rules->otherwise = rule;
    enum afar_status status = rule_set(rule, "client", "any", err);
    return status == AFAR_OK ? rule_set(rule, "shell", "yes", err) : status;
}

enum afar_status rules_set_user(struct rules *rules, const struct user *user,
                                struct afar_error *err)
{
    enum afar_status status = make_otherwise(rules, err);
    if (status == AFAR_OK)
        status = user_copy(&rules->otherwise->user, user, err);
    for (size_t i = 0; i < rules->count && status == AFAR_OK; i++) {
        if (rules->at[i]->user.name == NULL)
            status = user_copy(&rules->at[i]->user, user, err);
    }
    return status;
}

const struct rule *rules_otherwise(const struct rules *rules)
{
    return rules == NULL ? NULL : rules->otherwise;
}

enum afar_status rules_check(const struct rules *rules, struct afar_error *err)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = rules->at[i];
        enum afar_status status = rule_check(rule, err);
        if (status != AFAR_OK) {
            (void)afar_prefix(err, "%.200s:%u: [allow %s]", rule->file, rule->line, rule->name);
            return status;
        }
    }
    enum afar_status status =
        rules->otherwise == NULL ? AFAR_OK : rule_check(rules->otherwise, err);
    if (status != AFAR_OK)
        (void)afar_prefix(err, "[server]");
    return status;
}

enum afar_status rules_pins(const struct rules *rules, struct words *pins, struct afar_error *err)
{
    for (size_t i = 0; i < rules_count(rules); i++) {
        const struct rule *rule = rules->at[i];
        for (size_t j = 0; j < rule->client_count; j++) {
            const char *pin = client_pattern_pin(&rule->clients[j]);
            if (pin == NULL)
                continue;
            enum afar_status status = words_add(pins, pin, strlen(pin), err);
            if (status != AFAR_OK)
                return status;
        }
    }
    return AFAR_OK;
}

bool rules_have_pin(const struct rules *rules)
{
    for (size_t i = 0; i < rules_count(rules); i++) {
        for (size_t j = 0; j < rules->at[i]->client_count; j++) {
            if (client_pattern_pin(&rules->at[i]->clients[j]) != NULL)
                return true;
        }
    }
    return false;
}

size_t rules_count(const struct rules *rules)
{
    return rules == NULL ? 0 : rules->count;
}

const struct rule *rules_at(const struct rules *rules, size_t at)
{
    return rules->at[at];
}

const char *rules_file(const struct rules *rules)
{
    return rules->files.at[0];
}

size_t rules_file_count(const struct rules *rules)
{
    return rules->files.count;
}
