/* Makes the environment of a command: the server's or a fresh one, and what the request adds. */
#include "server/prepare_internal.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "exec/environment.h"

/* ---- what the request adds ----------------------------------------------------------------------
 */

static size_t count(char *const *strings)
{
    size_t n = 0;
    while (strings != NULL && strings[n] != NULL)
        n++;
    return n;
}

enum afar_status judge_choose_environment(struct terms *terms, const struct job_launch *launch,
                                          struct afar_error *err)
{
    const struct exec_request *request = launch->request;
    size_t used = 0;
    if (request->env_if_allowed == NULL)
        return AFAR_OK;
    char **chosen =
        calloc(count(request->env_if_allowed) + count(request->env) + 1, sizeof *chosen);
    if (chosen == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for an environment");
    for (char **entry = request->env_if_allowed; *entry != NULL; entry++) {
        if (policy_may_set(&launch->decision, *entry))
            chosen[used++] = *entry;
    }
    for (char **entry = request->env; entry != NULL && *entry != NULL; entry++)
        chosen[used++] = *entry;
    free(terms->wanted_env);
    terms->wanted_env = chosen;
    return AFAR_OK;
}

/* ---- what the server adds -----------------------------------------------------------------------
 */

struct variable {
    const char *name;
    const char *value; /* NULL: none */
};

static enum afar_status add_variables(struct words *words, const struct variable *variables,
                                      size_t number, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    for (size_t i = 0; i < number && status == AFAR_OK; i++) {
        char *entry = NULL;
        if (variables[i].value == NULL)
            continue;
        int size = asprintf(&entry, "%s=%s", variables[i].name, variables[i].value);
        if (size < 0)
            return afar_fail(err, AFAR_ENOMEM, "out of memory for an environment");
        status = words_add(words, entry, (size_t)size, err);
        free(entry);
    }
    return status;
}

/* What login(1) would give to the user. */
static enum afar_status add_user(struct words *words, const struct user *user,
                                 struct afar_error *err)
{
    const struct variable variables[] = {
        {"USER", user->name},
        {"LOGNAME", user->name},
        {"HOME", user->home != NULL ? user->home : "/"},
        {"SHELL", user->shell != NULL && user->shell[0] != '\0' ? user->shell : "/bin/sh"}};
    return add_variables(words, variables, sizeof variables / sizeof variables[0], err);
}

/* For a command of another user: a fresh environment, with the server's language and time zone. */
static enum afar_status add_fresh(struct words *words, const struct terms *terms,
                                  const struct user *user, struct afar_error *err)
{
    char *const *ours = terms->shared->environment;
    const struct variable variables[] = {{"PATH", ENVIRONMENT_DEFAULT_PATH},
                                         {"LANG", environment_get(ours, "LANG")},
                                         {"TZ", environment_get(ours, "TZ")}};
    enum afar_status status =
        add_variables(words, variables, sizeof variables / sizeof variables[0], err);
    return status == AFAR_OK ? add_user(words, user, err) : status;
}

static enum afar_status add_own(struct words *words, const struct terms *terms,
                                const struct user *user, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    char *const *ours = terms->shared->environment;
    for (; *ours != NULL && status == AFAR_OK; ours++) {
        if (strncmp(*ours, "SSH_TTY=", 8) != 0) /* of whom has started the server */
            status = words_add(words, *ours, strlen(*ours), err);
    }
    return status == AFAR_OK ? add_user(words, user, err) : status;
}

/* ---- where from ---------------------------------------------------------------------------------
 */

enum { PLACE_BYTES = ADDRESS_TEXT_BYTES + 8, CONNECTION_BYTES = 2 * PLACE_BYTES + 20 };

/* "127.0.0.1 4711" for "127.0.0.1:4711"; without a port, what sshd(8) writes. */
static void format_place(char out[PLACE_BYTES], const char *address)
{
    const char *colon = strrchr(address, ':');
    const char *end = colon;
    if (colon == NULL || colon[1] < '0' || colon[1] > '9') {
        (void)snprintf(out, PLACE_BYTES, "UNKNOWN 65535");
        return;
    }
    if (address[0] == '[' && end[-1] == ']') {
        address++;
        end--;
    }
    (void)snprintf(out, PLACE_BYTES, "%.*s %s", (int)(end - address), address, colon + 1);
}

/* In the format of sshd(8): scripts check these to see whether they run remotely. */
static void format_connection(const struct asker *asker, char connection[CONNECTION_BYTES],
                              char client[CONNECTION_BYTES])
{
    char from[PLACE_BYTES];
    char to[PLACE_BYTES];
    format_place(from, asker->address);
    format_place(to, asker->local);
    (void)snprintf(connection, CONNECTION_BYTES, "SSH_CONNECTION=%s %s", from, to);
    const char *port = strrchr(to, ' ');
    (void)snprintf(client, CONNECTION_BYTES, "SSH_CLIENT=%s%s", from, port != NULL ? port : "");
}

/* ---- its terminal ------------------------------------------------------------------------------
 */

/* The locale to set: `value`, or C.UTF-8 if that is missing and was a UTF-8 one; NULL: none. A
 * missing locale would make each program complain. `look` false (the command has another root): not
 * checked. */
static const char *known_locale(const char *value, bool look)
{
    static const char *const otherwise = "C.UTF-8";
    const char *charset = strchr(value, '.');
    bool utf8 = charset != NULL &&
                (strncasecmp(charset, ".UTF-8", 6) == 0 || strncasecmp(charset, ".UTF8", 5) == 0);
    if (value[0] == '\0' || !look)
        return value;
    for (int i = 0; i < 2; i++) {
        const char *tried = i == 0 ? value : otherwise;
        locale_t locale = newlocale(LC_ALL_MASK, tried, (locale_t)0);
        if (locale != (locale_t)0) {
            freelocale(locale);
            return tried;
        }
        if (!utf8)
            break;
    }
    return NULL;
}

/* False: the command has another root, and so another /dev, if any. */
static bool can_open_terminal(const struct job_launch *launch)
{
    const struct rule *rule = launch->decision.rule;
    return rule == NULL || rule->chroot == NULL;
}

/* Adds the terminal's variables, and then those of the request. */
static enum afar_status add_pty(struct words *words, const struct job_launch *launch,
                                char *const *extra, struct afar_error *err)
{
    const struct pty_request *pty = launch->request->pty;
    const bool look = can_open_terminal(launch);
    const struct variable variables[] = {{"TERM", pty->term},
                                         {"COLORTERM", pty->color[0] != '\0' ? pty->color : NULL}};
    enum afar_status status =
        add_variables(words, variables, sizeof variables / sizeof variables[0], err);
    for (size_t i = 0; i < pty->locale_count && status == AFAR_OK; i++) {
        const struct variable locale = {pty->locale[i].name,
                                        known_locale(pty->locale[i].value, look)};
        status = add_variables(words, &locale, 1, err);
    }
    if (status == AFAR_OK && look)
        status = words_add(words, JOB_TTY_ROOM, sizeof JOB_TTY_ROOM - 1, err);
    for (; extra != NULL && *extra != NULL && status == AFAR_OK; extra++)
        status = words_add(words, *extra, strlen(*extra), err);
    return status;
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

enum afar_status judge_make_environment(const struct terms *terms, struct job_launch *launch,
                                        struct afar_error *err)
{
    const struct rule *rule = launch->decision.rule;
    const struct exec_request *request = launch->request;
    char *const *extra = terms->wanted_env != NULL ? terms->wanted_env : request->env;
    char *const *base = terms->shared->environment;
    char connection[CONNECTION_BYTES];
    char client[CONNECTION_BYTES];
    char tty[] = JOB_SSH_TTY_ROOM;
    char *last[] = {launch->variable, NULL, NULL, NULL, NULL, NULL, NULL};
    size_t used = 1;
    struct words made = {0};
    struct words with_pty = {0};
    enum afar_status status = AFAR_OK;
    launch->spawned.stage = "environment";
    if (!launch->leaves && terms->kept == NULL && terms->shared->variable[0] != '\0')
        last[used++] = terms->shared->variable;
    if (launch->decision.original != NULL)
        last[used++] = launch->decision.original;
    if (request->home || request->login) {
        format_connection(&terms->asker, connection, client);
        last[used++] = connection;
        last[used++] = client;
        if (request->pty != NULL && can_open_terminal(launch))
            last[used++] = tty;
    }
    if (rule != NULL && rule->user.name != NULL)
        status = add_fresh(&made, terms, &rule->user, err);
    else if ((request->home || request->login) && launch->decision.user != NULL)
        status = add_own(&made, terms, launch->decision.user, err);
    if (made.at != NULL)
        base = made.at;
    if (status == AFAR_OK && request->pty != NULL) {
        status = add_pty(&with_pty, launch, extra, err);
        extra = with_pty.at;
    }
    if (status == AFAR_OK)
        status = environment_build(&launch->environment, base, extra, last, err);
    words_close(&made);
    words_close(&with_pty);
    return status;
}
