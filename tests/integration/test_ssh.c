/* `afar ssh` with a real server: what other programs rely on where they call ssh. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/ruled.h"

enum { TEXT_BYTES = 4096 };

static struct afard server;

static int set_up(void **state)
{
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    (void)state;
    afard_start(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

/* Runs `afar ssh WORDS…`, in which "@" is the server. */
static int ssh_at(struct program *program, const char *url, const char *const *words,
                  const char *input)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar", "ssh"};
    size_t used = 2;
    for (; *words != NULL; words++)
        argv[used++] = strcmp(*words, "@") == 0 ? url : *words;
    argv[used] = NULL;
    return program_run(program, argv, input, strlen(input));
}

struct expected {
    const char *const *words;
    const char *input;
    int status;
    const char *out; /* all of standard output */
    const char *err; /* in standard error; "": that is empty */
};

static void expect_at(const char *url, const struct expected *wanted)
{
    struct program program;
    int status = ssh_at(&program, url, wanted->words, wanted->input != NULL ? wanted->input : "");
    bool good = status == wanted->status && strcmp(program.stdout_data, wanted->out) == 0 &&
                (wanted->err[0] == '\0' ? program.stderr_size == 0
                                        : strstr(program.stderr_data, wanted->err) != NULL);
    if (!good)
        fail_msg("%s …: status %d, output '%s', errors '%s'; expected %d, '%s', '%s'",
                 wanted->words[0], status, program.stdout_data, program.stderr_data, wanted->status,
                 wanted->out, wanted->err);
    program_close(&program);
}

#define EXPECT(url, ...) expect_at(url, &(struct expected){__VA_ARGS__})

/* ---- statuses and streams ---- */

static void test_statuses(void **state)
{
    const char *url = server.url[0];
    (void)state;
    EXPECT(url, WORDS("@", "true"), NULL, 0, "", "");
    EXPECT(url, WORDS("@", "exit 1"), NULL, 1, "", "");
    EXPECT(url, WORDS("@", "exit", "124"), NULL, 124, "", "");
    EXPECT(url, WORDS("@", "exit 125"), NULL, 125, "", "");
    EXPECT(url, WORDS("@", "exit 255"), NULL, 255, "", "");
    EXPECT(url, WORDS("@", "kill -9 $$"), NULL, 137, "", "");
    EXPECT(url, WORDS("@", "/nonexistent/x 2>/dev/null"), NULL, 127, "", "");
    EXPECT(url, WORDS("@", "/etc/passwd 2>/dev/null"), NULL, 126, "", "");
    /* What fails here is 255, and said on standard error alone. */
    EXPECT(url, WORDS("tcp://127.0.0.1:1", "true"), NULL, 255, "", "cannot connect");
    EXPECT(url, WORDS("-q", "tcp://127.0.0.1:1", "true"), NULL, 255, "", "");
    EXPECT(url, WORDS("-o", "LogLevel=QUIET", "tcp://127.0.0.1:1", "true"), NULL, 255, "", "");
    EXPECT(url, WORDS("-o", "RequestTTY=bogus", "@", "true"), NULL, 255, "", "unsupported option");
    EXPECT(url, WORDS("-Z", "@"), NULL, 255, "", "unknown option -- Z\nusage: ");
    EXPECT(url, WORDS("-o", "ControlPersist"), NULL, 255, "",
           "command-line line 0: no argument after keyword \"controlpersist\"");
    EXPECT(url, WORDS("-n"), NULL, 255, "", "usage: ");
}

/* Two attempts, and one report. */
static void test_attempts(void **state)
{
    struct program program;
    (void)state;
    assert_int_equal(
        ssh_at(&program, "tcp://127.0.0.1:1", WORDS("-o", "ConnectionAttempts=2", "@", "true"), ""),
        255);
    const char *said = strstr(program.stderr_data, "cannot connect");
    assert_non_null(said);
    assert_null(strstr(said + 1, "cannot connect"));
    program_close(&program);
}

