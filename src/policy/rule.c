#include "policy/rule.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/number.h"
#include "policy/env_pattern.h"
#include "policy/privileges.h"
#include "policy/rule_files.h"
#include "policy/rule_record.h"
#include "policy/units.h"

enum { SHOWN_BYTES = 80, NICE_MIN = -20, NICE_MAX = 19, UMASK_MAX = 0777 };

#define COUNT_MAX UINT64_C(1048576)
#define CPU_MAX_S UINT64_C(2147483647)
/* The range of spool_bytes in config_table.c. */
#define SPOOL_MIN_BYTES (UINT64_C(1) << 20)
#define SPOOL_MAX_BYTES (UINT64_C(1) << 40)

static enum afar_status fail_memory(struct afar_error *err)
{
    return afar_fail(err, AFAR_ENOMEM, "out of memory for a rule");
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Makes room for one more entry. */
static enum afar_status grow(void **list, size_t count, size_t entry_bytes, struct afar_error *err)
{
    if (count >= RULE_LIST_MAX)
        return afar_fail(err, AFAR_EINVAL, "there can be at most %d", RULE_LIST_MAX);
    void *longer = realloc(*list, (count + 1) * entry_bytes);
    if (longer == NULL)
        return fail_memory(err);
    *list = longer;
    return AFAR_OK;
}

static enum afar_status set_client(struct rule *rule, const char *value, struct afar_error *err)
{
    void *list = rule->clients;
    enum afar_status status = grow(&list, rule->client_count, sizeof *rule->clients, err);
    rule->clients = list;
    if (status == AFAR_OK)
        status = client_pattern_parse(&rule->clients[rule->client_count], value, err);
    if (status == AFAR_OK)
        rule->client_count++;
    return status;
}

static enum afar_status set_from(struct rule *rule, const char *value, struct afar_error *err)
{
    void *list = rule->networks;
    enum afar_status status = grow(&list, rule->network_count, sizeof *rule->networks, err);
    rule->networks = list;
    if (status == AFAR_OK)
        status = network_parse(&rule->networks[rule->network_count], value, err);
    if (status == AFAR_OK)
        rule->network_count++;
    return status;
}

/* A program must be a plain absolute path, so that it can be compared as text. */
static enum afar_status check_program(const char *path, const char *otherwise,
                                      struct afar_error *err)
{
    if (path[0] != '/')
        return afar_fail(err, AFAR_EINVAL,
                         "'%.*s': a command begins with its program's absolute path, as "
                         "/usr/bin/git%s",
                         SHOWN_BYTES, path, otherwise);
    if (!rule_path_is_plain(path) || path[1] == '\0')
        return afar_fail(err, AFAR_EINVAL, "'%.*s': expected a path without //, . and ..",
                         SHOWN_BYTES, path);
    return AFAR_OK;
}

static enum afar_status set_command(struct rule *rule, const char *value, struct afar_error *err)
{
    void *list = rule->commands;
    enum afar_status status = grow(&list, rule->command_count, sizeof *rule->commands, err);
    rule->commands = list;
    if (status != AFAR_OK)
        return status;
    struct template *command = &rule->commands[rule->command_count];
    status = template_parse(command, value, err);
    if (status == AFAR_OK && !template_any_program(command))
        status = check_program(command->words.at[0], ", or with * or **", err);
    if (status == AFAR_OK)
        rule->command_count++;
    else
        template_close(command);
    return status;
}

static enum afar_status set_forward(struct rule *rule, const char *value, struct afar_error *err)
{
    void *list = rule->forwards;
    enum afar_status status = grow(&list, rule->forward_count, sizeof *rule->forwards, err);
    rule->forwards = list;
    if (status == AFAR_OK)
        status = forward_pattern_parse(&rule->forwards[rule->forward_count], value, err);
    if (status == AFAR_OK)
        rule->forward_count++;
    return status;
}

static enum afar_status set_force(struct rule *rule, const char *value, struct afar_error *err)
{
    enum afar_status status = template_split(&rule->force, value, err);
    return status == AFAR_OK && rule->force.count > 0 ? check_program(rule->force.at[0], "", err)
                                                      : status;
}

static enum afar_status set_wrapper(struct rule *rule, const char *value, struct afar_error *err)
{
    enum afar_status status = template_split(&rule->wrapper, value, err);
    return status == AFAR_OK && rule->wrapper.count > 0
               ? check_program(rule->wrapper.at[0], "", err)
               : status;
}

/* Calls `take` for each word; commas and blanks separate them. */
static enum afar_status each_word(struct rule *rule, const char *value,
                                  enum afar_status (*take)(struct rule *, const char *,
                                                           struct afar_error *),
                                  struct afar_error *err)
{
    static const char separators[] = ", \t";
    enum afar_status status = AFAR_OK;
    const char *at = value + strspn(value, separators);
    if (*at == '\0')
        return afar_fail(err, AFAR_EINVAL, "expected a name");
    while (*at != '\0' && status == AFAR_OK) {
        size_t size = strcspn(at, separators);
        char *word = strndup(at, size);
        status = word == NULL ? fail_memory(err) : take(rule, word, err);
        free(word);
        at += size;
        at += strspn(at, separators);
    }
    return status;
}

static enum afar_status add_env(struct rule *rule, const char *word, struct afar_error *err)
{
    enum afar_status status = env_pattern_check(word, err);
    return status == AFAR_OK ? words_add(&rule->env, word, strlen(word), err) : status;
}

static enum afar_status set_env(struct rule *rule, const char *value, struct afar_error *err)
{
    return each_word(rule, value, add_env, err);
}

static enum afar_status add_may(struct rule *rule, const char *word, struct afar_error *err)
{
    static const struct {
        const char *name;
        enum policy_verb verb;
    } verbs[] = {{"run", POLICY_RUN},     {"attach", POLICY_ATTACH},  {"kill", POLICY_KILL},
                 {"list", POLICY_LIST},   {"files", POLICY_FILES},    {"keep", POLICY_KEEP},
                 {"leave", POLICY_LEAVE}, {"forward", POLICY_FORWARD}};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(word, verbs[i].name) == 0) {
            rule->may |= verbs[i].verb;
            return AFAR_OK;
        }
    }
    return afar_fail(err, AFAR_EINVAL,
                     "'%.*s': expected run, attach, kill, list, files, keep, leave or forward",
                     SHOWN_BYTES, word);
}

