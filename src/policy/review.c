#include "policy/review.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/resolve.h"

enum { TEXT_BYTES = 1024, SHOWN_BYTES = 200 };

/* The rule that is reviewed, and where its warnings go. After a failure no more are added. */
struct review {
    const struct rule *rule;
    struct words *warnings;
    enum afar_status status;
    struct afar_error *err;
};

static void warn(struct review *review, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void warn(struct review *review, const char *format, ...)
{
    char text[TEXT_BYTES];
    if (review->status != AFAR_OK)
        return;
    int used = snprintf(text, sizeof text, "%.*s:%u: [allow %s]: ", SHOWN_BYTES, review->rule->file,
                        review->rule->line, review->rule->name);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
    va_end(arguments);
    review->status = words_add(review->warnings, text, strlen(text), review->err);
}

/* ---- users ----------------------------------------------------------------------------------- */

static bool is_for_root_alone(const struct rule *rule)
{
    for (size_t i = 0; i < rule->client_count; i++) {
        if (strcmp(rule->clients[i].text, "uid:0") != 0)
            return false;
    }
    return true;
}

static void review_user(struct review *review)
{
    const struct rule *rule = review->rule;
    bool runs = (rule->may & POLICY_RUN) != 0;
    bool files = (rule->may & POLICY_FILES) != 0;
    if (geteuid() == 0 && (runs || files) && rule->user.name == NULL && !is_for_root_alone(rule))
        warn(review,
             "its clients %s as root, because it has no user; add user = NAME, or user = root if "
             "this is intended",
             runs ? "run programs" : "read and write files");
}

/* ---- missing files --------------------------------------------------------------------------- */

/* False: the path does not exist, and a warning was added: "command: '/usr/bin/gti': No such file
 * or directory; CONSEQUENCE". */
static bool review_path(struct review *review, const char *key, const char *path, const char *root,
                        enum resolve_kind kind, const char *consequence)
{
    struct afar_error err;
    if (path == NULL || resolve_look(path, root, kind, &err) == AFAR_OK)
        return true;
    warn(review, "%s: %s; %s", key, err.message, consequence);
    return false;
}

static void review_paths(struct review *review)
{
    static const char fails[] = "its commands will fail";
    const struct rule *rule = review->rule;
    const char *root = rule->chroot;
    if (!review_path(review, "chroot", root, NULL, RESOLVE_DIRECTORY, fails))
        return;
    (void)review_path(review, "cwd", rule->cwd, root, RESOLVE_DIRECTORY, fails);
    if (rule->cwd == NULL && root == NULL)
        (void)review_path(review, "user", rule->user.home, NULL, RESOLVE_DIRECTORY,
                          "its commands begin in / if the client names no directory");
    for (size_t i = 0; i < rule->command_count; i++) {
        const struct template *command = &rule->commands[i];
        if (!template_any_program(command))
            (void)review_path(review, "command", command->words.at[0], root, RESOLVE_PROGRAM,
                              fails);
    }
    if (rule->force.count > 0)
        (void)review_path(review, "force", rule->force.at[0], root, RESOLVE_PROGRAM, fails);
    if (rule->wrapper.count > 0)
        (void)review_path(review, "wrapper", rule->wrapper.at[0], root, RESOLVE_PROGRAM, fails);
}

enum afar_status review_rules(const struct rules *rules, struct words *warnings,
                              struct afar_error *err)
{
    struct review review = {.warnings = warnings, .status = AFAR_OK, .err = err};
    for (size_t i = 0; i < rules_count(rules); i++) {
        review.rule = rules_at(rules, i);
        review_user(&review);
        review_paths(&review);
    }
    return review.status;
}
