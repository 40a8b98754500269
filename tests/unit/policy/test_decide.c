/* Who may run what: a table of rules, requests and decisions, with every way around a rule that we
 * could think of; and what must hold whatever the rules are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/decide.h"
#include "support/seeded.h"

enum { TEXT_BYTES = 4096, WORDS_MAX = 32 };

/* ---- a tree of programs -------------------------------------------------------------------------
 *
 *     bin/{git,tool,multi}    programs
 *     bin/{ls,sh} → multi     one program by two names
 *     bin/data                no program
 *     link → bin              a directory by another name
 *     evil/{git,tool}         other programs of the same names
 *     evil/alias → ../bin/git
 *     evil/bin → ../bin
 *     jail/{bin/tool, up → ../../..}
 */

static char tree[PATH_MAX]; /* its path; realpath(3) wants so much */

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

static int make_tree(void **state)
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

static int remove_tree(void **state)
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

/* '@' stands for the tree. */
static void expand(char *out, size_t size, const char *text)
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

static enum afar_status load(struct config *config, const char *text, struct afar_error *err)
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

/* ---- a request ----------------------------------------------------------------------------------
 */

struct asked {
    const char *names; /* separated by blanks */
    const char *address;
    const char *words; /* "-s LINE": a shell line; else as template_split reads them */
    const char *env;   /* separated by blanks; NULL: none */
    const char *cwd;
    const char *user;
};

struct request {
    struct words names;
    struct words argv;
    struct words env;
    struct policy_client client;
    struct policy_request request;
    char cwd[128];
    char path[256];
};

static void split(struct words *words, const char *text)
{
    struct afar_error err;
    char expanded[TEXT_BYTES];
    if (text == NULL)
        return;
    expand(expanded, sizeof expanded, text);
    if (template_split(words, expanded, &err) != AFAR_OK)
        fail_msg("%s: %s", text, err.message);
}

static char *nobody[] = {NULL};

static void make_request(struct request *made, const struct asked *asked)
{
    *made = (struct request){.path = ""};
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
    expand(made->path, sizeof made->path, "@/bin:relative::@/evil");
    made->client.names = made->names.at != NULL ? made->names.at : nobody;
    made->client.address = asked->address != NULL ? asked->address : "192.0.2.7:40000";
    made->request.argv = made->argv.at;
    made->request.env = made->env.at;
    if (asked->cwd != NULL) {
        expand(made->cwd, sizeof made->cwd, asked->cwd);
        made->request.cwd = made->cwd;
    }
    made->request.user = asked->user;
    made->request.path = made->path;
}

static void request_close(struct request *request)
{
    words_close(&request->names);
    words_close(&request->argv);
    words_close(&request->env);
}

