#include "support/fuzz.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/decide.h"

enum { STARS_MAX = 3, LINES = 4 };

static const char more[] =
    "\n[allow zz-more]\nclient = any\ncommand = **\nshell = yes\nenv = *\nenv_dangerous = yes\n";

static void require(bool promise)
{
    if (!promise)
        abort();
}

/* A file with these bytes and `tail`, and a path; it lives as long as the descriptor. */
static int make_file(const char *data, size_t size, const char *tail, char path[64])
{
    int fd = memfd_create("rules", MFD_CLOEXEC);
    require(fd >= 0 && fchmod(fd, 0600) == 0);
    require(write(fd, data, size) == (ssize_t)size);
    require(write(fd, tail, strlen(tail)) == (ssize_t)strlen(tail));
    (void)snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

/* False: no rules, or bad ones; then there must be a message. */
static bool load(struct config *config, const char *data, size_t size, const char *tail)
{
    char path[64];
    struct afar_error err = {.message = ""};
    int fd = make_file(data, size, tail, path);
    config_init(config);
    enum afar_status status = config_load(config, path, &err);
    if (status == AFAR_OK && config->rules != NULL)
        status = rules_check(config->rules, &err);
    require(status == AFAR_OK || (status == AFAR_EINVAL && err.message[0] != '\0'));
    (void)close(fd);
    return status == AFAR_OK && rules_count(config->rules) > 0;
}

/* ---- the request ----------------------------------------------------------------------------- */

struct request {
    struct words names;
    struct words argv;
    struct words env;
    struct words user;
};

static void split(struct words *words, const char *line, size_t size)
{
    const char *end = line + size;
    while (line < end) {
        const char *blank = memchr(line, ' ', (size_t)(end - line));
        const char *stop = blank != NULL ? blank : end;
        if (stop > line)
            require(words_add(words, line, (size_t)(stop - line), NULL) == AFAR_OK);
        line = stop + 1;
    }
}

/* Four lines of words separated by blanks. */
static void read_request(struct request *request, const char *text, size_t size)
{
    struct words *const lists[LINES] = {&request->names, &request->argv, &request->env,
                                        &request->user};
    const char *end = text + size;
    for (int i = 0; i < LINES && text < end; i++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline != NULL ? newline : end;
        split(lists[i], text, (size_t)(stop - text));
        text = stop + 1;
    }
}

/* ---- a second opinion ------------------------------------------------------------------------ */

static bool same(char a, char b, bool fold)
{
    bool letters = fold && ((a >= 'A' && a <= 'Z') || (a >= 'a' && a <= 'z'));
    return a == b || (letters && (a ^ b) == ('a' ^ 'A'));
}

/* The simplest implementation of matching, which may be slow. */
static bool match(const struct client_pattern *pattern, const char *at, const char *name)
{
    if (*at == '\0')
        return *name == '\0';
    if (*at != '*' || !pattern->glob)
        return *name != '\0' && same(*at, *name, pattern->fold) && match(pattern, at + 1, name + 1);
    bool across = at[1] == '*' || pattern->separator == '\0';
    const char *rest = at + (at[1] == '*' ? 2 : 1);
    for (;; name++) {
        if (match(pattern, rest, name))
            return true;
        if (*name == '\0' || (!across && *name == pattern->separator))
            return false;
    }
}

static bool is_for(const struct rule *rule, char *const *names)
{
    for (size_t i = 0; i < rule->client_count; i++) {
        const struct client_pattern *pattern = &rule->clients[i];
        int stars = 0;
        for (const char *c = pattern->text; *c != '\0'; c++)
            stars += *c == '*';
        if (strcmp(pattern->text, "any") == 0 || stars > STARS_MAX)
            return true; /* or it would take too long to find out */
        for (char *const *name = names; *name != NULL; name++) {
            if (match(pattern, pattern->text, *name))
                return true;
        }
    }
    return false;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void decide(struct rules *rules, const struct request *asked,
                   struct policy_decision *decision)
{
    static char *nobody[] = {NULL};
    static char word[] = "true";
    static char *something[] = {word, NULL};
    const struct policy_client client = {
        .names = asked->names.at != NULL ? asked->names.at : nobody, .address = "10.0.0.1:1"};
    const struct policy_request request = {
        .argv = asked->argv.at != NULL ? asked->argv.at : something,
        .is_shell = asked->argv.count == 3 && strcmp(asked->argv.at[0], "/bin/sh") == 0,
        .env = asked->env.at,
        .user = asked->user.at != NULL ? asked->user.at[0] : NULL,
        .path = "/nonexistent:/bin"};
    require(policy_decide(rules, &client, &request, decision, NULL) == AFAR_OK);
    require(decision->allowed == (decision->reason[0] == '\0'));
    require(decision->rule != NULL || !decision->allowed);
    if (decision->rule != NULL)
        require(is_for(decision->rule, client.names));
    if (decision->allowed)
        require(policy_may(rules, &client, POLICY_RUN));
    if (decision->program != NULL)
        require(decision->program[0] == '/' && strstr(decision->program, "/../") == NULL);
}

/* The rules, a line "---", and the request. */
void fuzz_rules(const uint8_t *data, size_t size)
{
    static const char border[] = "\n---\n";
    const char *text = (const char *)data;
    const char *end = memmem(text, size, border, sizeof border - 1);
    size_t length = end != NULL ? (size_t)(end - text) : size;
    struct request request = {.names = {NULL, 0}};
    struct config config;
    struct config longer;
    struct policy_decision first;
    struct policy_decision second;
    if (end != NULL)
        read_request(&request, end + sizeof border - 1, size - length - (sizeof border - 1));
    bool good = load(&config, text, length, "");
    bool more_good = load(&longer, text, length, more);
    if (good) {
        decide(config.rules, &request, &first);
        /* Another rule at the end must not change the decision of an earlier one. */
        if (more_good && first.rule != NULL) {
            decide(longer.rules, &request, &second);
            require(second.allowed == first.allowed);
            require(strcmp(second.rule->name, first.rule->name) == 0);
            policy_decision_close(&second);
        }
        policy_decision_close(&first);
    }
    config_close(&config);
    config_close(&longer);
    words_close(&request.names);
    words_close(&request.argv);
    words_close(&request.env);
    words_close(&request.user);
}
