#include "policy/decide.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/env_pattern.h"
#include "policy/resolve.h"
#include "policy/rule_files.h"
#include "policy/shell_words.h"
#include "base/forward_target.h"

#define ORIGINAL "AFAR_ORIGINAL_COMMAND="

enum { SHOWN_BYTES = 100 };

/* What is known about a request while rules are tried. */
struct trial {
    const struct policy_client *client;
    const struct policy_request *request;
    char *const *argv; /* compared with the rules' commands; NULL: only a shell could run it */
    bool known;        /* `found` is the result of a search … */
    const char *root;  /* … in this root; borrowed from a rule */
    char *found;       /* owned; where the bare name is in the server's PATH; NULL: nowhere */

    /* How far the request got, for the reason of a refusal. */
    bool for_client;       /* a rule is for this client … */
    bool for_user;         /* … and for the user that was asked for … */
    bool for_forward;      /* … and allows forwarding, but not to there */
    bool for_program;      /* … and for the program, but not with these arguments */
    const char *resembles; /* a program of a rule with the same last name; borrowed */
};

/* ---- matching -------------------------------------------------------------------------------- */

static bool match_client(const struct rule *rule, const struct policy_client *client)
{
    bool match = false;
    for (size_t i = 0; i < rule->client_count && !match; i++)
        match = client_pattern_match(&rule->clients[i], client->names);
    if (!match || rule->network_count == 0)
        return match;
    for (size_t i = 0; i < rule->network_count; i++) {
        if (network_has(&rule->networks[i], client->address))
            return true;
    }
    return false;
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* Whether the template's program could be the one that was asked for: by its exact path, or by its
 * bare name, which find_program then looks up. Other paths are never resolved: the client must not
 * choose the file by another spelling, and looking at the path could hang. */
static bool names_program(struct trial *trial, const struct template *template)
{
    const char *asked = trial->argv[0];
    const char *wanted = template->words.at[0];
    bool is_bare = strchr(asked, '/') == NULL;
    if (strcmp(is_bare ? last_name(wanted) : wanted, asked) == 0)
        return true;
    if (!is_bare && strcmp(last_name(wanted), last_name(asked)) == 0)
        trial->resembles = wanted;
    return false;
}

/* Looks up the bare name that was asked for in the server's PATH. AFAR_OK also if there is none. */
static enum afar_status find_program(struct trial *trial, const struct rule *rule,
                                     struct afar_error *err)
{
    if (trial->known && trial->root == NULL && rule->chroot == NULL)
        return AFAR_OK;
    free(trial->found);
    trial->found = NULL;
    trial->known = true;
    trial->root = rule->chroot;
    enum afar_status status =
        resolve_name(trial->argv[0], trial->request->path, rule->chroot, &trial->found, err);
    return status == AFAR_EINVAL ? AFAR_OK : status;
}

/* Whether `wanted` is the program that was asked for; names_program was true. */
static enum afar_status match_program(struct trial *trial, const struct rule *rule,
                                      const char *wanted, bool *match, struct afar_error *err)
{
    *match = strchr(trial->argv[0], '/') != NULL;
    if (*match)
        return AFAR_OK;
    enum afar_status status = find_program(trial, rule, err);
    char *real = status == AFAR_OK ? resolve_path(wanted, rule->chroot) : NULL;
    *match = real != NULL && trial->found != NULL && strcmp(real, trial->found) == 0;
    if (!*match)
        trial->resembles = wanted;
    free(real);
    return status;
}

/* *program: the program of the template that matches; NULL: it is for any program. */
static enum afar_status match_command(struct trial *trial, const struct rule *rule, bool *match,
                                      const char **program, struct afar_error *err)
{
    const struct policy_request *request = trial->request;
    enum afar_status status = AFAR_OK;
    *program = NULL;
    *match = rule->force.count > 0 && rule->command_count == 0 && !rule->shell_set;
    if (*match)
        return AFAR_OK;
    if (request->login || request->is_shell)
        *match = rule->shell;
    if (*match || trial->argv == NULL)
        return AFAR_OK;
    for (size_t i = 0; i < rule->command_count && !*match && status == AFAR_OK; i++) {
        const struct template *template = &rule->commands[i];
        bool any = template_any_program(template);
        if (!any && !names_program(trial, template))
            continue;
        if (!template_match_arguments(template, trial->argv)) {
            trial->for_program = true;
            continue;
        }
        *match = any;
        *program = any ? NULL : template->words.at[0];
        if (!any)
            status = match_program(trial, rule, *program, match, err);
    }
    return status;
}

static bool match_user(const struct rule *rule, const struct policy_request *request)
{
    const char *user = request->user;
    const char *self = request->self != NULL ? request->self->name : NULL;
    if (user != NULL && rule->user.name == NULL)
        return self != NULL && strcmp(self, user) == 0;
    return user == NULL || (rule->user.name != NULL && strcmp(rule->user.name, user) == 0);
}

/* ---- what a matching rule can still refuse --------------------------------------------------- */

static void deny(struct policy_decision *decision, const char *why, const char *what)
{
    (void)snprintf(decision->reason, sizeof decision->reason,
                   "rule '%s' (%.100s:%u) does not let the client %s %.*s", decision->rule->name,
                   decision->rule->file, decision->rule->line, why, SHOWN_BYTES, what);
    decision->allowed = false;
}

static bool may_set(const struct rule *rule, const char *entry)
{
    for (size_t i = 0; i < rule->env.count; i++) {
        if (env_pattern_match(rule->env.at[i], entry))
            return true;
    }
    return false;
}

/* Whether the wrapper could take the first word of the command as its own argument: bwrap would
 * take "--bind", and env "LD_PRELOAD=…". The client can choose this word if the rule allows any
 * program; otherwise the word is an absolute path, as it is for the shell. */
static bool is_for_wrapper(const struct policy_decision *decision,
                           const struct policy_request *request)
{
    const struct rule *rule = decision->rule;
    const char *word = decision->split.count > 0 ? decision->split.at[0] : request->argv[0];
    if (request->login || rule->wrapper.count == 0 || rule->force.count > 0 ||
        decision->program != NULL)
        return false;
    return word[0] == '-' || strchr(word, '=') != NULL;
}

/* Whether the server serves the request itself instead of running a command. */
static bool is_service(const struct policy_request *request)
{
    return request->is_files || request->forward != NULL;
}

static void check_details(struct policy_decision *decision, const struct policy_request *request)
{
    const struct rule *rule = decision->rule;
    if (request->pty && rule->pty == RULE_PTY_NO) {
        deny(decision, "have", "a terminal");
        return;
    }
    /* Only terminals are recorded: without one, the command would run unrecorded. */
    if (!request->pty && (rule->pty == RULE_PTY_MUST || (rule->record != NULL && !rule->pty_set))) {
        (void)snprintf(decision->reason, sizeof decision->reason,
                       "rule '%s' (%.100s:%u) wants a terminal: afar run -t", rule->name,
                       rule->file, rule->line);
        decision->allowed = false;
        return;
    }
    if (!is_service(request) && is_for_wrapper(decision, request)) {
        deny(decision, "begin with a word that its wrapper could take for its own,",
             request->argv[0]);
        return;
    }
    for (char *const *entry = request->env; entry != NULL && *entry != NULL; entry++) {
        if (!may_set(rule, *entry)) {
            char name[SHOWN_BYTES];
            (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(*entry, "="), *entry);
            deny(decision, "set", name);
            return;
        }
    }
    if (rule->cwd != NULL && request->cwd != NULL && strcmp(rule->cwd, request->cwd) != 0)
        deny(decision, "choose the directory", request->cwd);
}

/* ---- what to run ----------------------------------------------------------------------------- */

static size_t count(char *const *words)
{
    size_t n = 0;
    while (words != NULL && words[n] != NULL)
        n++;
    return n;
}

static enum afar_status fail_memory(struct afar_error *err)
{
    return afar_fail(err, AFAR_ENOMEM, "out of memory for a decision");
}

static enum afar_status keep_original(struct policy_decision *decision,
                                      const struct policy_request *request, struct afar_error *err)
{
    char *line = NULL;
    const char *text = request->is_shell ? request->argv[2] : NULL;
    if (request->login) /* there was no command; sshd(8) sets no variable either */
        return AFAR_OK;
    if (text == NULL) {
        enum afar_status status = words_quote(request->argv, &line, err);
        if (status != AFAR_OK)
            return status;
        text = line;
    }
    int size = asprintf(&decision->original, ORIGINAL "%s", text);
    free(line);
    if (size >= 0)
        return AFAR_OK;
    decision->original = NULL;
    return fail_memory(err);
}

/* argv: the words of the wrapper, then those of the command. If a rule names the program, the first
 * word of the command is the rule's path, not the client's: some programs, such as Python, find
 * their libraries by argv[0]. */
static enum afar_status put_argv(struct policy_decision *decision, char *const *inner,
                                 struct afar_error *err)
{
    static const struct words none = {0};
    const struct words *wrapper = decision->rule != NULL ? &decision->rule->wrapper : &none;
    size_t used = 0;
    decision->argv = calloc(wrapper->count + count(inner) + 1, sizeof *decision->argv);
    if (decision->argv == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < wrapper->count; i++)
        decision->argv[used++] = wrapper->at[i];
    for (size_t i = 0; inner[i] != NULL; i++)
        decision->argv[used++] = inner[i];
    if (decision->program != NULL && decision->login_name == NULL)
        decision->argv[wrapper->count] = (char *)(uintptr_t)decision->program;
    if (wrapper->count > 0)
        decision->program = wrapper->at[0];
    return AFAR_OK;
}

static const char *shell_of(const struct policy_decision *decision)
{
    const struct user *user = decision->user;
    bool has_one = user != NULL && user->shell != NULL && user->shell[0] == '/';
    return has_one ? user->shell : "/bin/sh";
}

/* A login shell has a "-" before its name in argv[0], as login(1) does it. A wrapper cannot set
 * argv[0]; with one, the shell's option -l is used. */
static enum afar_status make_login(struct policy_decision *decision, struct afar_error *err)
{
    static char option[] = "-l";
    const char *shell = shell_of(decision);
    const bool wrapped = decision->rule != NULL && decision->rule->wrapper.count > 0;
    char *behind[] = {(char *)(uintptr_t)shell, option, NULL};
    if (wrapped)
        return put_argv(decision, behind, err);
    if (asprintf(&decision->login_name, "-%s", last_name(shell)) < 0) {
        decision->login_name = NULL;
        return fail_memory(err);
    }
    char *alone[] = {decision->login_name, NULL};
    decision->program = shell;
    return put_argv(decision, alone, err);
}

/* Sets what to run: the forced command, or what was asked for. */
static enum afar_status make_argv(struct policy_decision *decision,
                                  const struct policy_request *request, struct afar_error *err)
{
    const struct rule *rule = decision->rule;
    if (rule != NULL && rule->force.count > 0) {
        decision->program = rule->force.at[0];
        return put_argv(decision, rule->force.at, err);
    }
    if (request->login)
        return make_login(decision, err);
    if (decision->split.count > 0)
        return put_argv(decision, decision->split.at, err);
    if (request->is_shell && request->shell_of_user)
        decision->program = shell_of(decision);
    if (decision->program == NULL && (rule == NULL || rule->wrapper.count == 0))
        return AFAR_OK;
    return put_argv(decision, request->argv, err);
}

static enum afar_status choose_files(struct policy_decision *decision,
                                     const struct policy_request *request, struct afar_error *err)
{
    decision->home = rule_files_home(decision->rule, request->self);
    return rule_files_roots(decision->rule, request->self, &decision->roots, err);
}

/* Sets the working directory. */
static void choose_directory(struct policy_decision *decision, const struct policy_request *request)
{
    const struct rule *rule = decision->rule;
    const bool wants_home = request->home || request->login;
    const char *home = wants_home && decision->user != NULL ? decision->user->home
                       : rule != NULL                       ? rule->user.home
                                                            : NULL;
    if (request->is_files) /* as sftp and scp; commands begin in the server's directory instead */
        home = rule_files_home(rule, request->self);
    decision->cwd = request->cwd;
    if (request->cwd != NULL)
        return;
    if (rule != NULL)
        decision->cwd = rule->cwd;
    if (decision->cwd == NULL && rule != NULL && rule->chroot != NULL && !wants_home)
        decision->cwd = "/";
    if (decision->cwd == NULL)
        decision->cwd = home;
    if (decision->cwd == NULL && wants_home)
        decision->cwd = "/";
    decision->cwd_is_home = decision->cwd != NULL && decision->cwd == home;
}

/* The rule's user, or the server's. */
static const struct user *user_of(const struct rule *rule, const struct policy_request *request)
{
    return rule != NULL && rule->user.name != NULL ? &rule->user : request->self;
}

/* Whether `asked` is the name or number of `user`: without rules, a command must not silently run
 * as a user other than the one asked for. Looks nothing up: a directory service could hang. */
static bool is_user(const struct user *user, const char *asked)
{
    char number[32];
    if (user == NULL || user->name == NULL)
        return false;
    (void)snprintf(number, sizeof number, "%lu", (unsigned long)user->uid);
    return strcmp(user->name, asked) == 0 || strcmp(number, asked) == 0;
}

/* ---- deciding -------------------------------------------------------------------------------- */

static enum policy_verb verb_of(const struct policy_request *request)
{
    if (request->forward != NULL)
        return POLICY_FORWARD;
    return request->is_files ? POLICY_FILES : POLICY_RUN;
}

static bool match_forward(struct trial *trial, const struct rule *rule)
{
    struct forward_target target;
    const char *forward = trial->request->forward;
    if (forward == NULL || forward_target_parse(&target, forward, NULL) != AFAR_OK)
        return false;
    trial->for_forward = true;
    for (size_t i = 0; i < rule->forward_count; i++) {
        if (forward_pattern_match(&rule->forwards[i], &target))
            return true;
    }
    return false;
}

static enum afar_status try_rule(struct trial *trial, const struct rule *rule,
                                 struct policy_decision *decision, bool *match,
                                 struct afar_error *err)
{
    const char *program = NULL;
    *match = false;
    if (!match_client(rule, trial->client) || (rule->may & verb_of(trial->request)) == 0)
        return AFAR_OK;
    trial->for_client = true;
    if (!match_user(rule, trial->request))
        return AFAR_OK;
    trial->for_user = true;
    enum afar_status status = AFAR_OK;
    *match = trial->request->is_files || match_forward(trial, rule);
    if (!is_service(trial->request))
        status = match_command(trial, rule, match, &program, err);
    if (status != AFAR_OK || !*match)
        return status;
    decision->rule = rule;
    decision->user = user_of(rule, trial->request);
    decision->allowed = true;
    decision->program = program;
    return AFAR_OK;
}

/* Sets the reason of a refusal: the first part of the request that no rule allows. */
static void say_none(const struct trial *trial, struct policy_decision *decision)
{
    const struct policy_request *request = trial->request;
    const char *name = trial->client->names[0] != NULL ? trial->client->names[0] : "nobody";
    size_t size = sizeof decision->reason;
    const char *line = request->is_shell ? "a shell line, or without a shell " : "";
    int used =
        snprintf(decision->reason, size, "no rule lets this client (%.*s) %s", SHOWN_BYTES, name,
                 request->is_files          ? "use files"
                 : request->forward != NULL ? "forward "
                                            : "run ");
    char *end = decision->reason + used;
    size -= (size_t)used;
    if (request->is_files && !trial->for_client)
        return;
    if (request->is_files)
        (void)snprintf(end, size, " as user '%.*s'", SHOWN_BYTES, request->user);
    else if (trial->for_forward)
        (void)snprintf(end, size, "to %.*s", SHOWN_BYTES, request->forward);
    else if (!trial->for_client)
        (void)snprintf(end, size, request->forward != NULL ? "connections" : "anything");
    else if (!trial->for_user)
        (void)snprintf(end, size, "anything as user '%.*s'", SHOWN_BYTES, request->user);
    else if (request->login)
        (void)snprintf(end, size, "a login shell");
    else if (trial->argv == NULL)
        (void)snprintf(end, size, "a shell line");
    else if (trial->for_program)
        (void)snprintf(end, size, "%s'%.*s' with these arguments", line, SHOWN_BYTES,
                       trial->argv[0]);
    else if (trial->resembles != NULL)
        (void)snprintf(end, size, "%s'%.*s'; there is one for '%.*s'", line, SHOWN_BYTES,
                       trial->argv[0], SHOWN_BYTES, trial->resembles);
    else
        (void)snprintf(end, size, "%s'%.*s'", line, SHOWN_BYTES, trial->argv[0]);
    /* A rule with that user may be about something else: then it is the user that is wrong. */
    used = (int)strlen(end);
    if (request->user != NULL && trial->for_user && !request->is_files)
        (void)snprintf(end + used, size - (size_t)used, " as user '%.*s'", SHOWN_BYTES,
                       request->user);
}

/* Without rules, connections are forwarded only to loopback addresses. */
static enum afar_status decide_loopback(struct policy_decision *decision, const char *forward)
{
    struct forward_target target;
    decision->cwd = "/";
    decision->allowed =
        forward_target_parse(&target, forward, NULL) == AFAR_OK && target.is_loopback;
    if (!decision->allowed)
        (void)snprintf(decision->reason, sizeof decision->reason,
                       "without rules, connections are forwarded to localhost, 127.0.0.0/8 and ::1 "
                       "only, not to %.*s (a rule with may = forward and forward = %.*s is needed)",
                       SHOWN_BYTES, forward, SHOWN_BYTES, forward);
    return AFAR_OK;
}

static enum afar_status decide_without(struct policy_decision *decision,
                                       const struct policy_request *request, struct afar_error *err)
{
    decision->rule = rules_otherwise(decision->rules);
    decision->user = user_of(decision->rule, request);
    if (request->user != NULL && !is_user(decision->user, request->user)) {
        const char *name = decision->user != NULL ? decision->user->name : NULL;
        (void)snprintf(decision->reason, sizeof decision->reason,
                       "this server runs commands as '%.60s', not as '%.60s' (a rule with user = "
                       "%.60s is needed)",
                       name != NULL ? name : "its own user", request->user, request->user);
        decision->allowed = false;
        return AFAR_OK;
    }
    if (request->forward != NULL)
        return decide_loopback(decision, request->forward);
    choose_directory(decision, request);
    decision->home = rule_files_home(decision->rule, request->self);
    return request->is_files ? AFAR_OK : make_argv(decision, request, err);
}

/* Sets trial->argv; splits a shell line that needs no shell into `words`. */
static enum afar_status split_line(struct trial *trial, struct words *words, struct afar_error *err)
{
    bool simple = false;
    if (!trial->request->is_shell) {
        trial->argv = trial->request->login ? NULL : trial->request->argv;
        return AFAR_OK;
    }
    enum afar_status status = shell_words_split(trial->request->argv[2], words, &simple, err);
    trial->argv = simple ? words->at : NULL;
    return status;
}

/* Sets what an allowed request runs, and where. */
static enum afar_status choose(struct policy_decision *decision,
                               const struct policy_request *request, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    if (request->forward != NULL) {
        decision->cwd = "/"; /* so that no other file system is kept busy */
        return AFAR_OK;
    }
    status = request->is_files ? choose_files(decision, request, err)
                               : make_argv(decision, request, err);
    if (status == AFAR_OK)
        choose_directory(decision, request);
    return status;
}

enum afar_status policy_decide(struct rules *rules, const struct policy_client *client,
                               const struct policy_request *request,
                               struct policy_decision *decision, struct afar_error *err)
{
    struct trial trial = {.client = client, .request = request};
    enum afar_status status = AFAR_OK;
    bool match = false;
    *decision = (struct policy_decision){.allowed = rules_count(rules) == 0};
    decision->rules = rules_keep(rules);
    if (decision->allowed)
        return decide_without(decision, request, err);
    status = split_line(&trial, &decision->split, err);
    for (size_t i = 0; i < rules_count(rules) && !match && status == AFAR_OK; i++)
        status = try_rule(&trial, rules_at(rules, i), decision, &match, err);
    if (status == AFAR_OK && !match)
        say_none(&trial, decision);
    if (match && (decision->rule->shell || decision->rule->force.count > 0))
        words_close(&decision->split); /* a shell runs the line, or it is not run at all */
    if (status == AFAR_OK && match)
        check_details(decision, request);
    if (status == AFAR_OK && decision->allowed && decision->rule->force.count > 0)
        status = keep_original(decision, request, err);
    if (status == AFAR_OK && decision->allowed)
        status = choose(decision, request, err);
    free(trial.found);
    if (status != AFAR_OK)
        decision->allowed = false;
    return status;
}

void policy_decision_close(struct policy_decision *decision)
{
    free(decision->argv);
    free(decision->original);
    free(decision->login_name);
    words_close(&decision->split);
    words_close(&decision->roots);
    rules_free(decision->rules);
    *decision = (struct policy_decision){0};
}

bool policy_may_set(const struct policy_decision *decision, const char *entry)
{
    const struct rule *rule = decision->rule;
    return rule == NULL || rule->name == NULL || may_set(rule, entry);
}

bool policy_may(const struct rules *rules, const struct policy_client *client, unsigned verbs)
{
    for (size_t i = 0; i < rules_count(rules); i++) {
        const struct rule *rule = rules_at(rules, i);
        if ((rule->may & verbs) != 0 && match_client(rule, client))
            return true;
    }
    return rules_count(rules) == 0;
}

bool policy_may_others(const struct rules *rules, const struct policy_client *client,
                       unsigned verbs)
{
    for (size_t i = 0; i < rules_count(rules); i++) {
        const struct rule *rule = rules_at(rules, i);
        if (rule->others && (rule->may & verbs) != 0 && match_client(rule, client))
            return true;
    }
    return rules_count(rules) == 0;
}
