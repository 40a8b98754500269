/* What a rule's keys take, and what is said where they do not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy/rule.h"

static struct rule *make_rule(void)
{
    struct rule *rule = rule_new("x", 1);
    assert_non_null(rule);
    return rule;
}

static void set(struct rule *rule, const char *key, const char *value)
{
    struct afar_error err;
    if (rule_set(rule, key, value, &err) != AFAR_OK)
        fail_msg("%s = %s: %s", key, value, err.message);
}

static const struct {
    const char *key;
    const char *value;
    const char *message;
} bad[] = {
    {"client", "bob",
     "client: 'bob' is not a client: expected uri:…, dns:…, email:…, cn:…, pin:sha256:…, uid:…, "
     "gid:…, anonymous or any"},
    {"client", "cn:",
     "client: 'cn:' is not a client: expected uri:…, dns:…, email:…, cn:…, pin:sha256:…, uid:…, "
     "gid:…, anonymous or any"},
    {"client", "CN:bob",
     "client: 'CN:bob' is not a client: expected uri:…, dns:…, email:…, cn:…, pin:sha256:…, uid:…, "
     "gid:…, anonymous or any"},
    {"client", "pin:sha256:12",
     "client: 'pin:sha256:12': expected 64 digits 0-9a-f after pin:sha256:"},
    {"client", "pin:sha256:00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff",
     "client: 'pin:sha256:00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff': "
     "expected 64 digits 0-9a-f after pin:sha256:"},
    {"client", "uid:nobody-of-that-name", "client: there is no user 'nobody-of-that-name' here"},
    {"client", "gid:-1", "client: there is no group '-1' here"},
    {"client", "uid:4294967295", "client: there is no user '4294967295' here"},
    {"client", "anonymous@10.0.0.1",
     "client: 'anonymous@10.0.0.1' is not a client: expected uri:…, dns:…, email:…, cn:…, "
     "pin:sha256:…, uid:…, gid:…, anonymous or any"},
    {"client", "", "client: expected a value"},
    {"from", "localhost",
     "from: 'localhost' is neither an address nor a network such as 10.0.0.0/8"},
    {"from", "10.0.0.0/33",
     "from: '10.0.0.0/33' is neither an address nor a network such as 10.0.0.0/8"},
    {"from", "10.0.0.1/8", "from: '10.0.0.1/8' has bits set behind its prefix"},
    {"from", "2001:db8::/129",
     "from: '2001:db8::/129' is neither an address nor a network such as 10.0.0.0/8"},
    {"from", "10.0.0.0/",
     "from: '10.0.0.0/' is neither an address nor a network such as 10.0.0.0/8"},
    {"from", "/8", "from: '/8' is neither an address nor a network such as 10.0.0.0/8"},
    {"may", "run, fly",
     "may: 'fly': expected run, attach, kill, list, files, keep, leave or forward"},
    {"may", ",", "may: expected a name"},
    {"command", "git fetch",
     "command: 'git': a command begins with its program's absolute path, as /usr/bin/git, or "
     "with * or **"},
    {"command", "/usr/bin/../bin/git",
     "command: '/usr/bin/../bin/git': expected a path without //, . and .."},
    {"command", "/usr/bin/", "command: '/usr/bin/': expected a path without //, . and .."},
    {"command", "//bin/git", "command: '//bin/git': expected a path without //, . and .."},
    {"command", "/bin/g*",
     "command: '/bin/g*': '*' stands for a whole word; as a part of one it must be quoted"},
    {"command", "/bin/git ** x", "command: '**' stands for all the rest: nothing can follow it"},
    {"command", "/bin/git \"x",
     "command: '\"x': a quote that does not end, or an escape other than \\\" and \\\\"},
    {"command", "/bin/git a\\ b",
     "command: 'a\\ b': a word with \\ or ' in it must stand in \"…\""},
    {"command", "/bin/git 'a b'",
     "command: ''a b'': a word with \\ or ' in it must stand in \"…\""},
    {"command", "/bin/git \"a\\n\"",
     "command: '\"a\\n\"': a quote that does not end, or an escape other than \\\" and \\\\"},
    {"env_dangerous", "maybe", "env_dangerous: 'maybe' is neither yes nor no"},
    {"shell", "maybe", "shell: 'maybe' is neither yes nor no"},
    {"force", "ls",
     "force: 'ls': a command begins with its program's absolute path, as /usr/bin/git"},
    {"force", "/bin/ls \"x",
     "force: '\"x': a quote that does not end, or an escape other than \\\" and \\\\"},
    {"wrapper", "bwrap",
     "wrapper: 'bwrap': a command begins with its program's absolute path, as /usr/bin/git"},
    {"env", "A=B", "env: 'A=B' is not a variable's name, nor the beginning of one and '*'"},
    {"env", "*A", "env: '*A' is not a variable's name, nor the beginning of one and '*'"},
    {"env", "AFAR_JOB", "env: 'AFAR_JOB': names that begin with AFAR are the server's"},
    {"env", ", ,", "env: expected a name"},
    {"user", "nobody-of-that-name", "user: there is no user 'nobody-of-that-name' here"},
    {"user", "4294967295", "user: there is no user '4294967295' here"},
    {"group", "no-such-group", "group: there is no group 'no-such-group' here"},
    {"cwd", "here", "cwd: 'here' is not an absolute path"},
    {"chroot", "jail", "chroot: 'jail' is not an absolute path"},
    {"umask", "888", "umask: '888' is not an octal number from 000 to 777"},
    {"umask", "1777", "umask: '1777' is not an octal number from 000 to 777"},
    {"umask", "7777", "umask: '7777' is not an octal number from 000 to 777"},
    {"umask", "rwx", "umask: 'rwx' is not an octal number from 000 to 777"},
    {"nice", "20", "nice: '20' is not a whole number from -20 to 19"},
    {"nice", "-21", "nice: '-21' is not a whole number from -20 to 19"},
    {"nice", "1.5", "nice: '1.5' is not a whole number from -20 to 19"},
    {"nice", "", "nice: expected a value"},
    {"timeout", "30",
     "timeout: '30' is not a duration from 1ms to 24d: expected a number with ms, s, m, h or d"},
    {"timeout", "0s",
     "timeout: '0s' is not a duration from 1ms to 24d: expected a number with ms, s, m, h or d"},
    {"timeout", "25d",
     "timeout: '25d' is not a duration from 1ms to 24d: expected a number with ms, s, m, h or d"},
    {"timeout", "-1s",
     "timeout: '-1s' is not a duration from 1ms to 24d: expected a number with ms, s, m, h or d"},
    {"timeout", "1 s",
     "timeout: '1 s' is not a duration from 1ms to 24d: expected a number with ms, s, m, h or d"},
    {"max_output", "10MB",
     "max_output: '10MB' is not a size: expected a number with B, K, M or G, such as 512M"},
    {"memory", "512",
     "memory: '512' is not a size: expected a number with B, K, M or G, such as 512M"},
    {"rlimit_core", "1",
     "rlimit_core: '1' is not a size: expected a number with B, K, M or G, such as 512M"},
    {"rlimit_as", "00",
     "rlimit_as: '00' is not a size: expected a number with B, K, M or G, such as 512M"},
    {"max_output", "-1",
     "max_output: '-1' is not a size: expected a number with B, K, M or G, such as 512M"},
    {"max_output", "9007199254740992",
     "max_output: '9007199254740992' is not a size: expected a number with B, K, M or G, such as "
     "512M"},
    {"max_jobs", "0", "max_jobs: '0' is not a whole number from 1 to 1048576"},
    {"max_jobs", "1048577", "max_jobs: '1048577' is not a whole number from 1 to 1048576"},
    {"rlimit_nofile", "0", "rlimit_nofile: '0' is not a whole number from 1 to 1048576"},
    {"rlimit_cpu", "500ms", "rlimit_cpu: '500ms' is less than a second"},
    {"rlimit_as", "1T",
     "rlimit_as: '1T' is not a size: expected a number with B, K, M or G, such as 512M"},
    {"memory", "lots",
     "memory: 'lots' is not a size: expected a number with B, K, M or G, such as 512M"},
    {"memory", "0", "memory: a command cannot run without memory"},
    {"cpu", "0",
     "cpu: '0' is not a number of processors: expected one from 0.01 to 1024, such as 0.5 or 2"},
    {"cpu", "0.001",
     "cpu: '0.001' is not a number of processors: expected one from 0.01 to 1024, such as 0.5 or "
     "2"},
    {"cpu", "1025",
     "cpu: '1025' is not a number of processors: expected one from 0.01 to 1024, such as 0.5 or 2"},
    {"cpu", "1.2345",
     "cpu: '1.2345' is not a number of processors: expected one from 0.01 to 1024, such as 0.5 or "
     "2"},
    {"cpu", "1.",
     "cpu: '1.' is not a number of processors: expected one from 0.01 to 1024, such as 0.5 or 2"},
    {"jobs", "mine", "jobs: 'mine' is neither own nor all"},
    {"spool", "512K", "spool: '512K' is not a size from 1M to 1024G"},
    {"pids", "0", "pids: '0' is not a whole number from 1 to 1048576"},
    {"users", "x",
     "unknown key 'users' in a rule; the keys are client, from, may, jobs, command, shell, files, "
     "files_max, forward, force, "
     "wrapper, env, env_dangerous, user, group, cwd, chroot, confine, pty, record, record_max, "
     "record_full, umask, nice, timeout, "
     "resume, spool, max_output, max_jobs, rlimit_nofile, rlimit_nproc, rlimit_as, rlimit_core, "
     "rlimit_cpu, "
     "memory, cpu, pids"},
};

static void test_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rule *rule = make_rule();
        struct afar_error err;
        assert_int_equal(rule_set(rule, bad[i].key, bad[i].value, &err), AFAR_EINVAL);
        assert_string_equal(err.message, bad[i].message);
        assert_int_equal(rule_set(rule, bad[i].key, bad[i].value, NULL), AFAR_EINVAL);
        rule_free(rule);
    }
}

static void test_values(void **state)
{
    (void)state;
    struct rule *rule = make_rule();
    set(rule, "client", "cn:ann");
    set(rule, "client", "uid:root");
    set(rule, "from", "10.0.0.0/8");
    set(rule, "from", "::ffff:10.0.0.7");
    set(rule, "may", "run,kill");
    set(rule, "may", "files");
    set(rule, "command", "/bin/echo \"a \\\" b\" * **");
    set(rule, "shell", "YES");
    set(rule, "force", "/bin/ls -l");
    set(rule, "force", "\"two words\"");
    set(rule, "env", "LANG, LC_*,A B");
    set(rule, "user", "0");
    set(rule, "cwd", "/tmp");
    set(rule, "umask", "27");
    set(rule, "nice", "-5");
    set(rule, "timeout", "2h");
    set(rule, "resume", "0s");
    set(rule, "max_output", "3K");
    set(rule, "max_jobs", "4");
    set(rule, "rlimit_nofile", "5");
    set(rule, "rlimit_nproc", "6");
    set(rule, "rlimit_as", "7M");
    set(rule, "rlimit_core", "0");
    set(rule, "rlimit_cpu", "1m");
    set(rule, "memory", "1G");
    set(rule, "cpu", "0.25");
    set(rule, "pids", "9");
    assert_string_equal(rule->clients[1].text, "uid:0");
    assert_int_equal(rule->may, POLICY_RUN | POLICY_KILL | POLICY_FILES);
    assert_string_equal(rule->commands[0].words.at[1], "a \" b");
    assert_true(rule->commands[0].any[2] && rule->commands[0].rest && !rule->commands[0].any[1]);
    assert_true(rule->shell);
    assert_int_equal(rule->force.count, 3);
    assert_string_equal(rule->force.at[2], "two words");
    assert_int_equal(rule->env.count, 4);
    assert_int_equal(rule->user.uid, 0);
    assert_int_equal(rule->umask.value, 027);
    assert_int_equal(rule->nice, -5);
    assert_int_equal(rule->timeout_ms.value, 7200000);
    assert_true(rule->resume_ms.set && rule->resume_ms.value == 0);
    assert_int_equal(rule->max_output.value, 3072);
    assert_int_equal(rule->as_bytes.value, 7 << 20);
    assert_true(rule->core_bytes.set && rule->core_bytes.value == 0);
    assert_int_equal(rule->cpu_s.value, 60);
    assert_int_equal(rule->memory_bytes.value, 1 << 30);
    assert_int_equal(rule->cpu_millis.value, 250);
    assert_true(rule_switches(rule) && rule_wants_cgroup(rule));
    rule_free(rule);
}

/* Of two values one would be ignored. */
static void test_given_twice(void **state)
{
    static const char *const pairs[][2] = {
        {"shell", "no"},      {"env_dangerous", "no"},
        {"user", "0"},        {"group", "0"},
        {"cwd", "/"},         {"chroot", "/"},
        {"umask", "077"},     {"nice", "1"},
        {"timeout", "1s"},    {"max_output", "1B"},
        {"max_jobs", "1"},    {"rlimit_as", "1G"},
        {"memory", "1M"},     {"cpu", "1"},
        {"pids", "1"},        {"rlimit_cpu", "1s"},
        {"rlimit_core", "0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct rule *rule = make_rule();
        struct afar_error err;
        set(rule, pairs[i][0], pairs[i][1]);
        assert_int_equal(rule_set(rule, pairs[i][0], pairs[i][1], &err), AFAR_EINVAL);
        assert_non_null(strstr(err.message, "given already in this rule"));
        rule_free(rule);
    }
}

static void check_says(struct rule *rule, const char *expected)
{
    struct afar_error err;
    assert_int_equal(rule_check(rule, &err), AFAR_EINVAL);
    assert_non_null(strstr(err.message, expected));
}

static void test_the_whole(void **state)
{
    (void)state;
    struct rule *rule = make_rule();
    check_says(rule, "the rule matches no client");
    set(rule, "client", "any");
    check_says(rule, "the rule allows no command");
    set(rule, "shell", "no");
    check_says(rule, "the rule allows no command");
    set(rule, "command", "/bin/true");
    assert_int_equal(rule_check(rule, NULL), AFAR_OK);
    set(rule, "env", "LANG, LC_*");
    assert_int_equal(rule_check(rule, NULL), AFAR_OK);
    set(rule, "env", "P*");
    check_says(rule, "env = P* lets a client set variables by which programs can be made to run");
    set(rule, "env_dangerous", "yes");
    assert_int_equal(rule_check(rule, NULL), AFAR_OK);
    if (geteuid() != 0) {
        set(rule, "nice", "-1");
        check_says(rule, "a negative nice needs a server that was started as root");
    }
    rule_free(rule);
    rule = make_rule();
    set(rule, "client", "any");
    set(rule, "may", "kill");
    assert_int_equal(rule_check(rule, NULL), AFAR_OK);
    set(rule, "env", "*");
    check_says(rule, "or say env_dangerous = yes");
    set(rule, "env_dangerous", "no");
    check_says(rule, "or say env_dangerous = yes");
    rule_free(rule);
}

static void test_escapes(void **state)
{
    (void)state;
    struct rule *rule = rule_new("x", 1);
    set(rule, "force", "/bin/x \"a\\\\b\\\"c\" \"\\\\\" \"\\\\\\\\n\"");
    assert_int_equal(rule->force.count, 4);
    assert_string_equal(rule->force.at[1], "a\\b\"c");
    assert_string_equal(rule->force.at[2], "\\");
    assert_string_equal(rule->force.at[3], "\\\\n");
    rule_free(rule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),  cmocka_unit_test(test_values),
        cmocka_unit_test(test_escapes),   cmocka_unit_test(test_given_twice),
        cmocka_unit_test(test_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
