/* The command line of `afar ssh`: each letter and keyword one case, and what of it is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "afar/share/use.h"
#include "afar/ssh/run.h"
#include "afar/ssh/config_file.h"
#include "afar/ssh/destination.h"
#include "afar/ssh/keywords.h"
#include "afar/ssh/options.h"

enum { WORDS_MAX = 32, LINE_BYTES = 2048 };

struct parsed {
    struct ssh_options options;
    struct ssh_destination destination;
    char text[LINE_BYTES];
    char *argv[WORDS_MAX];
    int argc;
    char message[SSH_MESSAGE_BYTES];
    bool good;
};

/* The words of the line are divided by "|", so that they can have blanks in them. */
static void parse(struct parsed *parsed, const char *line)
{
    char *rest = NULL;
    *parsed = (struct parsed){0};
    (void)snprintf(parsed->text, sizeof parsed->text, "ssh|%s", line);
    for (char *word = strtok_r(parsed->text, "|", &rest); word != NULL;
         word = strtok_r(NULL, "|", &rest))
        parsed->argv[parsed->argc++] = word;
    parsed->good = ssh_options_parse(&parsed->options, &parsed->destination, parsed->argc,
                                     parsed->argv, parsed->message);
}

static void expect(bool is_so, const char *line, const char *what)
{
    if (!is_so)
        fail_msg("%s: not %s", line, what);
}

/* ---- letters and keywords ---- */