static void test_streams(void **state)
{
    const char *url = server.url[0];
    (void)state;
    EXPECT(url, WORDS("@", "echo", "a  b", "c"), NULL, 0, "a b c\n", "");
    EXPECT(url, WORDS("@", "echo 'a  b'", "|", "tr a-z A-Z"), NULL, 0, "A  B\n", "");
    EXPECT(url, WORDS("@", "cat; echo e >&2"), "in\n", 0, "in\n", "e\n");
    EXPECT(url, WORDS("-n", "@", "cat"), "in\n", 0, "", "");
}

/* Programs call ssh without some of these; what would be written there is thrown away. */
static void test_closed_streams(void **state)
{
    struct program program;
    char line[TEXT_BYTES];
    char path[PROGRAM_TEXT_BYTES];
    (void)state;
    (void)snprintf(line, sizeof line,
                   "exec \"$0\" ssh %s 'cat; echo out; echo err >&2; exit 3' <&- >&-",
                   server.url[0]);
    const char *argv[] = {"/bin/sh", "-c", line, program_path("afar", path), NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 3);
    assert_string_equal(program.stderr_data, "err\n");
    program_close(&program);
}

/* A line that JSON cannot carry, and one that is too long for it. */
static void test_lines(void **state)
{
    static char line[120000];
    struct program program;
    (void)state;
    EXPECT(server.url[0], WORDS("@", "printf '%s' caf\xe9 | od -An -tx1"), NULL, 0,
           " 63 61 66 e9\n", "");
    memset(line, 'a', sizeof line - 1);
    memcpy(line, "echo ", 5);
    assert_int_equal(ssh_at(&program, server.url[0], WORDS("@", line), ""), 0);
    assert_int_equal(program.stdout_size, sizeof line - 5);
    program_close(&program);
}

/* Standard error of the command, where ours goes to a file. */
static void test_log_file(void **state)
{
    char path[] = "/tmp/afar-ssh-log-XXXXXX";
    char text[TEXT_BYTES] = "";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    EXPECT(server.url[0], WORDS("-v", "-E", path, "-o", "NoSuchThing=1", "@", "echo e >&2; exit 4"),
           NULL, 4, "", "e\n");
    assert_true(read(fd, text, sizeof text - 1) > 0);
    (void)close(fd);
    (void)unlink(path);
    assert_non_null(strstr(text, "debug1: NoSuchThing: not known here, ignored\n"));
    assert_null(strstr(text, "e\ne"));
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
        assert_memory_equal(line, "debug1: ", 8);
}

/* ---- where it begins ---- */

static void test_home(void **state)
{
    const struct passwd *entry = getpwuid(geteuid());
    char expected[TEXT_BYTES];
    unsigned port = afard_port(&server, 0);
    struct program program;
    (void)state;
    assert_non_null(entry);
    (void)snprintf(expected, sizeof expected, "%s\n%s %s %s %s\n", entry->pw_dir, entry->pw_dir,
                   entry->pw_name, entry->pw_name, entry->pw_shell);
    EXPECT(server.url[0], WORDS("@", "pwd; echo $HOME $USER $LOGNAME $SHELL; : $PATH"), NULL, 0,
           expected, "");
    assert_int_equal(
        ssh_at(&program, server.url[0], WORDS("@", "echo $SSH_CONNECTION; echo $SSH_CLIENT"), ""),
        0);
    unsigned from = 0;
    unsigned to = 0;
    unsigned again = 0;
    unsigned to_again = 0;
    assert_int_equal(sscanf(program.stdout_data, "127.0.0.1 %u 127.0.0.1 %u\n127.0.0.1 %u %u\n",
                            &from, &to, &again, &to_again),
                     4);
    assert_true(from > 0 && from == again && to == port && to_again == port);
    program_close(&program);
    /* Not to be had by asking for it. */
    assert_int_equal(ssh_at(&program, server.url[0],
                            WORDS("-o", "SetEnv=SSH_CLIENT=x", "@", "echo $SSH_CLIENT"), ""),
                     0);
    assert_null(strchr(program.stdout_data, 'x'));
    program_close(&program);
}

static void test_login(void **state)
{
    struct program program;
    (void)state;
    assert_int_equal(ssh_at(&program, server.url[0], WORDS("-T", "@"), "echo in $0; exit 3\n"), 3);
    assert_non_null(strstr(program.stdout_data, "in -"));
    program_close(&program);
}