static enum afar_status set_may(struct rule *rule, const char *value, struct afar_error *err)
{
    if (!rule->may_set)
        rule->may = 0;
    rule->may_set = true;
    return each_word(rule, value, add_may, err);
}

/* ---- single values --------------------------------------------------------------------------- */

static enum afar_status fail_again(struct afar_error *err)
{
    return afar_fail(err, AFAR_EINVAL, "given already in this rule");
}

/* *set: it has been given. */
static enum afar_status set_flag(bool *flag, bool *set, const char *value, struct afar_error *err)
{
    if (*set)
        return fail_again(err);
    *set = true;
    *flag = strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0;
    if (!*flag && strcasecmp(value, "no") != 0 && strcasecmp(value, "false") != 0)
        return afar_fail(err, AFAR_EINVAL, "'%.*s' is neither yes nor no", SHOWN_BYTES, value);
    return AFAR_OK;
}

static enum afar_status set_shell(struct rule *rule, const char *value, struct afar_error *err)
{
    return set_flag(&rule->shell, &rule->shell_set, value, err);
}

static enum afar_status set_jobs(struct rule *rule, const char *value, struct afar_error *err)
{
    if (rule->jobs_set)
        return fail_again(err);
    rule->jobs_set = true;
    rule->others = strcasecmp(value, "all") == 0;
    if (!rule->others && strcasecmp(value, "own") != 0)
        return afar_fail(err, AFAR_EINVAL, "'%.*s' is neither own nor all", SHOWN_BYTES, value);
    return AFAR_OK;
}

static enum afar_status set_pty(struct rule *rule, const char *value, struct afar_error *err)
{
    bool yes = false;
    if (strcasecmp(value, "must") == 0 && !rule->pty_set) {
        rule->pty_set = true;
        rule->pty = RULE_PTY_MUST;
        return AFAR_OK;
    }
    if (set_flag(&yes, &rule->pty_set, value, err) == AFAR_OK) {
        rule->pty = yes ? RULE_PTY_YES : RULE_PTY_NO;
        return AFAR_OK;
    }
    return strcasecmp(value, "must") == 0 ? fail_again(err)
                                          : afar_fail(err, AFAR_EINVAL,
                                                      "'%.*s' is neither yes, no nor must, or is "
                                                      "given already in this rule",
                                                      SHOWN_BYTES, value);
}

static enum afar_status set_confine(struct rule *rule, const char *value, struct afar_error *err)
{
    bool confine = false;
    enum afar_status status = set_flag(&confine, &rule->confine_set, value, err);
    rule->unconfined = !confine;
    return status;
}