static const struct {
    const char *line;
    enum ssh_value which;
    const char *value; /* NULL: none */
} values[] = {
    {"-4|h", SSH_ADDRESS_FAMILY, "inet"},
    {"-6|h", SSH_ADDRESS_FAMILY, "inet6"},
    {"-b|1.2.3.4|h", SSH_BIND_ADDRESS, "1.2.3.4"},
    {"-f|h", SSH_FORK_AFTER_AUTHENTICATION, "yes"},
    {"-g|h", SSH_GATEWAY_PORTS, "yes"},
    {"-o|ExitOnForwardFailure=yes|h", SSH_EXIT_ON_FORWARD_FAILURE, "yes"},
    {"-oGatewayPorts no|h", SSH_GATEWAY_PORTS, "no"},
    {"-J|jump|h", SSH_PROXY_JUMP, "jump"},
    {"-l|u|h", SSH_USER, "u"},
    {"-n|h", SSH_STDIN_NULL, "yes"},
    {"-p|22|h", SSH_PORT, "22"},
    {"-S|path|h", SSH_CONTROL_PATH, "path"},
    {"-M|h", SSH_CONTROL_MASTER, "yes"},
    {"-o|ControlMaster=auto|-M|h", SSH_CONTROL_MASTER, "auto"},
    {"-o|ControlPersist=60s|h", SSH_CONTROL_PERSIST, "60s"},
    {"-t|h", SSH_REQUEST_TTY, "yes"},
    {"-tt|h", SSH_REQUEST_TTY, "force"},
    {"-t|-t|h", SSH_REQUEST_TTY, "force"},
    {"-ttt|h", SSH_REQUEST_TTY, "force"},
    {"-T|h", SSH_REQUEST_TTY, "no"},
    {"-T|-t|h", SSH_REQUEST_TTY, "yes"},
    {"-tt|-T|h", SSH_REQUEST_TTY, "no"},
    {"-w|0:0|h", SSH_TUNNEL, "0:0"},
    {"-x|h", SSH_FORWARD_X11, "no"},
    {"-X|h", SSH_FORWARD_X11, "yes"},
    {"-Y|h", SSH_FORWARD_X11, "yes"},
    {"-o|AddressFamily=inet|h", SSH_ADDRESS_FAMILY, "inet"},
    {"-o|BatchMode=yes|h", SSH_BATCH_MODE, "yes"},
    {"-o|BindAddress=::1|h", SSH_BIND_ADDRESS, "::1"},
    {"-o|ClearAllForwardings=yes|h", SSH_CLEAR_ALL_FORWARDINGS, "yes"},
    {"-o|ConnectionAttempts=3|h", SSH_CONNECTION_ATTEMPTS, "3"},
    {"-o|ConnectTimeout=10|h", SSH_CONNECT_TIMEOUT, "10"},
    {"-o|ConnectTimeout=1m30s|h", SSH_CONNECT_TIMEOUT, "1m30s"},
    {"-o|ServerAliveInterval=2m|h", SSH_SERVER_ALIVE_INTERVAL, "2m"},
    {"-o|ConnectTimeout=none|h", SSH_CONNECT_TIMEOUT, "none"},
    {"-o|ControlPath=\"/a b\"|h", SSH_CONTROL_PATH, "/a b"},
    {"-o|ForkAfterAuthentication=no|h", SSH_FORK_AFTER_AUTHENTICATION, "no"},
    {"-o|ForwardX11=no|h", SSH_FORWARD_X11, "no"},
    {"-o|HostName=other|h", SSH_HOST_NAME, "other"},
    {"-o|LogLevel ERROR|h", SSH_LOG_LEVEL, "ERROR"},
    {"-o|Port=1|h", SSH_PORT, "1"},
    {"-o|ProxyCommand=nc %h %p|h", SSH_PROXY_COMMAND, "nc %h %p"},
    {"-o|ProxyJump=none|h", SSH_PROXY_JUMP, "none"},
    {"-o|RemoteCommand=none|h", SSH_REMOTE_COMMAND, "none"},
    {"-o|RequestTTY=force|h", SSH_REQUEST_TTY, "force"},
    {"-o|ServerAliveCountMax 3|h", SSH_SERVER_ALIVE_COUNT_MAX, "3"},
    {"-o|ServerAliveInterval 15|h", SSH_SERVER_ALIVE_INTERVAL, "15"},
    {"-o|SessionType=none|h", SSH_SESSION_TYPE, "none"},
    {"-o|StdinNull=yes|h", SSH_STDIN_NULL, "yes"},
    {"-o|Tunnel=no|h", SSH_TUNNEL, "no"},
    {"-o|User=u|h", SSH_USER, "u"},
    {"-o|User=\"u\"|h", SSH_USER, "u"},
    /* however it is written */
    {"-oPort=1|h", SSH_PORT, "1"},
    {"-p1|h", SSH_PORT, "1"},
    {"-Txaqp22|h", SSH_PORT, "22"},
    {"-TxaqoPort=22|h", SSH_PORT, "22"},
    {"-oPort 1|h", SSH_PORT, "1"},
    {"-oPort = 1|h", SSH_PORT, "1"},
    {"-oport=1|h", SSH_PORT, "1"},
    {"-o  PORT\t1 |h", SSH_PORT, "1"},
    {"-o ConnectTimeout=30|h", SSH_CONNECT_TIMEOUT, "30"},
    {"-obatchmode yes|h", SSH_BATCH_MODE, "yes"},
    /* the first of them counts */
    {"-p|22|-o|Port=1|h", SSH_PORT, "22"},
    {"-o|Port=1|-p|22|h", SSH_PORT, "1"},
    {"-l|a|b@h", SSH_USER, "a"},
    {"b@h|-l|a", SSH_USER, "b"},
    {"b@h|-oUser=a", SSH_USER, "b"},
    {"-o|User=a|-l|b|h", SSH_USER, "a"},
    {"h|-p|22|-p|23", SSH_PORT, "22"},
    {"h", SSH_PORT, NULL},
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct parsed parsed;
        parse(&parsed, values[i].line);
        if (!parsed.good)
            fail_msg("%s: %s", values[i].line, parsed.message);
        const char *value = parsed.options.value[values[i].which];
        expect(values[i].value == NULL ? value == NULL
                                       : value != NULL && strcmp(value, values[i].value) == 0,
               values[i].line, values[i].value != NULL ? values[i].value : "nothing");
        expect(strcmp(parsed.options.destination, strchr(values[i].line, '@') ? "b@h" : "h") == 0,
               values[i].line, "its host");
        ssh_options_close(&parsed.options);
    }
}