static void test_users(void **state)
{
    const struct passwd *entry = getpwuid(geteuid());
    char own[64];
    (void)state;
    assert_non_null(entry);
    (void)snprintf(own, sizeof own, "%s", entry->pw_name);
    EXPECT(server.url[0], WORDS("-l", own, "@", "true"), NULL, 0, "", "");
    EXPECT(server.url[0], WORDS("-o", "User=no-such-user", "@", "echo never"), NULL, 255, "",
           "not as 'no-such-user' (a rule with user = no-such-user is needed)");
}

static void test_environment(void **state)
{
    (void)state;
    assert_int_equal(setenv("AFAR_TEST_ONE", "1", 1), 0);
    assert_int_equal(setenv("AFAR_TEST_TWO", "2", 1), 0);
    EXPECT(server.url[0],
           WORDS("-o", "SendEnv=AFAR_TEST_* NOT_SET", "-o", "SendEnv=-AFAR_TEST_TWO", "-o",
                 "SetEnv=X=y", "@", "echo $AFAR_TEST_ONE,$AFAR_TEST_TWO,$X"),
           NULL, 0, "1,,y\n", "");
    EXPECT(server.url[0], WORDS("@", "echo $AFAR_TEST_ONE"), NULL, 0, "\n", "");
    (void)unsetenv("AFAR_TEST_ONE");
    (void)unsetenv("AFAR_TEST_TWO");
}

/* ---- what needs no server ---- */

static void test_shows(void **state)
{
    const char *url = server.url[0];
    (void)state;
    EXPECT(url, WORDS("-V"), NULL, 0, "", "OpenSSH_");
    EXPECT(url, WORDS("-V", "-p", "1", "h"), NULL, 0, "", "OpenSSH_");
    EXPECT(url, WORDS("-Q", "protocol-version"), NULL, 0, "2\n", "");
    EXPECT(url, WORDS("-Q", "kex"), NULL, 0, "", "");
    EXPECT(url, WORDS("-G", "-o", "SendEnv=GIT_PROTOCOL", "-4", "-p", "22", "me@h"), NULL, 0,
           "user me\nhostname h\nport 22\nbatchmode yes\naddressfamily inet\n"
           "sendenv GIT_PROTOCOL\n",
           "");
    /* The first that is given counts, and the destination gives some too. */
    EXPECT(url, WORDS("-G", "b@h", "-l", "a"), NULL, 0,
           "user b\nhostname h\nport 7420\nbatchmode yes\n", "");
    EXPECT(url, WORDS("-G", "-l", "b", "ssh://h:2", "-p", "3", "-l", "c"), NULL, 0,
           "user b\nhostname h\nport 2\nbatchmode yes\n", "");
    EXPECT(url, WORDS("-G", "b@HosT"), NULL, 0, "user b\nhostname host\nport 7420\nbatchmode yes\n",
           "");
    EXPECT(url, WORDS("-G", "-p", "77", "b@tls://h"), NULL, 0,
           "user b\nhostname h\nport 77\nbatchmode yes\n", "");
    EXPECT(url, WORDS("-G", "b@tls://h:2", "-p", "77"), NULL, 0,
           "user b\nhostname h\nport 2\nbatchmode yes\n", "");
    EXPECT(url, WORDS("-o", "ControlPath=\"/a b\"", "-O", "check", "h"), NULL, 255, "",
           "Control socket connect(/a b): No such file or directory\n");
    EXPECT(url, WORDS("-O", "exit", "h"), NULL, 255, "", "No ControlPath");
    EXPECT(url, WORDS("-O", "forward", "h"), NULL, 255, "", "-O forward: forwarding is not");
    EXPECT(url, WORDS("-O", "no", "h"), NULL, 255, "", "Invalid multiplex command.");
}

/* A name of the file of hosts: what it says is what is shown, and its port stands for another
 * HostName too. */