static enum afar_status set_env_dangerous(struct rule *rule, const char *value,
                                          struct afar_error *err)
{
    return set_flag(&rule->env_dangerous, &rule->env_dangerous_set, value, err);
}

static enum afar_status set_user(struct rule *rule, const char *value, struct afar_error *err)
{
    return rule->user.name != NULL ? fail_again(err) : users_find(&rule->user, value, err);
}

static enum afar_status set_group(struct rule *rule, const char *value, struct afar_error *err)
{
    unsigned id = 0;
    if (rule->group_set)
        return fail_again(err);
    enum afar_status status = users_find_group_id(value, &id, err);
    rule->group_set = status == AFAR_OK;
    rule->group = (gid_t)id;
    return status;
}

static enum afar_status set_directory(char **directory, const char *value, struct afar_error *err)
{
    if (*directory != NULL)
        return fail_again(err);
    if (value[0] != '/')
        return afar_fail(err, AFAR_EINVAL, "'%.*s' is not an absolute path", SHOWN_BYTES, value);
    *directory = strdup(value);
    return *directory != NULL ? AFAR_OK : fail_memory(err);
}

static enum afar_status set_cwd(struct rule *rule, const char *value, struct afar_error *err)
{
    return set_directory(&rule->cwd, value, err);
}

static enum afar_status set_chroot(struct rule *rule, const char *value, struct afar_error *err)
{
    return set_directory(&rule->chroot, value, err);
}

static enum afar_status set_umask(struct rule *rule, const char *value, struct afar_error *err)
{
    if (rule->umask.set)
        return fail_again(err);
    size_t size = strlen(value);
    if (size < 1 || size > 4 || strspn(value, "01234567") != size)
        return afar_fail(err, AFAR_EINVAL, "'%.*s' is not an octal number from 000 to 777",
                         SHOWN_BYTES, value);
    unsigned long mask = strtoul(value, NULL, 8);
    if (mask > UMASK_MAX)
        return afar_fail(err, AFAR_EINVAL, "'%s' is not an octal number from 000 to 777", value);
    rule->umask = (struct rule_number){.set = true, .value = mask};
    return AFAR_OK;
}

static enum afar_status set_nice(struct rule *rule, const char *value, struct afar_error *err)
{
    uint64_t size = 0;
    bool negative = value[0] == '-';
    if (rule->nice_set)
        return fail_again(err);
    if (number_parse(value + (negative ? 1 : 0), 0, negative ? -NICE_MIN : NICE_MAX, &size, NULL) !=
        AFAR_OK)
        return afar_fail(err, AFAR_EINVAL, "'%.*s' is not a whole number from %d to %d",
                         SHOWN_BYTES, value, NICE_MIN, NICE_MAX);
    rule->nice_set = true;
    rule->nice = negative ? -(int)size : (int)size;
    return AFAR_OK;
}

static enum afar_status parse_count(const char *text, uint64_t *value, struct afar_error *err)
{
    return number_parse(text, 1, COUNT_MAX, value, err);
}

static enum afar_status parse_seconds(const char *text, uint64_t *value, struct afar_error *err)
{
    uint64_t duration_ms = 0;
    enum afar_status status = duration_parse(text, &duration_ms, err);
    *value = duration_ms / 1000;
    if (status == AFAR_OK && (*value == 0 || *value > CPU_MAX_S))
        status = afar_fail(err, AFAR_EINVAL, "'%.*s' is less than a second", SHOWN_BYTES, text);
    return status;
}

/* A duration, or 0. */
static enum afar_status parse_pause(const char *text, uint64_t *value, struct afar_error *err)
{
    static const char *const none[] = {"0", "0ms", "0s", "0m", "0h", "0d"};
    *value = 0;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        if (strcmp(text, none[i]) == 0)
            return AFAR_OK;
    return duration_parse(text, value, err);
}

/* A size, but not 0. */
static enum afar_status parse_memory(const char *text, uint64_t *value, struct afar_error *err)
{
    enum afar_status status = size_parse(text, value, err);
    if (status == AFAR_OK && *value == 0)
        status = afar_fail(err, AFAR_EINVAL, "a command cannot run without memory");
    return status;
}

static enum afar_status parse_spool(const char *text, uint64_t *value, struct afar_error *err)
{
    enum afar_status status = size_parse(text, value, err);
    if (status == AFAR_OK && (*value < SPOOL_MIN_BYTES || *value > SPOOL_MAX_BYTES))
        status =
            afar_fail(err, AFAR_EINVAL, "'%.*s' is not a size from 1M to 1024G", SHOWN_BYTES, text);
    return status;
}