static void test_lists(void **state)
{
    struct parsed parsed;
    (void)state;
    parse(&parsed, "-o|SendEnv=A B*|-o|SendEnv C|-o|SetEnv=\"X=a b\" Y=c|-L|1:h:2|-R|3:h:4|-D|5|"
                   "-o|LocalForward=6 h:7|-o|dynamicforward 8|-o|RemoteForward 9 h:1|-i|a b|"
                   "-oIdentityFile=\"c d\"|h");
    assert_true(parsed.good);
    const struct ssh_words *list = parsed.options.list;
    assert_int_equal(list[SSH_SEND_ENV].count, 3);
    assert_string_equal(list[SSH_SEND_ENV].at[1], "B*");
    assert_int_equal(list[SSH_SET_ENV].count, 2);
    assert_string_equal(list[SSH_SET_ENV].at[0], "X=a b");
    assert_string_equal(list[SSH_SET_ENV].at[1], "Y=c");
    struct parsed quoted;
    parse(&quoted, "-o|SetEnv=A=\"a b\" B='c  d' C=e\\ f D=\\\"g|-o|SetEnv=A=2 AA=3|h");
    assert_true(quoted.good);
    const struct ssh_words *set = &quoted.options.list[SSH_SET_ENV];
    static const char *const variables[] = {"A=a b", "B=c  d", "C=e f", "D=\"g", "AA=3"};
    assert_int_equal(set->count, sizeof variables / sizeof variables[0]);
    for (size_t i = 0; i < set->count; i++)
        assert_string_equal(set->at[i], variables[i]);
    ssh_options_close(&quoted.options);
    assert_int_equal(list[SSH_LOCAL_FORWARD].count, 2);
    assert_string_equal(list[SSH_LOCAL_FORWARD].at[1], "6 h:7");
    assert_int_equal(list[SSH_REMOTE_FORWARD].count, 2);
    assert_int_equal(list[SSH_DYNAMIC_FORWARD].count, 2);
    assert_int_equal(list[SSH_IDENTITY_FILE].count, 2);
    assert_string_equal(list[SSH_IDENTITY_FILE].at[0], "a b");
    assert_string_equal(list[SSH_IDENTITY_FILE].at[1], "c d");
    ssh_options_close(&parsed.options);
}

static void test_flags(void **state)
{
    struct parsed parsed;
    (void)state;
    parse(&parsed, "-GNVsqvv|-E|log|-F|file|-Q|x|-O|check|-W|h:1|h|cmd");
    assert_true(parsed.good);
    const struct ssh_options *options = &parsed.options;
    assert_true(options->show_config && options->no_command && options->show_version &&
                options->subsystem && options->quiet);
    assert_int_equal(options->verbose, 2);
    assert_string_equal(options->log_file, "log");
    assert_string_equal(options->config_file, "file");
    assert_string_equal(options->query, "x");
    assert_string_equal(options->control, "check");
    assert_string_equal(options->stdio_forward, "h:1");
    assert_string_equal(options->words[0], "cmd");
    ssh_options_close(&parsed.options);
}

/* Each is accepted and does nothing; so is what nobody knows. */
static const char *const ignored[] = {"-1",
                                      "-2",
                                      "-a",
                                      "-A",
                                      "-C",
                                      "-k",
                                      "-K",
                                      "-y",
                                      "-c|aes",
                                      "-I|x",
                                      "-m|x",
                                      "-B|lo",
                                      "-P|tag",
                                      "-o|StrictHostKeyChecking=no",
                                      "-o|UserKnownHostsFile=/dev/null",
                                      "-o|GlobalKnownHostsFile=x",
                                      "-o|CheckHostIP=no",
                                      "-o|HostKeyAlias=x",
                                      "-o|UpdateHostKeys=no",
                                      "-o|VisualHostKey=no",
                                      "-o|VerifyHostKeyDNS=no",
                                      "-o|PasswordAuthentication=no",
                                      "-o|KbdInteractiveAuthentication=no",
                                      "-o|ChallengeResponseAuthentication=no",
                                      "-o|PreferredAuthentications=publickey",
                                      "-o|PubkeyAuthentication=yes",
                                      "-o|IdentitiesOnly=yes",
                                      "-o|IdentityAgent=none",
                                      "-o|GSSAPIAuthentication=no",
                                      "-o|Ciphers=x",
                                      "-o|MACs=x",
                                      "-o|KexAlgorithms=x",
                                      "-o|HostKeyAlgorithms=x",
                                      "-o|PubkeyAcceptedKeyTypes=x",
                                      "-o|PubkeyAcceptedAlgorithms=x",
                                      "-o|Compression yes",
                                      "-o|ForwardAgent=no",
                                      "-o|PermitLocalCommand=no",
                                      "-o|IPQoS=x",
                                      "-o|RekeyLimit=x",
                                      "-o|TCPKeepAlive=yes",
                                      "-o|NoSuchThing=1"};

static void test_ignored(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        struct parsed parsed;
        char line[200];
        (void)snprintf(line, sizeof line, "%s|h|cmd", ignored[i]);
        parse(&parsed, line);
        if (!parsed.good)
            fail_msg("%s: %s", line, parsed.message);
        const struct ssh_words *list = parsed.options.list;
        expect(list[SSH_IGNORED].count + list[SSH_UNKNOWN].count == 1, line, "ignored once");
        for (unsigned v = 0; v < SSH_VALUES; v++)
            expect(parsed.options.value[v] == NULL, line, "without an effect");
        assert_string_equal(parsed.options.words[0], "cmd");
        ssh_options_close(&parsed.options);
    }
}

