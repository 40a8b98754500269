#include "support/decider.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char tree[PATH_MAX]; /* its path; realpath(3) needs this size */

static void make_file(const char *name, mode_t mode)
{
    char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/%s", tree, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void make_directory(const char *name)
{
    char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/%s", tree, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const char *target, const char *name)
{
    char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/%s", tree, name);
    assert_int_equal(symlink(target, path), 0);
}

int decider_make_tree(void **state)
{
    char template[] = "/tmp/afar-decide-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(template));
    assert_non_null(realpath(template, tree));
    assert_int_equal(chdir(tree), 0);
    make_directory("bin");
    make_directory("evil");
    make_directory("jail");
    make_directory("jail/bin");
    make_file("bin/git", 0755);
    make_file("bin/tool", 0755);
    make_file("bin/multi", 0755);
    make_file("bin/data", 0644);
    make_file("evil/git", 0755);
    make_file("evil/tool", 0755);
    make_file("jail/bin/tool", 0755);
    make_link("multi", "bin/ls");
    make_link("multi", "bin/sh");
    make_link("bin", "link");
    make_link("../bin/git", "evil/alias");
    make_link("../bin", "evil/bin");
    make_link("../../..", "jail/up");
    make_link("/bin", "jail/abin");
    return 0;
}

int decider_remove_tree(void **state)
{
    static const char *const names[] = {
        "bin/git",  "bin/tool",  "bin/multi",  "bin/data", "bin/ls", "bin/sh",
        "evil/git", "evil/tool", "evil/alias", "evil/bin", "link",   "jail/bin/tool",
        "jail/bin", "jail/up",   "jail/abin",  "jail",     "evil",   "bin"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(remove(names[i]), 0);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(tree), 0);
    return 0;
}

void decider_expand(char *out, size_t size, const char *text)
{
    size_t used = 0;
    for (; *text != '\0' && used + 1 < size; text++) {
        if (*text == '@' && (text[1] == '/' || text[1] == ' ' || text[1] == '\0' || text[1] == ':'))
            used += (size_t)snprintf(out + used, size - used, "%s", tree);
        else
            out[used++] = *text;
    }
    assert_true(used < size);
    out[used] = '\0';
}

enum afar_status decider_load(struct config *config, const char *text, struct afar_error *err)
{
    char path[] = "/tmp/afar-rules-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
    config_init(config);
    enum afar_status status = config_load(config, path, err);
    if (status == AFAR_OK && config->rules != NULL)
        status = rules_check(config->rules, err);
    assert_int_equal(unlink(path), 0);
    return status;
}

/* ---- a request ------------------------------------------------------------------------------- */

static void split(struct words *words, const char *text)
{
    struct afar_error err;
    char expanded[DECIDER_TEXT_BYTES];
    if (text == NULL)
        return;
    decider_expand(expanded, sizeof expanded, text);
    if (template_split(words, expanded, &err) != AFAR_OK)
        fail_msg("%s: %s", text, err.message);
}

static char *nobody[] = {NULL};

void decider_request_make(struct decider_request *made, const struct asked *asked)
{
    *made = (struct decider_request){.path = ""};
    split(&made->names, asked->names);
    split(&made->env, asked->env);
    made->request.is_shell = strncmp(asked->words, "-s ", 3) == 0;
    if (made->request.is_shell) {
        assert_int_equal(words_add(&made->argv, "/bin/sh", 7, NULL), AFAR_OK);
        assert_int_equal(words_add(&made->argv, "-c", 2, NULL), AFAR_OK);
        assert_int_equal(words_add(&made->argv, asked->words + 3, strlen(asked->words) - 3, NULL),
                         AFAR_OK);
    } else {
        split(&made->argv, asked->words);
    }
    decider_expand(made->path, sizeof made->path, "@/bin:relative::@/evil");
    made->client.names = made->names.at != NULL ? made->names.at : nobody;
    made->client.address = asked->address != NULL ? asked->address : "192.0.2.7:40000";
    made->request.argv = made->argv.at;
    made->request.env = made->env.at;
    if (asked->cwd != NULL) {
        decider_expand(made->cwd, sizeof made->cwd, asked->cwd);
        made->request.cwd = made->cwd;
    }
    made->request.user = asked->user;
    made->request.path = made->path;
}

void decider_request_close(struct decider_request *request)
{
    words_close(&request->names);
    words_close(&request->argv);
    words_close(&request->env);
}

const char *decider_decide(struct rules *rules, const struct asked *asked, char answer[64],
                           char *reason, size_t reason_size)
{
    struct decider_request request;
    struct policy_decision decision;
    struct afar_error err;
    decider_request_make(&request, asked);
    if (policy_decide(rules, &request.client, &request.request, &decision, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    assert_true(decision.allowed == (decision.reason[0] == '\0'));
    const char *name = decision.rule == NULL ? "-" : decision.rule->name;
    (void)snprintf(answer, 64, "%s", decision.rule != NULL && !decision.allowed ? "no" : name);
    (void)snprintf(reason, reason_size, "%s", decision.reason);
    /* The program must be the file that the rule names, not another spelling of its path. */
    if (decision.program != NULL) {
        assert_int_equal(decision.program[0], '/');
        assert_null(strstr(decision.program, "//"));
        assert_null(strstr(decision.program, "/../"));
    }
    policy_decision_close(&decision);
    decider_request_close(&request);
    return answer;
}