/* ---- the table ------------------------------------------------------------------------------- */

#define AT(member) offsetof(struct rule, member)

/* Each key has either `set`, or `parse` and the offset of a struct rule_number. */
static const struct rule_key {
    const char *name;
    enum afar_status (*set)(struct rule *rule, const char *value, struct afar_error *err);
    enum afar_status (*parse)(const char *text, uint64_t *value, struct afar_error *err);
    size_t offset;
} keys[] = {
    {"client", set_client, NULL, 0},
    {"from", set_from, NULL, 0},
    {"may", set_may, NULL, 0},
    {"jobs", set_jobs, NULL, 0},
    {"command", set_command, NULL, 0},
    {"shell", set_shell, NULL, 0},
    {"files", rule_files_set, NULL, 0},
    {"files_max", NULL, size_parse, AT(files_max)},
    {"forward", set_forward, NULL, 0},
    {"force", set_force, NULL, 0},
    {"wrapper", set_wrapper, NULL, 0},
    {"env", set_env, NULL, 0},
    {"env_dangerous", set_env_dangerous, NULL, 0},
    {"user", set_user, NULL, 0},
    {"group", set_group, NULL, 0},
    {"cwd", set_cwd, NULL, 0},
    {"chroot", set_chroot, NULL, 0},
    {"confine", set_confine, NULL, 0},
    {"pty", set_pty, NULL, 0},
    {"record", rule_record_set, NULL, 0},
    {"record_max", NULL, size_parse, AT(record_max)},
    {"record_full", rule_record_set_full, NULL, 0},
    {"umask", set_umask, NULL, 0},
    {"nice", set_nice, NULL, 0},
    {"timeout", NULL, duration_parse, AT(timeout_ms)},
    {"resume", NULL, parse_pause, AT(resume_ms)},
    {"spool", NULL, parse_spool, AT(spool_bytes)},
    {"max_output", NULL, size_parse, AT(max_output)},
    {"max_jobs", NULL, parse_count, AT(max_jobs)},
    {"rlimit_nofile", NULL, parse_count, AT(nofile)},
    {"rlimit_nproc", NULL, parse_count, AT(nproc)},
    {"rlimit_as", NULL, size_parse, AT(as_bytes)},
    {"rlimit_core", NULL, size_parse, AT(core_bytes)},
    {"rlimit_cpu", NULL, parse_seconds, AT(cpu_s)},
    {"memory", NULL, parse_memory, AT(memory_bytes)},
    {"cpu", NULL, processors_parse, AT(cpu_millis)},
    {"pids", NULL, parse_count, AT(pids)},
};

enum { KEYS = sizeof keys / sizeof keys[0] };

static enum afar_status set_number(struct rule *rule, const struct rule_key *key, const char *value,
                                   struct afar_error *err)
{
    struct rule_number *number = (void *)((char *)rule + key->offset);
    if (number->set)
        return fail_again(err);
    enum afar_status status = key->parse(value, &number->value, err);
    number->set = status == AFAR_OK;
    return status;
}

static enum afar_status fail_unknown(const char *name, struct afar_error *err)
{
    (void)afar_fail(err, AFAR_EINVAL, "unknown key '%.*s' in a rule; the keys are", 40, name);
    if (err == NULL)
        return AFAR_EINVAL;
    for (size_t i = 0; i < KEYS; i++) {
        size_t used = strlen(err->message);
        size_t needed = strlen(keys[i].name) + 2;
        if (used + needed >= sizeof err->message)
            break;
        memcpy(err->message + used, i == 0 ? "  " : ", ", 2);
        used += i == 0 ? 1 : 2;
        memcpy(err->message + used, keys[i].name, strlen(keys[i].name) + 1);
    }
    return AFAR_EINVAL;
}

enum afar_status rule_set(struct rule *rule, const char *key, const char *value,
                          struct afar_error *err)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].name, key) != 0)
            continue;
        enum afar_status status = AFAR_OK;
        if (value[0] == '\0')
            status = afar_fail(err, AFAR_EINVAL, "expected a value");
        else
            status = keys[i].set != NULL ? keys[i].set(rule, value, err)
                                         : set_number(rule, &keys[i], value, err);
        if (status != AFAR_OK)
            (void)afar_prefix(err, "%s", key);
        return status;
    }
    return fail_unknown(key, err);
}

/* ---- whole rules ----------------------------------------------------------------------------- */

