/* Who may run what: a table of rules, requests and decisions, with every way around a rule that we
 * could think of. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "support/decider.h"

/* ---- the table ------------------------------------------------------------------------------- */

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
    "command = @/bin/git **\nenv = *\nenv_dangerous = yes\n"
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

    /* what: by its bare name, which the server's PATH has, or by exactly the rule's path */
    {ALL, {RUNNER, NULL, "git log", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/bin/git log", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/evil/git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/evil/../bin/git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/../evil/git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin//git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/./bin/./git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/link/git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/evil/bin/git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/evil/bin/../git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/evil/alias log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git/ log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git/. log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/git/../git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "/proc/self/root@/bin/git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/ls", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "ls -l", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "@/bin/sh -c x", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/bin/multi sh -c x", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "multi", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "./git log", NULL, "@/bin", NULL}, "-"},
    {ALL, {RUNNER, NULL, "./git log", NULL, "@/evil", NULL}, "-"},
    {ALL, {RUNNER, NULL, "bin/git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "../bin/git log", NULL, "@/evil", NULL}, "-"},
    {ALL, {RUNNER, NULL, "git log", NULL, "@/evil", NULL}, "ci"},
    {ALL, {RUNNER, NULL, "git log", "PATH=@/evil", NULL, NULL}, "no"},
    {ALL, {RUNNER, NULL, "@/bin/data", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "@/nowhere/git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "-git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, ".. log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "/ log", NULL, NULL, NULL}, "-"},
    {"[allow x]\nclient = any\ncommand = @/link/git **\n",
     {ANN, NULL, "@/bin/git", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = any\ncommand = @/link/git **\n",
     {ANN, NULL, "@/link/git", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = any\ncommand = @/link/git **\n",
     {ANN, NULL, "git", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = any\ncommand = @/evil/alias **\n",
     {ANN, NULL, "@/bin/git", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = any\ncommand = @/evil/alias **\n",
     {ANN, NULL, "@/evil/alias", NULL, NULL, NULL},
     "x"},
    /* The server does not look whether it is there: that is for the command's own process. */
    {"[allow x]\nclient = any\ncommand = @/nowhere/git **\n",
     {ANN, NULL, "@/nowhere/git", NULL, NULL, NULL},
     "x"},
    {"[allow x]\nclient = any\ncommand = @/nowhere/git **\n",
     {ANN, NULL, "git", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = any\ncommand = @/bin/data **\n",
     {ANN, NULL, "data", NULL, NULL, NULL},
     "-"},
    {"[allow x]\nclient = any\ncommand = @/evil/git **\n",
     {ANN, NULL, "git", NULL, NULL, NULL},
     "-"},

    /* shell lines */
    {ALL, {RUNNER, NULL, "-s git log", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "-s 'git'  \"log\"", NULL, NULL, NULL}, "ci"},
    {ALL, {RUNNER, NULL, "-s git push", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "-s git log; id", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "-s git log $x", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "-s A=b git log", NULL, NULL, NULL}, "-"},
    {ALL, {RUNNER, NULL, "/bin/sh -c \"git log\"", NULL, NULL, NULL}, "-"},
    {ALL, {ANN, NULL, "-s git log; rm -rf /", NULL, NULL, NULL}, "admin"},
    {"[allow x]\nclient = any\ncommand = **\n", {ANN, NULL, "-s x", NULL, NULL, NULL}, "x"},
    {"[allow x]\nclient = any\ncommand = **\n", {ANN, NULL, "-s x | y", NULL, NULL, NULL}, "-"},
    {"[allow x]\nclient = any\ncommand = **\nwrapper = /bin/w\n",
     {ANN, NULL, "-s '--bind' / sh", NULL, NULL, NULL},
     "no"},
    {"[allow x]\nclient = any\ncommand = **\n", {ANN, NULL, "/bin/sh -c x", NULL, NULL, NULL}, "x"},
    {"[allow x]\nclient = any\nshell = yes\n", {ANN, NULL, "-s x", NULL, NULL, NULL}, "x"},
    {"[allow x]\nclient = any\nshell = yes\n", {ANN, NULL, "/bin/sh -c x", NULL, NULL, NULL}, "-"},
    {"[allow x]\nclient = any\nshell = no\ncommand = **\n",
     {ANN, NULL, "-s x", NULL, NULL, NULL},
     "x"},

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
    {ALL, {THE_PIN, NULL, "git", "CFLAGS=-fplugin=/evil.so", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "APT_CONFIG=/evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "PIP_CONFIG_FILE=/evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "GEM_PATH=/evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "WGETRC=/evil", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "DOTNET_STARTUP_HOOKS=/evil.dll", NULL, NULL}, "no"},
    {ALL, {THE_PIN, NULL, "git", "MAKEFLAGS=--eval=x", NULL, NULL}, "no"},
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
    {"[allow x]\nclient = any\ncommand = **\nenv = PAT*\n",
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
     "= *\nenv_dangerous = yes\n",
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
        char text[DECIDER_TEXT_BYTES];
        char answer[64];
        char reason[POLICY_REASON_BYTES];
        struct config config;
        struct afar_error err;
        decider_expand(text, sizeof text, table[i].rules);
        if (decider_load(&config, text, &err) != AFAR_OK)
            fail_msg("case %zu: %s", i, err.message);
        (void)decider_decide(config.rules, &table[i].asked, answer, reason, sizeof reason);
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, decider_make_tree, decider_remove_tree);
}