/* ---- where the command begins ---- */

static const struct {
    const char *line;
    const char *destination;
    const char *words;
} commands[] = {
    {"h|a|b  c|-x", "h", "a|b  c|-x"},
    {"h|-p|22|cmd|-p|23", "h", "cmd|-p|23"},
    {"-s|--|h|sftp", "h", "sftp"},
    {"h|-s|sftp", "h", "sftp"},
    {"h|--|exec|perl", "h", "exec|perl"},
    {"h|-n|--|-x", "h", "-x"},
    {"--|h|-n|x", "h", "-n|x"}, /* as OpenSSH: no options behind it */
    {"--|-h|x", "-h", "x"},
    {"h", "h", ""},
    {"h|-", "h", "-"},
    {"-|x", "-", "x"},
};

static void test_commands(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct parsed parsed;
        char joined[LINE_BYTES] = "";
        size_t used = 0;
        parse(&parsed, commands[i].line);
        if (!parsed.good)
            fail_msg("%s: %s", commands[i].line, parsed.message);
        for (char **word = parsed.options.words; *word != NULL; word++)
            used += (size_t)snprintf(joined + used, sizeof joined - used, "%s%s",
                                     used > 0 ? "|" : "", *word);
        assert_string_equal(parsed.options.destination, commands[i].destination);
        assert_string_equal(joined, commands[i].words);
        ssh_options_close(&parsed.options);
    }
}

/* ---- what is wrong ---- */

static const struct {
    const char *line;
    const char *message; /* its beginning */
} wrong[] = {
    {"-Z|h", "unknown option -- Z\nusage: "},
    {"-nZ|h", "unknown option -- Z\nusage: "},
    {"-p", "option requires an argument -- p\nusage: "},
    {"h|-l", "option requires an argument -- l\nusage: "},
    {"-n", "usage: "},
    {"", "usage: "},
    {"-o|ControlPersist", "command-line line 0: no argument after keyword \"controlpersist\""},
    {"-o|ControlPersist=|h", "command-line line 0: no argument after keyword \"controlpersist\""},
    {"-p|0|h", "Bad port '0'"},
    {"-p|65536|h", "Bad port '65536'"},
    {"-p|x|h", "Bad port 'x'"},
    {"-o|Port=-1|h", "command-line line 0: Bad port '-1'"},
    {"-o|RequestTTY=bogus|h", "command-line line 0: unsupported option \"bogus\"."},
    {"-o|ControlMaster=bogus|h", "command-line line 0: unsupported option \"bogus\"."},
    {"-o|LogLevel=debug4|h", "command-line line 0: unsupported option \"debug4\"."},
    {"-o|SessionType=shell|h", "command-line line 0: unsupported option \"shell\"."},
    {"-o|ConnectTimeout=1x|h", "command-line line 0: '1x' is not a value of ConnectTimeout"},
    {"-o|ConnectTimeout=soon|h", "command-line line 0: 'soon' is not a value of ConnectTimeout"},
    {"-o|StdinNull=maybe|h", "command-line line 0: 'maybe' is not a value of StdinNull"},
};

static void test_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct parsed parsed;
        parse(&parsed, wrong[i].line);
        expect(!parsed.good, wrong[i].line, "refused");
        if (strncmp(parsed.message, wrong[i].message, strlen(wrong[i].message)) != 0)
            fail_msg("%s: %s", wrong[i].line, parsed.message);
        /* ansible looks for these, and then gives ssh up. */
        assert_null(strstr(parsed.message, "Bad configuration option"));
        assert_null(strstr(parsed.message, "Usage:"));
        ssh_options_close(&parsed.options);
    }
}

/* ---- destinations ---- */

