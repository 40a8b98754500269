#include "afard/explain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "exec/environment.h"
#include "policy/client_pattern.h"
#include "policy/decide.h"
#include "policy/rule_files.h"

enum { LABEL_COLUMNS = 12, SHOWN_BYTES = 4096 };

/* Prints a line "  label       value"; the value may contain any bytes. */
static void say(FILE *out, const char *label, const char *value)
{
    char text[SHOWN_BYTES];
    escape_text(text, sizeof text, value, ESCAPE_TERMINAL);
    (void)fprintf(out, "  %-*s %s\n", LABEL_COLUMNS, label, text);
}

static enum afar_status say_words(FILE *out, const char *label, char *const *words,
                                  struct afar_error *err)
{
    char *line = NULL;
    enum afar_status status = words_quote(words, &line, err);
    if (status == AFAR_OK)
        say(out, label, line);
    free(line);
    return status;
}

static void say_user(FILE *out, const struct rule *rule)
{
    const struct user *user = &rule->user;
    gid_t group = user->name == NULL ? getegid() : user->gid;
    (void)fprintf(out, "  %-*s %s (uid %u, gid %u", LABEL_COLUMNS, "user",
                  user->name == NULL ? "the server's" : user->name,
                  (unsigned)(user->name == NULL ? geteuid() : user->uid),
                  (unsigned)(rule->group_set ? rule->group : group));
    for (size_t i = 0; i < user->group_count; i++)
        (void)fprintf(out, "%s%u", i == 0 ? ", groups " : " ", (unsigned)user->groups[i]);
    (void)fprintf(out, ")\n");
}

static void say_directory(FILE *out, const struct policy_decision *decision)
{
    char text[SHOWN_BYTES];
    const char *otherwise = decision->cwd != NULL ? decision->cwd : "the server's";
    const char *more = decision->cwd_is_home ? ", or / if that cannot be entered" : "";
    (void)snprintf(text, sizeof text, "what the client asks for, else %s%s", otherwise, more);
    say(out, "directory", decision->rule->cwd != NULL ? decision->cwd : text);
}

static void say_environment(FILE *out, const struct rule *rule)
{
    say(out, "environment",
        rule->user.name != NULL ? "fresh: PATH, USER, LOGNAME, HOME, SHELL, LANG and TZ"
                                : "the server's, without what is for the server itself");
    for (size_t i = 0; i < rule->env.count; i++)
        say(out, i == 0 ? "may set" : "", rule->env.at[i]);
}

static void say_limits(FILE *out, const struct rule *rule)
{
    const struct {
        const char *name;
        const char *unit;
        const struct rule_number *number;
    } limits[] = {{"timeout", " ms", &rule->timeout_ms},
                  {"max_output", " bytes", &rule->max_output},
                  {"max_jobs", "", &rule->max_jobs},
                  {"nofile", "", &rule->nofile},
                  {"nproc", "", &rule->nproc},
                  {"as", " bytes", &rule->as_bytes},
                  {"core", " bytes", &rule->core_bytes},
                  {"cpu time", " s", &rule->cpu_s},
                  {"memory", " bytes", &rule->memory_bytes},
                  {"pids", "", &rule->pids},
                  {"cpu", " of a thousand", &rule->cpu_millis}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (limits[i].number->set)
            (void)fprintf(out, "  %-*s %llu%s\n", LABEL_COLUMNS, limits[i].name,
                          (unsigned long long)limits[i].number->value, limits[i].unit);
    }
    if (rule->umask.set)
        (void)fprintf(out, "  %-*s %03llo\n", LABEL_COLUMNS, "umask",
                      (unsigned long long)rule->umask.value);
    if (rule->nice_set)
        (void)fprintf(out, "  %-*s %d\n", LABEL_COLUMNS, "nice", rule->nice);
}

static enum afar_status say_allowed(FILE *out, const struct policy_decision *decision,
                                    const struct policy_request *request, struct afar_error *err)
{
    const struct rule *rule = decision->rule;
    if (rule == NULL || rule->name == NULL)
        (void)fprintf(out, "allowed: there are no rules\n");
    if (rule == NULL)
        return AFAR_OK;
    if (rule->name != NULL)
        (void)fprintf(out, "allowed by rule '%s' (%s:%u)\n", rule->name, rule->file, rule->line);
    say(out, "program",
        decision->program != NULL ? decision->program : "the first word, looked up in PATH");
    char *const *argv = decision->argv != NULL ? decision->argv : request->argv;
    assert(argv != NULL); /* there is a command: options.c has checked that */
    say(out, "argv[0]", argv[0]);
    enum afar_status status = say_words(out, "words", argv, err);
    if (decision->original != NULL)
        say(out, "and", decision->original);
    say_user(out, rule);
    if (rule->chroot != NULL)
        say(out, "root", rule->chroot);
    say_directory(out, decision);
    say_environment(out, rule);
    say_limits(out, rule);
    return status;
}

/* Prints whether the rule allows the path, judging by its text only: at run time the kernel decides
 * about links in it. False: not allowed. */