/* The name of the rule that allows it, "no" where one matches and refuses, "-" where none does. */
static const char *decide(struct rules *rules, const struct asked *asked, char answer[64],
                          char *reason, size_t reason_size)
{
    struct request request;
    struct policy_decision decision;
    struct afar_error err;
    make_request(&request, asked);
    if (policy_decide(rules, &request.client, &request.request, &decision, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    assert_true(decision.allowed == (decision.reason[0] == '\0'));
    const char *name = decision.rule == NULL ? "-" : decision.rule->name;
    (void)snprintf(answer, 64, "%s", decision.rule != NULL && !decision.allowed ? "no" : name);
    (void)snprintf(reason, reason_size, "%s", decision.reason);
    /* What is run is the file that the rule means, and no other spelling of it. */
    if (decision.program != NULL) {
        assert_int_equal(decision.program[0], '/');
        assert_null(strstr(decision.program, "//"));
        assert_null(strstr(decision.program, "/../"));
    }
    policy_decision_close(&decision);
    request_close(&request);
    return answer;
}

/* ---- the table ----------------------------------------------------------------------------------
 */

#define CI                                                                       \
    "[allow ci]\nclient = uri:spiffe://prod/ci/*\ncommand = @/bin/git fetch *\n" \
    "command = @/bin/git log **\ncommand = @/bin/tool\ncommand = @/bin/ls **\n"
#define ADMIN                                                                       \
    "[allow admin]\nclient = cn:ann\nclient = email:ann@example.com\nshell = yes\n" \
    "command = **\nenv = LANG, LC_*, EDITOR\n"
#define DEPLOY "[allow deploy]\nclient = dns:*.deploy.example\nforce = @/bin/tool --deploy\n"
#define WEB                                                                  \
    "[allow web]\nclient = uid:33\nclient = anonymous\nfrom = 127.0.0.0/8\n" \
    "from = 2001:db8::/32\ncommand = @/bin/tool \"a b\" *\ncwd = /srv\n"
#define PIN                                                                                  \
    "[allow pinned]\n"                                                                       \
    "client = pin:sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n" \
    "command = @/bin/git **\nenv = *\n"
#define ALL CI ADMIN DEPLOY WEB PIN

#define RUNNER "uri:spiffe://prod/ci/runner-7"
#define ANN "cn:ann"
#define THE_PIN "pin:sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct {
    const char *rules;
    struct asked asked;
    const char *answer;
} table[] = {
    /* no rules: whoever is in may do everything */
    {"", {ANN, NULL, "/bin/anything", NULL, NULL, NULL}, "-"},
    {"", {"anonymous", NULL, "-s rm -rf /", "PATH=/x LD_PRELOAD=y", NULL, NULL}, "-"},

    /* whom */
    {ALL, {RUNNER, NULL, "@/bin/git fetch origin", NULL, NULL, NULL}, "ci"},
    {ALL, {"uri:spiffe://prod/ci/", NULL, "@/bin/tool", NULL, NULL, NULL}, "ci"},
    {ALL, {"uri:spiffe://prod/ci/a/b", NULL, "@/bin/tool", NULL, NULL, NULL}, "-"},
    {ALL, {"uri:spiffe://prod/ci", NULL, "@/bin/tool", NULL, NULL, NULL}, "-"},
    {ALL, {"uri:spiffe://prod/cx/a", NULL, "@/bin/tool", NULL, NULL, NULL}, "-"},
    {ALL, {"uri:spiffe://prod.evil/ci/a", NULL, "@/bin/tool", NULL, NULL, NULL}, "-"},
    {ALL, {"uri:SPIFFE://prod/ci/a", NULL, "@/bin/tool", NULL, NULL, NULL}, "-"},
    {ALL, {"uri:xspiffe://prod/ci/a", NULL, "@/bin/tool", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:spiffe://prod/ci/a", NULL, "@/bin/tool", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:uri:spiffe://prod/ci/a", NULL, "@/bin/tool", NULL, NULL, NULL}, "-"},
    {ALL, {"dns:spiffe://prod/ci/a", NULL, "@/bin/tool", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:x " RUNNER, NULL, "@/bin/tool", NULL, NULL, NULL}, "ci"},
    {ALL, {"", NULL, "@/bin/tool", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:anne", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:an", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:Ann", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"\"cn:ann \"", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"\" cn:ann\"", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:cn:ann", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"email:ann@example.com", NULL, "/bin/true", NULL, NULL, NULL}, "admin"},
    {ALL, {"email:ann@example.com.evil", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"email:xann@example.com", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:ann@example.com", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"dns:a.deploy.example", NULL, "whatever", NULL, NULL, NULL}, "deploy"},
    {ALL, {"dns:A.Deploy.EXAMPLE", NULL, "whatever", NULL, NULL, NULL}, "deploy"},
    {ALL, {"dns:a.b.deploy.example", NULL, "whatever", NULL, NULL, NULL}, "-"},
    {ALL, {"dns:deploy.example", NULL, "whatever", NULL, NULL, NULL}, "-"},
    {ALL, {"dns:xdeploy.example", NULL, "whatever", NULL, NULL, NULL}, "-"},
    {ALL, {"dns:a.deploy.example.", NULL, "whatever", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:a.deploy.example", NULL, "whatever", NULL, NULL, NULL}, "-"},
    {ALL, {THE_PIN, NULL, "@/bin/git gc", NULL, NULL, NULL}, "pinned"},
    {ALL, {"cn:" THE_PIN, NULL, "@/bin/git gc", NULL, NULL, NULL}, "-"},
    {ALL,
     {"pin:sha256:00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff", NULL,
      "@/bin/git gc", NULL, NULL, NULL},
     "-"},
    {ALL, {"pin:sha256:0011", NULL, "@/bin/git gc", NULL, NULL, NULL}, "-"},
    {ALL, {"uid:33", "127.0.0.1:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "web"},
    {ALL, {"uid:3", "127.0.0.1:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"uid:333", "127.0.0.1:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"gid:33", "127.0.0.1:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:uid:33", "127.0.0.1:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"uid:33 gid:33", "unix", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"anonymous", "127.9.9.9:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "web"},
    {ALL, {"anonymous", "128.0.0.1:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"anonymous", "[2001:db8::7]:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "web"},
    {ALL, {"anonymous", "[2001:db9::7]:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"anonymous", "[::ffff:127.0.0.1]:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "web"},
    {ALL, {"anonymous", "[::1]:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"anonymous", "127.0.0.1", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "web"},
    {ALL, {"anonymous", "localhost:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"anonymous", "127.0.0.1.evil:5", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"anonymous", "unix:/127.0.0.1", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"anonymous", "", "@/bin/tool \"a b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"anonymous", NULL, "@/bin/git fetch x", NULL, NULL, NULL}, "-"},
    {ALL, {"nobody", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"any", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:any", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:*", NULL, "/bin/true", NULL, NULL, NULL}, "-"},
    {ALL, {"cn:**", NULL, "/bin/true", NULL, NULL, NULL}, "-"},

    /* patterns of clients */
    {"[allow x]\nclient = any\ncommand = **\n", {"", NULL, "x", NULL, NULL, NULL}, "x"},
    {"[allow x]\nclient = any\ncommand = **\n", {"anonymous", NULL, "x", NULL, NULL, NULL}, "x"},
    {"[allow x]\nclient = uri:**\ncommand = **\n", {RUNNER, NULL, "x", NULL, NULL, NULL}, "x"},
    {"[allow x]\nclient = uri:**\ncommand = **\n", {ANN, NULL, "x", NULL, NULL, NULL}, "-"},
    {"[allow x]\nclient = uri:*\ncommand = **\n", {RUNNER, NULL, "x", NULL, NULL, NULL}, "-"},
    {"[allow x]\nclient = uri:spiffe://*/ci/*\ncommand = **\n",
     {RUNNER, NULL, "x", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = uri:spiffe://*/ci/*\ncommand = **\n",
     {"uri:spiffe://a/b/ci/c", NULL, "x", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = uri:spiffe://**/ci/*\ncommand = **\n",
     {"uri:spiffe://a/b/ci/c", NULL, "x", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = email:*@example.com\ncommand = **\n",
     {"email:bob@example.com", NULL, "x", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = email:*@example.com\ncommand = **\n",
     {"email:bob@evil.com@example.com", NULL, "x", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = cn:b*d-7\ncommand = **\n",
     {"cn:build-7", NULL, "x", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = cn:b*d-7\ncommand = **\n", {"cn:bd-7", NULL, "x", NULL, NULL, NULL}, "x"},
    {"[allow x]\nclient = cn:b*d-7\ncommand = **\n",
     {"cn:bd-77", NULL, "x", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = dns:*\ncommand = **\n", {"dns:host", NULL, "x", NULL, NULL, NULL}, "x"},
    {"[allow x]\nclient = dns:*\ncommand = **\n", {"dns:a.b", NULL, "x", NULL, NULL, NULL}, "-"},
    {"[allow x]\nclient = uid:root\ncommand = **\n", {"uid:0", NULL, "x", NULL, NULL, NULL}, "x"},
    {"[allow x]\nclient = uid:root\ncommand = **\n",
     {"uid:root", NULL, "x", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = gid:root\ncommand = **\n",
     {"uid:1 gid:0", NULL, "x", NULL, NULL, NULL},
     "x"},

    /* what: exact words */
    {ALL, {RUNNER, NULL, "@/bin/tool", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "tool", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/bin/tool x", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/tool \"\"", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "\"@/bin/tool x\"", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git fetch", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git fetch a b", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git \"fetch a\"", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git fetch \"a b\"", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/bin/git fetch \"\"", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/bin/git fetch **", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/bin/git FETCH a", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git fetchx a", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git * a", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git ** a", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git -c x fetch a", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git log", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/bin/git log a b c", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/bin/git logx", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git push", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "\"@/bin/git\" \"log\"", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "\"@/bin/git log\"", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "\"\"", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "*", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "**", NULL, NULL, NULL}, "-"},
    {ALL, {"uid:33", "127.0.0.1:5", "@/bin/tool a b x", NULL, NULL, NULL}, "-"},
    {ALL, {"uid:33", "127.0.0.1:5", "@/bin/tool \"a  b\" x", NULL, NULL, NULL}, "-"},
    {ALL, {"uid:33", "127.0.0.1:5", "@/bin/tool \"a b\"", NULL, NULL, NULL}, "-"},
    {ALL, {"uid:33", "127.0.0.1:5", "@/bin/tool \"\\\"a b\\\"\" x", NULL, NULL, NULL}, "-"},
    {"[allow x]\nclient = any\ncommand = * --version\n",
     {ANN, NULL, "@/evil/git --version", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = any\ncommand = * --version\n",
     {ANN, NULL, "nothing --version", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = any\ncommand = * --version\n", {ANN, NULL, "git", NULL, NULL, NULL}, "-"},
    {"[allow x]\nclient = any\ncommand = @/bin/tool \"*\"\n",
     {ANN, NULL, "tool *", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = any\ncommand = @/bin/tool \"*\"\n",
     {ANN, NULL, "tool a", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = any\ncommand = @/bin/tool \"**\"\n",
     {ANN, NULL, "tool a b", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = any\ncommand = @/bin/tool --to=\"*\"\n",
     {ANN, NULL, "tool --to=x", NULL, NULL, NULL},
     "-"},

    /* what: which file it is */
    {ALL, {RUNNER, NULL, "git log", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/evil/git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/evil/../bin/git log", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/bin/../evil/git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin//git log", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/./bin/./git log", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/link/git log", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/evil/bin/git log", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/evil/bin/../git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/evil/alias log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git/ log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git/. log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git/../git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/ls", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "ls -l", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/bin/sh -c x", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/multi sh -c x", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "multi", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "./git log", NULL, "@/bin", NULL}, "ci"},
    {ALL, {RUNNER, NULL, "./git log", NULL, "@/evil", NULL}, "-"},
    {ALL, {RUNNER, NULL, "./git log", NULL, "bin", NULL}, "-"},
    {ALL, {RUNNER, NULL, "bin/git log", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "evil/git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "../bin/git log", NULL, "@/evil", NULL}, "ci"},
    {ALL, {RUNNER, NULL, "bin/git log", NULL, "@/evil", NULL}, "ci"},
    {ALL, {RUNNER, NULL, "git log", NULL, "@/evil", NULL}, "ci"},
    {ALL, {RUNNER, NULL, "git log", "PATH=@/evil", NULL, NULL}, "no"},
    {ALL, {RUNNER, NULL, "@/bin/data", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/nowhere/git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "-git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, ".. log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "/ log", NULL, NULL, NULL}, "-"},
    {"[allow x]\nclient = any\ncommand = @/link/git **\n",
     {ANN, NULL, "@/bin/git", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = any\ncommand = @/evil/alias **\n",
     {ANN, NULL, "@/bin/git", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = any\ncommand = @/evil/alias **\n",
     {ANN, NULL, "@/evil/alias", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = any\ncommand = @/nowhere/git **\n",
     {ANN, NULL, "@/nowhere/git", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = any\ncommand = @/bin/data **\n",
     {ANN, NULL, "@/bin/data", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = any\ncommand = @/evil/git **\n",
     {ANN, NULL, "git", NULL, NULL, NULL},
     "-"},

    /* shell lines */
    {ALL, {RUNNER, NULL, "-s git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "/bin/sh -c \"git log\"", NULL, NULL, NULL}, "-"},
    {ALL, {ANN, NULL, "-s git log; rm -rf /", NULL, NULL, NULL}, "admin"},
    {"[allow x]\nclient = any\ncommand = **\n", {ANN, NULL, "-s x", NULL, NULL, NULL}, "-"},
    {"[allow x]\nclient = any\ncommand = **\n", {ANN, NULL, "/bin/sh -c x", NULL, NULL, NULL}, "x"},
    {"[allow x]\nclient = any\nshell = yes\n", {ANN, NULL, "-s x", NULL, NULL, NULL}, "x"},
    {"[allow x]\nclient = any\nshell = yes\n", {ANN, NULL, "/bin/sh -c x", NULL, NULL, NULL}, "-"},
    {"[allow x]\nclient = any\nshell = no\ncommand = **\n",
     {ANN, NULL, "-s x", NULL, NULL, NULL},
     "-"},

    /* forced commands */
    {ALL, {"dns:a.deploy.example", NULL, "-s rm -rf /", NULL, NULL, NULL}, "deploy"},
    {ALL, {"dns:a.deploy.example", NULL, "x", "A=1", NULL, NULL}, "no"},
    {"[allow x]\nclient = any\nforce = /bin/x\nshell = no\n",
     {ANN, NULL, "-s x", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = any\nforce = /bin/x\nshell = yes\n",
     {ANN, NULL, "-s x", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = any\nforce = /bin/x\ncommand = @/bin/git **\n",
     {ANN, NULL, "git", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = any\nforce = /bin/x\ncommand = @/bin/git **\n",
     {ANN, NULL, "tool", NULL, NULL, NULL},
     "-"},

    /* the environment */
    {ALL, {ANN, NULL, "x", "LANG=C LC_ALL=C EDITOR=vi", NULL, NULL}, "admin"},
    {ALL, {ANN, NULL, "x", "LANGUAGE=C", NULL, NULL}, "no"},
    {ALL, {ANN, NULL, "x", "lang=C", NULL, NULL}, "no"},
    {ALL, {ANN, NULL, "x", "LANG=C PATH=/evil", NULL, NULL}, "no"},
    {ALL, {ANN, NULL, "x", "LC_=x", NULL, NULL}, "admin"},
    {ALL, {ANN, NULL, "x", "=LANG", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "FOO=1 BAR=2", NULL, NULL}, "pinned"},
    {ALL, {THE_PIN, NULL, "git", "PATH=/evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "LD_PRELOAD=/evil.so", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "LD_LIBRARY_PATH=/evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "LD_=1", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "BASH_ENV=/evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "ENV=/evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "IFS=x", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "GIT_SSH_COMMAND=evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "PYTHONPATH=/evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "PERL5OPT=-Mevil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "NODE_OPTIONS=--require=evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "GCONV_PATH=/evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "GLIBC_TUNABLES=x", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "PAGER=evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "HOME=/evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "BASH_FUNC_git%%=x", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "\"x()=y\"", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "AFAR_ORIGINAL_COMMAND=x", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "AFAR_JOB=x", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "AFARD_X=x", NULL, NULL}, "no"},
    {"[allow x]\nclient = any\ncommand = **\nenv = PATH\n",
     {ANN, NULL, "x", "PATH=/x", NULL, NULL},
     "x"},
    {"[allow x]\nclient = any\ncommand = **\nenv = LD_*\n",
     {ANN, NULL, "x", "LD_PRELOAD=/x", NULL, NULL},
     "no"},
    {"[allow x]\nclient = any\ncommand = **\nenv = P*\n",
     {ANN, NULL, "x", "PATH=/x", NULL, NULL},
     "no"},
    {"[allow x]\nclient = any\ncommand = @/bin/git\nenv = PATH\n",
     {ANN, NULL, "git", "PATH=@/evil", NULL, NULL},
     "x"},

    /* the directory, the user */
    {ALL, {"uid:33", "127.0.0.1:5", "@/bin/tool \"a b\" x", NULL, "/srv", NULL}, "web"},
    {ALL, {"uid:33", "127.0.0.1:5", "@/bin/tool \"a b\" x", NULL, "/srv/", NULL}, "no"},
    {ALL, {"uid:33", "127.0.0.1:5", "@/bin/tool \"a b\" x", NULL, "/srv/../etc", NULL}, "no"},
    {ALL, {"uid:33", "127.0.0.1:5", "@/bin/tool \"a b\" x", NULL, "/", NULL}, "no"},
    {ALL, {ANN, NULL, "x", NULL, NULL, "root"}, "-"},
    {ALL, {ANN, NULL, "x", NULL, NULL, "0"}, "-"},

    /* the first that matches decides, also where it refuses */
    {"[allow a]\nclient = cn:*\ncommand = @/bin/git **\n[allow b]\nclient = any\ncommand = **\n",
     {ANN, NULL, "git", NULL, NULL, NULL},
     "a"},
    {"[allow a]\nclient = cn:*\ncommand = @/bin/git **\n[allow b]\nclient = any\ncommand = **\n",
     {ANN, NULL, "tool", NULL, NULL, NULL},
     "b"},
    {"[allow a]\nclient = cn:*\ncommand = @/bin/git **\n[allow b]\nclient = any\ncommand = **\nenv "
     "= *\n",
     {ANN, NULL, "git", "FOO=1", NULL, NULL},
     "no"},
    {"[allow a]\nclient = any\nmay = kill\n[allow b]\nclient = any\ncommand = **\n",
     {ANN, NULL, "x", NULL, NULL, NULL},
     "b"},
    {"[allow a]\nclient = any\nmay = kill, list\n", {ANN, NULL, "x", NULL, NULL, NULL}, "-"},
};

enum { CASES = sizeof table / sizeof table[0] };
_Static_assert(CASES >= 150, "a table of at least 150 cases was promised");

static void test_table(void **state)
{
    unsigned wrong = 0;
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        char text[TEXT_BYTES];
        char answer[64];
        char reason[POLICY_REASON_BYTES];
        struct config config;
        struct afar_error err;
        expand(text, sizeof text, table[i].rules);
        if (load(&config, text, &err) != AFAR_OK)
            fail_msg("case %zu: %s", i, err.message);
        (void)decide(config.rules, &table[i].asked, answer, reason, sizeof reason);
        if (strcmp(answer, table[i].answer) != 0) {
            print_error("case %zu: %s: '%s': %s (%s), expected %s\n", i, table[i].asked.names,
                        table[i].asked.words, answer, reason, table[i].answer);
            wrong++;
        }
        config_close(&config);
    }
    print_message("%d cases\n", (int)CASES);
    assert_int_equal(wrong, 0);
}

/* ---- what is run --------------------------------------------------------------------------------
 */

/* Decides, and gives the words that would be run with '|' between them, the program first. */
static void run_words(const char *rules, const struct asked *asked, char *out, size_t size)
{
    char text[TEXT_BYTES];
    struct config config;
    struct request request;
    struct policy_decision decision;
    struct afar_error err;
    expand(text, sizeof text, rules);
    assert_int_equal(load(&config, text, &err), AFAR_OK);
    make_request(&request, asked);
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
    request_close(&request);
}

static void assert_runs(const char *rules, const char *words, const char *expected)
{
    char out[TEXT_BYTES];
    char wanted[TEXT_BYTES];
    const struct asked asked = {ANN, NULL, words, NULL, NULL, NULL};
    run_words(rules, &asked, out, sizeof out);
    expand(wanted, sizeof wanted, expected);
    assert_string_equal(out, wanted);
}

static void test_what_is_run(void **state)
{
    (void)state;
#define X "[allow x]\nclient = any\n"
    assert_runs("", "git a", "?|git|a");
    assert_runs(X "command = @/bin/git **\n", "@/link/../bin/git a",
                "@/bin/git|@/link/../bin/git|a");
    assert_runs(X "command = @/bin/ls **\n", "ls", "@/bin/ls|ls");
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

static void test_reasons(void **state)
{
    static const struct {
        const char *names;
        const char *words;
        const char *env;
        const char *reason;
    } cases[] = {
        {"cn:bob", "git", NULL, "no rule lets this client (cn:bob) run anything"},
        {"", "git", NULL, "no rule lets this client (nobody) run anything"},
        {RUNNER, "-s ls", NULL, "no rule lets this client (" RUNNER ") run a shell line"},
        {RUNNER, "git push", NULL,
         "no rule lets this client (" RUNNER ") run 'git' with these arguments"},
        {RUNNER, "tool", "SECRET=hush", "rule 'ci' (RULES:1) does not let the client set SECRET"},
    };
    char text[TEXT_BYTES];
    struct config config;
    struct afar_error err;
    (void)state;
    expand(text, sizeof text, ALL);
    assert_int_equal(load(&config, text, &err), AFAR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char answer[64];
        char reason[POLICY_REASON_BYTES];
        char wanted[POLICY_REASON_BYTES];
        const struct asked asked = {cases[i].names, NULL, cases[i].words, cases[i].env, NULL, NULL};
        (void)decide(config.rules, &asked, answer, reason, sizeof reason);
        const char *place = strstr(cases[i].reason, "RULES");
        int size = place != NULL ? (int)(place - cases[i].reason) : 0;
        if (place != NULL)
            (void)snprintf(wanted, sizeof wanted, "%.*s%s%s", size, cases[i].reason,
                           rules_file(config.rules), place + 5);
        else
            (void)snprintf(wanted, sizeof wanted, "%s", cases[i].reason);
        assert_string_equal(reason, wanted);
        assert_null(strstr(reason, "hush"));
    }
    config_close(&config);
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
    assert_int_equal(load(&config, text, &err), AFAR_OK);
    assert_true(policy_may(config.rules, &ann, POLICY_KILL));
    assert_false(policy_may(config.rules, &ann, POLICY_RUN));
    assert_true(policy_may(config.rules, &near, POLICY_RUN));
    assert_true(policy_may(config.rules, &near, POLICY_KILL));
    assert_false(policy_may(config.rules, &near, POLICY_FILES));
    assert_false(policy_may(config.rules, &far, POLICY_RUN));
    assert_true(policy_may(NULL, &far, POLICY_FILES));
    config_close(&config);
}

/* ---- whatever the rules -------------------------------------------------------------------------
 */

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
static const char *const extras[] = {"", "env = FOO", "env = *", "cwd = /srv", "from = 10.0.0.0/8"};
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
        char plain[TEXT_BYTES] = "";
        char text[TEXT_BYTES];
        struct config shorter;
        struct config longer;
        struct afar_error err;
        size_t used = 0;
        unsigned rules = 1 + seeded_below(seeded, 4);
        for (unsigned i = 0; i < rules; i++)
            used += add_rule(seeded, i, plain + used, sizeof plain - used);
        expand(text, sizeof text, plain);
        assert_int_equal(load(&shorter, text, &err), AFAR_OK);
        (void)add_rule(seeded, rules, plain + used, sizeof plain - used);
        expand(text, sizeof text, plain);
        assert_int_equal(load(&longer, text, &err), AFAR_OK);
        for (unsigned i = 0; i < 20; i++) {
            char before[64];
            char after[64];
            char reason[POLICY_REASON_BYTES];
            const struct asked asked = {PICK(asked_names), "10.0.0.1:9",    PICK(asked_words),
                                        PICK(asked_env),   PICK(asked_cwd), NULL};
            (void)decide(shorter.rules, &asked, before, reason, sizeof reason);
            (void)decide(longer.rules, &asked, after, reason, sizeof reason);
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
        cmocka_unit_test(test_table),         cmocka_unit_test(test_what_is_run),
        cmocka_unit_test(test_reasons),       cmocka_unit_test(test_may),
        cmocka_unit_test(test_adding_a_rule),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