static const struct {
    const char *line;
    const char *host; /* NULL: it is none */
    const char *user;
    const char *port;
} destinations[] = {
    {"h", "h", NULL, NULL},
    {"u@h", "h", "u", NULL},
    {"u@x@h", "h", "u@x", NULL},
    {"ssh://h", "h", NULL, NULL},
    {"ssh://u@h:22/", "h", "u", "22"},
    {"ssh://u@h/", "h", "u", NULL},
    {"ssh://[::1]:22", "::1", NULL, "22"},
    {"ssh://[::1]", "::1", NULL, NULL},
    {"[::1]", "::1", NULL, NULL},
    {"u@[::1]", "::1", "u", NULL},
    {"::1", "::1", NULL, NULL},
    {"127.0.0.1", "127.0.0.1", NULL, NULL},
    {"tcp://127.0.0.1:7", "tcp://127.0.0.1:7", NULL, "7"},
    {"unix:///s", "unix:///s", NULL, NULL},
    {"tls://h", "tls://h", NULL, NULL},
    {"udp://h:7", "udp://h:7", NULL, "7"},
    {"u@tls://h", "tls://h", "u", NULL},
    {"u@x@tcp://[::1]:7/", "tcp://[::1]:7/", "u@x", "7"},
    {"u@unix:///run/a@tls://b", "unix:///run/a@tls://b", "u", NULL},
    {"unix:///run/a@b:1", "unix:///run/a@b:1", NULL, NULL},
    {"tls://[::1]", "tls://[::1]", NULL, NULL},
    {"-p|23|ssh://h:22", "h", NULL, "23"},
    {"ssh://u@h:22|-p|23|-l|v", "h", "u", "22"},
    {"-p|23|tls://h:22", "tls://h:22", NULL, "23"},
    {"u@tls://h:22|-p|23|-l|v", "tls://h:22", "u", "22"},
    {"tls://h|-p|23|-l|v", "tls://h", "v", "23"},
    {"@tls://h", NULL, NULL, NULL},
    {"tls://h:x", NULL, NULL, NULL},
    {"@h", NULL, NULL, NULL},
    {"u@", NULL, NULL, NULL},
    {"[::1", NULL, NULL, NULL},
    {"[::1]x", NULL, NULL, NULL},
    {"ssh://", NULL, NULL, NULL},
    {"ssh://h:x", NULL, NULL, NULL},
    {"ssh://h:0", NULL, NULL, NULL},
};

static bool is_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void test_destinations(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof destinations / sizeof destinations[0]; i++) {
        struct parsed parsed;
        const char *line = destinations[i].line;
        parse(&parsed, line);
        bool good = parsed.good;
        expect(good == (destinations[i].host != NULL), line, "judged as it should be");
        if (good) {
            expect(is_same(parsed.destination.host, destinations[i].host), line, "its host");
            expect(is_same(parsed.options.value[SSH_USER], destinations[i].user), line, "its user");
            expect(is_same(parsed.options.value[SSH_PORT], destinations[i].port), line, "its port");
        } else {
            expect(parsed.message[0] != '\0', line, "explained");
        }
        ssh_options_close(&parsed.options);
    }
}

static void test_urls(void **state)
{
    char url[SSH_URL_BYTES];
    (void)state;
    assert_true(ssh_destination_url(url, "h", NULL));
    assert_string_equal(url, "tls://h");
    assert_true(ssh_destination_url(url, "h", "22"));
    assert_string_equal(url, "tls://h:22");
    assert_true(ssh_destination_url(url, "::1", "22"));
    assert_string_equal(url, "tls://[::1]:22");
    static const char *const replaced[][3] = {
        {"tls://h", "22", "tls://h:22"},
        {"tls://h:1", "22", "tls://h:22"},
        {"h:1", "22", "h:22"},
        {"h", NULL, "h"},
        {"tcp://[::1]:1", "22", "tcp://[::1]:22"},
        {"tcp://[::1]", "22", "tcp://[::1]:22"},
        {"unix:///s", "22", "unix:///s"},
        {"tcp://h:1?protocol=afar", NULL, "tcp://h:1?protocol=afar"}};
    for (size_t i = 0; i < sizeof replaced / sizeof replaced[0]; i++) {
        assert_true(ssh_destination_replace(url, replaced[i][0], replaced[i][1]));
        assert_string_equal(url, replaced[i][2]);
    }
}

/* ---- the file of -F ---- */