static bool say_files(FILE *out, const struct policy_decision *decision,
                      const struct explain_question *question)
{
    const struct rule *rule = decision->rule;
    const char *path = question->words[0];
    const char *root = rule_files_find(&decision->roots, path);
    const bool writes = strcmp(question->files, "write") == 0;
    const bool may = decision->roots.count == 0 || (root != NULL && (!writes || root[0] == 'w'));
    if (!may && root == NULL)
        (void)fprintf(out, "denied: rule '%s' (%s:%u) lists no directory that this is in\n",
                      rule->name, rule->file, rule->line);
    else if (!may)
        (void)fprintf(out, "denied: rule '%s' (%s:%u) allows only reading it\n", rule->name,
                      rule->file, rule->line);
    else if (rule == NULL || rule->name == NULL)
        (void)fprintf(out, "allowed: there are no rules\n");
    else
        (void)fprintf(out, "allowed by rule '%s' (%s:%u)\n", rule->name, rule->file, rule->line);
    if (!may || rule == NULL)
        return may;
    say(out, "within", root != NULL ? root + 1 : "all that the user may reach");
    say_user(out, rule);
    if (rule->chroot != NULL)
        say(out, "root", rule->chroot);
    if (rule->files_max.set)
        (void)fprintf(out, "  %-*s %llu bytes\n", LABEL_COLUMNS, "files_max",
                      (unsigned long long)rule->files_max.value);
    return true;
}

static void say_forward(FILE *out, const struct policy_decision *decision)
{
    const struct rule *rule = decision->rule;
    if (rule == NULL || rule->name == NULL)
        (void)fprintf(out, "allowed: there are no rules\n");
    else
        (void)fprintf(out, "allowed by rule '%s' (%s:%u)\n", rule->name, rule->file, rule->line);
    if (rule != NULL)
        say_user(out, rule);
}

/* Rejects a name that no client can have; otherwise the rules would seem to be the reason for
 * denial. */
static enum afar_status take_name(struct words *names, const char *text, size_t size,
                                  struct afar_error *err)
{
    char *name = NULL;
    char *copy = strndup(text, size);
    if (copy == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    enum afar_status status = client_name_parse(&name, copy, err);
    if (status == AFAR_OK)
        status = words_add(names, name, strlen(name), err);
    free(name);
    free(copy);
    return status;
}

/* Names are separated by commas, not by blanks, because a common name may contain blanks. */
static enum afar_status take_names(struct words *names, const char *identity,
                                   struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    const char *at = identity;
    while (*at != '\0' && status == AFAR_OK) {
        at += strspn(at, ", \t");
        size_t size = strcspn(at, ",");
        const char *next = at + size;
        while (size > 0 && (at[size - 1] == ' ' || at[size - 1] == '\t'))
            size--;
        if (size > 0)
            status = take_name(names, at, size, err);
        at = next;
    }
    if (status == AFAR_OK && names->count == 0)
        return afar_fail(err, AFAR_EINVAL, "--explain: expected a client such as cn:ann");
    return status;
}

/* The words that the client would send. */
static enum afar_status take_words(struct words *argv, const struct explain_question *question,
                                   struct afar_error *err)
{
    static const char *const shell[] = {"/bin/sh", "-c"};
    enum afar_status status = AFAR_OK;
    for (size_t i = 0; question->shell && i < 2 && status == AFAR_OK; i++)
        status = words_add(argv, shell[i], strlen(shell[i]), err);
    if (!question->shell) {
        for (char **word = question->words; *word != NULL && status == AFAR_OK; word++)
            status = words_add(argv, *word, strlen(*word), err);
        return status;
    }
    size_t size = 1;
    size_t used = 0;
    for (char **word = question->words; *word != NULL; word++)
        size += strlen(*word) + 1;
    char *line = malloc(size);
    if (line == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    line[0] = '\0';
    for (char **word = question->words; *word != NULL; word++)
        used += (size_t)snprintf(line + used, size - used, "%s%s", used > 0 ? " " : "", *word);
    if (status == AFAR_OK)
        status = words_add(argv, line, strlen(line), err);
    free(line);
    return status;
}

enum afar_status explain(const struct config *config, const struct explain_question *question,
                         FILE *out, struct afar_error *err)
{
    struct words names = {0};
    struct words argv = {0};
    struct policy_decision decision = {0};
    const char *path = getenv("PATH");
    enum afar_status status = take_names(&names, question->identity, err);
    if (status == AFAR_OK)
        status = take_words(&argv, question, err);
    if (status != AFAR_OK)
        goto out;
    const struct policy_client client = {
        .names = names.at, .address = question->from != NULL ? question->from : "127.0.0.1"};
    const struct policy_request request = {.argv = argv.at,
                                           .is_shell = question->shell,
                                           .is_files = question->files != NULL,
                                           .forward = question->forward ? question->words[0] : NULL,
                                           .user = question->user,
                                           .pty = question->tty,
                                           .path = path != NULL ? path : ENVIRONMENT_DEFAULT_PATH};
    status = policy_decide(config->rules, &client, &request, &decision, err);
    if (status != AFAR_OK)
        goto out;
    bool allowed = decision.allowed;
    if (allowed && question->files != NULL)
        allowed = say_files(out, &decision, question);
    else if (allowed && question->forward)
        say_forward(out, &decision);
    else if (allowed)
        status = say_allowed(out, &decision, &request, err);
    else
        (void)fprintf(out, "denied: %s\n", decision.reason);
    if (status == AFAR_OK && (fflush(out) != 0 || ferror(out) != 0))
        status = afar_fail_errno(err, errno, "cannot write to standard output");
    if (status == AFAR_OK && !allowed)
        status = afar_fail(err, AFAR_EREFUSED, "denied");
out:
    policy_decision_close(&decision);
    words_close(&argv);
    words_close(&names);
    return status;
}