static void test_named(void **state)
{
    char path[] = "/tmp/afar-test-hosts-XXXXXX";
    char expected[TEXT_BYTES];
    const char *url = server.url[0];
    const char *port = strrchr(url, ':') + 1;
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "[named]\nendpoint = tls://10.1.2.3:%s\n", port) > 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(setenv("AFAR_HOSTS", path, 1), 0);
    (void)snprintf(expected, sizeof expected,
                   "user me\nhostname 10.1.2.3\nport %s\nbatchmode yes\n", port);
    EXPECT(url, WORDS("-G", "me@named"), NULL, 0, expected, "");
    (void)snprintf(expected, sizeof expected,
                   "user me\nhostname 10.4.5.6\nport %s\nbatchmode yes\n", port);
    EXPECT(url, WORDS("-G", "-o", "HostName=10.4.5.6", "me@named"), NULL, 0, expected, "");
    EXPECT(url, WORDS("-G", "-p", "77", "me@named"), NULL, 0,
           "user me\nhostname 10.1.2.3\nport 77\nbatchmode yes\n", "");
    (void)unsetenv("AFAR_HOSTS");
    (void)unlink(path);
}

static void test_refusals(void **state)
{
    const char *url = server.url[0];
    (void)state;
    EXPECT(url, WORDS("-R", "1:h:2", "@", "true"), NULL, 255, "", "afar: -R: forwarding from");
    EXPECT(url, WORDS("-w", "0", "@", "true"), NULL, 255, "", "afar: -w: a tunnel device is not");
    EXPECT(url, WORDS("-o", "ClearAllForwardings=yes", "-L", "1:h:2", "@", "true"), NULL, 0, "",
           "");
    EXPECT(url, WORDS("-W", "h:1", "@"), NULL, 255, "", "stdio forwarding failed");
    EXPECT(url, WORDS("-o", "ProxyCommand=none", "-o", "ProxyJump=none", "@", "true"), NULL, 0, "",
           "");
    EXPECT(url, WORDS("@", "-s", "nothing"), NULL, 255, "",
           "subsystem request failed on channel 0");
    EXPECT(url, WORDS("-o", "RemoteCommand=true", "@", "true"), NULL, 255, "",
           "Cannot execute command-line and remote command.");
    EXPECT(url, WORDS("-o", "RemoteCommand=echo x", "@"), NULL, 0, "x\n", "");
    EXPECT(url, WORDS("-f", "@"), NULL, 255, "", "Cannot fork into background");
}

/* By the streams of a program, whose words say where it is to lead. */
static void test_proxy_command(void **state)
{
    char command[TEXT_BYTES];
    struct program program;
    (void)state;
    if (program_run(&program, WORDS("sh", "-c", "command -v python3"), "", 0) != 0) {
        program_close(&program);
        print_message("skipped: there is no python3\n");
        skip();
    }
    program_close(&program);
    static const char script[] = "ProxyCommand=python3 -c 'import socket, sys, threading, os\n"
                                 "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
                                 "def up():\n"
                                 "  while True:\n"
                                 "    d = os.read(0, 65536)\n"
                                 "    if not d: break\n"
                                 "    s.sendall(d)\n"
                                 "  s.shutdown(1)\n"
                                 "threading.Thread(target=up, daemon=True).start()\n"
                                 "while True:\n"
                                 "  d = s.recv(65536)\n"
                                 "  if not d: break\n"
                                 "  os.write(1, d)\n"
                                 "' 127.0.0.1 %s";
    (void)snprintf(command, sizeof command, script, "%p");
    EXPECT(server.url[0], WORDS("-o", command, "@", "echo by proxy; exit 6"), NULL, 6, "by proxy\n",
           "");
    EXPECT(server.url[0],
           WORDS("-o", "ProxyCommand=echo %h %p %r %n %% >&2; exit 1", "-l", "u", "tls://[::1]:17",
                 "true"),
           NULL, 255, "", "::1 17 u tls://[::1]:17 %");
    /* No host and no user is code for the shell, or an option for the command. */
    static const char *const hosts[] = {"h;id>&2", "h|id", "`id`", "$(id)", "h&id", "--", "-oX"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        EXPECT(server.url[0], WORDS("-o", "ProxyCommand=echo ran %h >&2", "--", hosts[i], "true"),
               NULL, 255, "", "characters that a shell would obey");
        EXPECT(server.url[0],
               WORDS("-o", "ProxyCommand=echo ran %r >&2", "-l", hosts[i], "h", "true"), NULL, 255,
               "", "characters that a shell would obey");
    }
    EXPECT(server.url[0], WORDS("-o", "ProxyCommand=echo ran %n >&2", "$(id)@h;id", "true"), NULL,
           255, "", "ProxyCommand: 'h;id' has characters");
    EXPECT(server.url[0], WORDS("-o", "ProxyCommand=x %y", "h", "true"), NULL, 255, "",
           "a % that is not");
}