struct rule *rule_new(const char *name, unsigned line)
{
    struct rule *rule = calloc(1, sizeof *rule);
    char *copy = strdup(name);
    if (rule == NULL || copy == NULL) {
        free(rule);
        free(copy);
        return NULL;
    }
    rule->name = copy;
    rule->line = line;
    rule->may = POLICY_RUN | POLICY_ATTACH | POLICY_KILL | POLICY_LIST;
    return rule;
}

void rule_free(struct rule *rule)
{
    if (rule == NULL)
        return;
    for (size_t i = 0; i < rule->client_count; i++)
        client_pattern_close(&rule->clients[i]);
    for (size_t i = 0; i < rule->command_count; i++)
        template_close(&rule->commands[i]);
    for (size_t i = 0; i < rule->forward_count; i++)
        forward_pattern_close(&rule->forwards[i]);
    words_close(&rule->force);
    words_close(&rule->wrapper);
    words_close(&rule->env);
    words_close(&rule->roots);
    user_close(&rule->user);
    free(rule->clients);
    free(rule->networks);
    free(rule->commands);
    free(rule->forwards);
    free(rule->cwd);
    free(rule->chroot);
    free(rule->record);
    free(rule->name);
    free(rule);
}

bool rule_switches(const struct rule *rule)
{
    return rule->user.name != NULL || rule->group_set || rule->chroot != NULL;
}

bool rule_wants_cgroup(const struct rule *rule)
{
    return rule->memory_bytes.set || rule->cpu_millis.set || rule->pids.set;
}

/* A list of the variables that can make programs run other code cannot be complete; so wide
 * patterns need env_dangerous = yes. */
static enum afar_status check_env(const struct rule *rule, struct afar_error *err)
{
    for (size_t i = 0; i < rule->env.count && !rule->env_dangerous; i++) {
        if (env_pattern_is_wide(rule->env.at[i]))
            return afar_fail(err, AFAR_EINVAL,
                             "env = %.*s lets a client set variables by which programs can be made "
                             "to run something else: name them, or prefixes of 3 letters and more "
                             "such as LC_*, CI_*; or say env_dangerous = yes",
                             SHOWN_BYTES, rule->env.at[i]);
    }
    return AFAR_OK;
}

static enum afar_status check_forward(const struct rule *rule, struct afar_error *err)
{
    const bool may = (rule->may & POLICY_FORWARD) != 0;
    if (may && rule->forward_count == 0)
        return afar_fail(err, AFAR_EINVAL,
                         "the rule lets connections be forwarded, and nowhere to: add forward = "
                         "HOST:PORT");
    if (!may && rule->forward_count > 0)
        return afar_fail(err, AFAR_EINVAL,
                         "forward says where to, and the rule does not allow it: add forward to "
                         "may, as in may = run forward");
    if (may && (rule->force.count > 0 || rule->wrapper.count > 0))
        return afar_fail(
            err, AFAR_EINVAL,
            "%s and may = forward cannot stand in one rule: the server connects by "
            "itself, and what is run instead or around would not hold for that; make a "
            "rule of its own for it",
            rule->force.count > 0 ? "force" : "wrapper");
    if (may && (rule->pty == RULE_PTY_MUST || rule->record != NULL))
        return afar_fail(err, AFAR_EINVAL, "%s and may = forward: a connection is no terminal",
                         rule->record != NULL ? "record" : "pty = must");
    return AFAR_OK;
}

enum afar_status rule_check(const struct rule *rule, struct afar_error *err)
{
    bool runs = rule->command_count > 0 || rule->shell || rule->force.count > 0;
    if (rule->client_count == 0)
        return afar_fail(err, AFAR_EINVAL,
                         "the rule matches no client: add client = cn:NAME, pin:sha256:… or any");
    if ((rule->may & POLICY_RUN) != 0 && !runs)
        return afar_fail(err, AFAR_EINVAL,
                         "the rule allows no command: add command = /PATH ARGUMENT…, command = ** "
                         "for any, shell = yes, or force");
    if (rule->pty == RULE_PTY_MUST && (rule->may & POLICY_FILES) != 0)
        return afar_fail(err, AFAR_EINVAL,
                         "pty = must and may = files: files are not transferred on a terminal");
    enum afar_status status = check_env(rule, err);
    if (status == AFAR_OK)
        status = rule_record_check(rule, err);
    if (status == AFAR_OK)
        status = rule_files_check(rule, err);
    if (status == AFAR_OK)
        status = check_forward(rule, err);
    return status == AFAR_OK ? privileges_check(rule, err) : status;
}