static void test_config_file(void **state)
{
    static const char file[] = "# comment\n"
                               "Port 1000 # comment\n"
                               "Host web* !web3 #db\n"
                               "  HostName %h.example\n"
                               "\tUser = ann\r\n"
                               "  SendEnv LANG LC_*\n"
                               "  ProxyCommand nc %h %p\n"
                               "Match all\n"
                               "  User nobody\n"
                               "Host db\n"
                               "  User \"dba #1\" # 3\n"
                               "  ConnectTimeout 5\n"
                               "Host *\n"
                               "  User other\n";
    static const struct {
        const char *host;
        const char *user;
        const char *timeout;
    } cases[] = {{"web1", "ann", NULL}, {"web3", "other", NULL}, {"db", "dba #1", "5"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed parsed;
        char text[sizeof file];
        memcpy(text, file, sizeof file);
        parse(&parsed, "h");
        assert_true(ssh_config_apply(&parsed.options, text, "file", cases[i].host, parsed.message));
        assert_string_equal(parsed.options.value[SSH_USER], cases[i].user);
        assert_true(is_same(parsed.options.value[SSH_CONNECT_TIMEOUT], cases[i].timeout));
        assert_string_equal(parsed.options.value[SSH_PORT], "1000");
        assert_null(parsed.options.value[SSH_PROXY_COMMAND]); /* sshd's */
        ssh_options_close(&parsed.options);
    }
    struct parsed parsed;
    char bad[] = "Host *\nPort x\n";
    parse(&parsed, "h");
    assert_false(ssh_config_apply(&parsed.options, bad, "file", "h", parsed.message));
    assert_string_equal(parsed.message, "file line 2: Bad port 'x'");
    assert_false(ssh_config_read(&parsed.options, "/nonexistent", "h", parsed.message));
    assert_true(ssh_config_read(&parsed.options, "none", "h", parsed.message));
    ssh_options_close(&parsed.options);
}

static void test_identity_path(void **state)
{
    static const char *const table[][2] = {{"~/key", "/home/ann/key"},
                                           {"%d/key", "/home/ann/key"},
                                           {"~", "/home/ann"},
                                           {"a~/key", "a~/key"},
                                           {"~no-such-user/key", "~no-such-user/key"},
                                           {"~root/key", "/root/key"},
                                           {"~root", "/root"},
                                           {"a/~root", "a/~root"},
                                           {"%h-%n-%p-%r-%k", "h.example-h-7421-ann-h"},
                                           {"${SSH_TEST}/${SSH_NONE}${", "value/${"},
                                           {"$SSH_TEST", "$SSH_TEST"},
                                           {"/100%%", "/100%"},
                                           {"%x%", "%x%"},
                                           {"/%d%d", "//home/ann/home/ann"},
                                           {"", ""}};
    struct ssh_run *run = calloc(1, sizeof *run);
    (void)state;
    assert_non_null(run);
    (void)strcpy(run->url, "tls://h.example:7421");
    (void)strcpy(run->destination.host, "h");
    run->options.value[SSH_USER] = (char[]){"ann"};
    ssh_split_url(run);
    assert_int_equal(setenv("HOME", "/home/ann", 1), 0);
    assert_int_equal(setenv("SSH_TEST", "value", 1), 0);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *path = ssh_identity_path(run, table[i][0]);
        assert_string_equal(path, table[i][1]);
        free(path);
    }
    free(run);
}

/* The first file that can be used is, not the first one. */
static void test_identity_files(void **state)
{
    static const char pem[] = "-----BEGIN PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\n";
    char folder[] = "/tmp/afar-ssh-keys-XXXXXX";
    char path[64];
    struct parsed parsed;
    struct ssh_run *run = calloc(1, sizeof *run);
    (void)state;
    assert_non_null(run);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/good.pem", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(pem, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(setenv("HOME", folder, 1), 0);
    parse(&parsed, "-i|/nonexistent|-i|none|-i|~/good.pem|-i|/dev/null|h");
    assert_true(parsed.good);
    run->options = parsed.options;
    ssh_identity(run);
    assert_string_equal(run->connect.key_file, path);
    assert_string_equal(run->connect.cert_file, path);
    free(run->key_file);
    free(run->cert_file);
    ssh_options_close(&run->options);
    free(run);
    (void)unlink(path);
    (void)rmdir(folder);
}

static void test_control_persist(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"no", 0},
                {"60s", 60000},
                {"90", 90000},
                {"10m", 600000},
                {"1h30m", 5400000},
                {"1D", 86400000},
                {"yes", SHARE_FOREVER_MS},
                {"0", SHARE_FOREVER_MS}};
    static const char *const bad[] = {"", "x", "10x", "m", "1.5h", "-1", "99999999999999w"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t ms = -1;
        assert_true(ssh_share_persist(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms = -1;
        assert_false(ssh_share_persist(bad[i], &ms));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_flags),         cmocka_unit_test(test_ignored),
        cmocka_unit_test(test_commands),      cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_destinations),  cmocka_unit_test(test_urls),
        cmocka_unit_test(test_identity_path), cmocka_unit_test(test_identity_files),
        cmocka_unit_test(test_config_file),   cmocka_unit_test(test_control_persist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