static void test_families(void **state)
{
    (void)state;
    EXPECT(server.url[0], WORDS("-4", "@", "echo x"), NULL, 0, "x\n", "");
    EXPECT(server.url[0], WORDS("-6", "@", "echo x"), NULL, 255, "", "cannot connect");
    EXPECT(server.url[0], WORDS("-b", "127.0.0.9", "@", "echo ${SSH_CLIENT%% *}"), NULL, 0,
           "127.0.0.9\n", "");
    EXPECT(server.url[0], WORDS("-b", "host", "@", "true"), NULL, 255, "",
           "'host' is not an address to connect from");
}

/* The words of SSH_FXP_INIT and of its answer (SFTP version 3). */
static void test_sftp(void **state)
{
    static const char init[] = {0, 0, 0, 5, 1, 0, 0, 0, 3};
    static const char version[] = {2, 0, 0, 0, 3};
    struct program program;
    (void)state;
    const char *argv[] = {"afar", "ssh", server.url[0], "-s", "sftp", NULL};
    assert_int_equal(program_run(&program, argv, init, sizeof init), 0);
    assert_true(program.stdout_size >= 4 + sizeof version);
    assert_memory_equal(program.stdout_data + 4, version, sizeof version);
    assert_int_equal(program.stderr_size, 0);
    program_close(&program);
}

/* pdsh starts its ssh with SIGCHLD blocked, and pdsh, docker and others take ssh from PATH. */
static void test_by_name(void **state)
{
    static const char *const names[] = {"ssh", "afar-ssh"};
    char folder[] = "/tmp/afar-ssh-name-XXXXXX";
    char target[PROGRAM_TEXT_BYTES];
    sigset_t child;
    sigset_t before;
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)program_path("afar", target);
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    assert_int_equal(sigprocmask(SIG_BLOCK, &child, &before), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];
        struct program program;
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(symlink(target, path), 0);
        assert_int_equal(
            program_run(&program, WORDS(path, "-x", server.url[0], "echo x; exit 5"), NULL, 0), 5);
        assert_string_equal(program.stdout_data, "x\n");
        program_close(&program);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- short names ---- */

static void test_hosts(void **state)
{
    char path[] = "/tmp/afar-ssh-hosts-XXXXXX";
    char text[TEXT_BYTES];
    char expected[TEXT_BYTES];
    struct program program;
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    int size = snprintf(text, sizeof text,
                        "[web]\nendpoint = %s\n[as-ann]\nendpoint = %s\nuser = no-such-user\n",
                        server.url[0], server.url[0]);
    assert_int_equal(write(fd, text, (size_t)size), size);
    (void)close(fd);
    assert_int_equal(setenv("AFAR_HOSTS", path, 1), 0);
    EXPECT(server.url[0], WORDS("web", "echo x"), NULL, 0, "x\n", "");
    EXPECT(server.url[0], WORDS("as-ann", "echo x"), NULL, 255, "", "not as 'no-such-user'");
    EXPECT(server.url[0], WORDS("-p", "1", "web", "echo x"), NULL, 255, "", "cannot connect");
    assert_int_equal(program_run(&program, WORDS("afar", "run", "web", "--", "echo", "y"), "", 0),
                     0);
    assert_string_equal(program.stdout_data, "y\n");
    program_close(&program);
    assert_int_equal(program_run(&program, WORDS("afar", "run", "as-ann", "--", "echo"), "", 0),
                     125);
    program_close(&program);
    assert_int_equal(program_run(&program, WORDS("afar", "config", "as-ann"), "", 0), 0);
    (void)snprintf(expected, sizeof expected,
                   "endpoint = %s    ; %s:4\nuser = no-such-user    ; %s:5\n", server.url[0], path,
                   path);
    assert_string_equal(program.stdout_data, expected);
    program_close(&program);
    (void)unsetenv("AFAR_HOSTS");
    (void)unlink(path);
}

/* ---- rules ---- */

static void test_rules(void **state)
{
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled,
               "[allow echo]\nclient = any\ncommand = /bin/echo **\ncommand = /usr/bin/env\n"
               "command = /bin/pwd\nenv = LC_*\n"
               "[allow no]\nclient = any\nmay = kill\n",
               "info");
    const char *url = ruled.afard.url[0];
    /* A line that needs no shell is judged by its words. */
    EXPECT(url, WORDS("@", "echo 'a  b' \"c\" \\$x"), NULL, 0, "a  b c $x\n", "");
    EXPECT(url, WORDS("@", "echo a; id"), NULL, 255, "", "run a shell line");
    EXPECT(url, WORDS("@", "cat /etc/passwd"), NULL, 255, "",
           "run a shell line, or without a shell 'cat'");
    EXPECT(url, WORDS("-T", "@"), "id\n", 255, "", "run a login shell");
    EXPECT(url, WORDS("-l", "no-such-user", "@", "echo"), NULL, 255, "",
           "anything as user 'no-such-user'");
    /* What was sent only if it is allowed is left out; what was set is not. */
    assert_int_equal(setenv("LC_AFAR", "sent", 1), 0);
    assert_int_equal(setenv("XX_AFAR", "left out", 1), 0);
    struct program program;
    assert_int_equal(
        ssh_at(&program, url, WORDS("-o", "SendEnv=LC_AFAR XX_AFAR", "@", "/usr/bin/env"), ""), 0);
    assert_non_null(strstr(program.stdout_data, "LC_AFAR=sent\n"));
    assert_null(strstr(program.stdout_data, "XX_AFAR"));
    assert_non_null(strstr(program.stdout_data, "HOME=/"));
    program_close(&program);
    EXPECT(url, WORDS("-o", "SetEnv=XX_AFAR=1", "@", "/usr/bin/env"), NULL, 255, "",
           "does not let the client set XX_AFAR");
    (void)unsetenv("LC_AFAR");
    (void)unsetenv("XX_AFAR");
    ruled_close(&ruled);
}

static void test_rules_with_shells(void **state)
{
    struct ruled ruled;
    const struct passwd *entry = getpwuid(geteuid());
    char expected[TEXT_BYTES];
    (void)state;
    assert_non_null(entry);
    (void)snprintf(expected, sizeof expected, "%s\n/\n", entry->pw_shell);
    ruled_open(&ruled, "[allow all]\nclient = any\nshell = yes\ncwd = /\n", "info");
    /* The rule's directory wins. */
    EXPECT(ruled.afard.url[0], WORDS("@", "echo $0; pwd"), NULL, 0, expected, "");
    ruled_close(&ruled);
    ruled_open(&ruled,
               "[allow all]\nclient = any\nforce = /bin/sh -c \"echo $AFAR_ORIGINAL_COMMAND\"\n",
               "info");
    EXPECT(ruled.afard.url[0], WORDS("@", "rsync --server . x"), NULL, 0, "rsync --server . x\n",
           "");
    EXPECT(ruled.afard.url[0], WORDS("-T", "@"), NULL, 0, "\n", "");
    ruled_close(&ruled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses),      cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_streams),       cmocka_unit_test(test_closed_streams),
        cmocka_unit_test(test_lines),         cmocka_unit_test(test_log_file),
        cmocka_unit_test(test_home),          cmocka_unit_test(test_login),
        cmocka_unit_test(test_users),         cmocka_unit_test(test_environment),
        cmocka_unit_test(test_shows),         cmocka_unit_test(test_named),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_by_name),
        cmocka_unit_test(test_hosts),         cmocka_unit_test(test_sftp),
        cmocka_unit_test(test_proxy_command), cmocka_unit_test(test_families),
        cmocka_unit_test(test_rules),         cmocka_unit_test(test_rules_with_shells),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
