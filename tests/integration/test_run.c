/* `afar run` as a user meets it: streams, statuses, signals, pipes; over TCP, Unix and TLS alike.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/process_wait.h"

static struct afard server;
static char unix_path[128];
enum { TLS, TCP, UNIX, TRANSPORTS };

static int set_up(void **state)
{
    (void)state;
    char unix_url[160];
    (void)snprintf(unix_path, sizeof unix_path, "/tmp/afar-test-run-%d.sock", (int)getpid());
    (void)snprintf(unix_url, sizeof unix_url, "unix://%s", unix_path);
    const char *args[] = {
        "--listen", "tls://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0", "--listen", unix_url,
        "--set",    "kill_grace_ms=300", "--set",    "linger_ms=300",     NULL};
    afard_start_tls(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    int status = afard_stop(&server);
    return status != 0 || access(unix_path, F_OK) == 0; /* its file is gone with it */
}

/* Runs `afar run OPTIONS URL -- WORDS` and gives the program for a look at its output. */
static int run_with(struct program *program, unsigned transport, const char *const *options,
                    const char *const *words, const void *input, size_t input_size)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar", "run"};
    unsigned count = 2;
    for (; options != NULL && *options != NULL; options++)
        argv[count++] = *options;
    argv[count++] = server.url[transport];
    argv[count++] = "--";
    for (; *words != NULL; words++)
        argv[count++] = *words;
    argv[count] = NULL;
    return program_run(program, argv, input, input_size);
}

static int run(struct program *program, unsigned transport, const char *const *words)
{
    return run_with(program, transport, NULL, words, NULL, 0);
}

/* The same with a shell line. */
static int run_shell(struct program *program, unsigned transport, const char *line)
{
    const char *words[] = {"sh", "-c", line, NULL};
    return run(program, transport, words);
}

static void streams_stay_apart(void **state)
{
    (void)state;
    for (unsigned t = 0; t < TRANSPORTS; t++) {
        struct program program;
        assert_int_equal(run_shell(&program, t, "echo out; echo err >&2; exit 3"), 3);
        assert_string_equal(program.stdout_data, "out\n");
        assert_string_equal(program.stderr_data, "err\n");
        program_close(&program);
    }
}

static void statuses(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int status;
    } cases[] = {{"true", 0},
                 {"false", 1},
                 {"exit 255", 255},
                 {"kill -KILL $$", 137},
                 {"kill -TERM $$", 143},
                 {"kill -SEGV $$", 139}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct program program;
        assert_int_equal(run_shell(&program, TCP, cases[i].line), cases[i].status);
        assert_string_equal(program.stdout_data, "");
        program_close(&program);
    }
}

/* One line on stderr, and the status that shells use for it. */
static void expect_failure(const char *const *options, const char *const *words, int status,
                           const char *text)
{
    struct program program;
    assert_int_equal(run_with(&program, TCP, options, words, NULL, 0), status);
    assert_string_equal(program.stdout_data, "");
    if (strstr(program.stderr_data, text) == NULL)
        fail_msg("'%s' is not in: %s", text, program.stderr_data);
    assert_ptr_equal(strchr(program.stderr_data, '\n'),
                     program.stderr_data + program.stderr_size - 1);
    program_close(&program);
}

static void failures_have_their_statuses(void **state)
{
    (void)state;
    const char *nothing[] = {"no-such-program-here", NULL};
    const char *no_file[] = {"/no/such/file", NULL};
    const char *folder[] = {"/etc", NULL};
    const char *data[] = {"/etc/passwd", NULL};
    const char *sleeper[] = {"sleep", "1000", NULL};
    const char *command[] = {"true", NULL};
    const char *short_time[] = {"--timeout", "200ms", NULL};
    const char *bad_cwd[] = {"--cwd", "/no/such/folder", NULL};
    expect_failure(NULL, nothing, 127, "No such file or directory");
    expect_failure(NULL, no_file, 127, "No such file or directory");
    expect_failure(NULL, folder, 126, "Permission denied");
    expect_failure(NULL, data, 126, "Permission denied");
    expect_failure(short_time, sleeper, 124, "timed out");
    expect_failure(bad_cwd, command, 126, "/no/such/folder");
}

static void a_script_without_interpreter_is_not_given_to_a_shell(void **state)
{
    (void)state;
    char path[] = "/tmp/afar-test-script-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "echo pwned\n", 11), 11);
    assert_int_equal(fchmod(fd, 0700), 0);
    (void)close(fd);
    const char *words[] = {path, NULL};
    expect_failure(NULL, words, 126, "Exec format error");
    (void)unlink(path);
}

/* TERM is ignored, so only KILL after the grace period ends it; and its whole tree. */
static void a_timeout_ends_the_whole_tree(void **state)
{
    (void)state;
    struct program program;
    const char *options[] = {"--timeout", "200ms", NULL};
    const char *words[] = {
        "sh", "-c", "trap '' TERM; setsid sleep 987 & sleep 986 & sleep 985; sleep 984", NULL};
    assert_int_equal(run_with(&program, UNIX, options, words, NULL, 0), 124);
    program_close(&program);
    const char *look[] = {"pgrep", "-f", "^sleep 98[4567]$", NULL};
    assert_int_equal(program_run(&program, look, NULL, 0), 1);
    program_close(&program);
}

static void arguments_arrive_as_they_are(void **state)
{
    (void)state;
    const char *words[] = {
        "printf", "<%s>", "a b", "",  "$HOME `id` 'x' \"y\" \\", "new\nline", "\xff\xfe\x80", "ü€",
        "-n",     "--",   "*",   NULL};
    static const char expected[] =
        "<a b><><$HOME `id` 'x' \"y\" \\><new\nline><\xff\xfe\x80><ü€><-n><--><*>";
    for (unsigned t = 0; t < TRANSPORTS; t++) {
        struct program program;
        assert_int_equal(run(&program, t, words), 0);
        assert_string_equal(program.stdout_data, expected);
        program_close(&program);
    }
}

static void many_arguments_arrive(void **state)
{
    (void)state;
    enum { BYTES = 100000 };
    char *big = malloc(BYTES + 1);
    assert_non_null(big);
    memset(big, 'x', BYTES);
    big[BYTES] = '\0';
    const char *words[] = {"printf", "%s%s%s", big, big, big, NULL};
    struct program program;
    assert_int_equal(run(&program, TLS, words), 0);
    assert_int_equal(program.stdout_size, 3 * BYTES);
    program_close(&program);
    free(big);
}

static void shell_joins_the_words(void **state)
{
    (void)state;
    struct program program;
    const char *options[] = {"-s", NULL};
    const char *words[] = {"echo", "a", "|", "tr", "a", "b", NULL};
    assert_int_equal(run_with(&program, TCP, options, words, NULL, 0), 0);
    assert_string_equal(program.stdout_data, "b\n");
    program_close(&program);
}

static void environment_and_folder(void **state)
{
    (void)state;
    struct program program;
    const char *options[] = {"--env", "AFAR_A=x y", "--env", "AFAR_A=z=\xff",
                             "--cwd", "/usr",       NULL};
    const char *words[] = {"sh", "-c", "echo \"$AFAR_A\"; pwd", NULL};
    assert_int_equal(run_with(&program, TLS, options, words, NULL, 0), 0);
    assert_string_equal(program.stdout_data, "z=\xff\n/usr\n");
    program_close(&program);
}

static void stdin_and_its_end_arrive(void **state)
{
    (void)state;
    enum { BYTES = 3000000 };
    char *input = malloc(BYTES);
    assert_non_null(input);
    for (size_t i = 0; i < BYTES; i++)
        input[i] = (char)(i * 7919 >> 3);
    const char *words[] = {"cat", NULL};
    for (unsigned t = 0; t < TRANSPORTS; t++) {
        struct program program;
        assert_int_equal(run_with(&program, t, NULL, words, input, BYTES), 0);
        assert_int_equal(program.stdout_size, BYTES);
        assert_memory_equal(program.stdout_data, input, BYTES);
        program_close(&program);
    }
    free(input);
}

static void no_stdin(void **state)
{
    (void)state;
    struct program program;
    const char *options[] = {"-n", NULL};
    const char *words[] = {"wc", "-c", NULL};
    assert_int_equal(run_with(&program, TCP, options, words, "hello", 5), 0);
    assert_string_equal(program.stdout_data, "0\n");
    program_close(&program);
}

static void a_command_that_closes_its_input_early(void **state)
{
    (void)state;
    char line[1024];
    struct program program;
    char afar[PROGRAM_TEXT_BYTES];
    (void)snprintf(line, sizeof line, "yes | %.400s run %.400s -- head -n 1",
                   program_path("afar", afar), server.url[TLS]);
    const char *words[] = {"sh", "-c", line, NULL};
    assert_int_equal(program_run(&program, words, NULL, 0), 0);
    assert_string_equal(program.stdout_data, "y\n");
    program_close(&program);
}

/* A reader that leaves ends an endless command, as it would locally. */
static void a_reader_that_leaves(void **state)
{
    (void)state;
    char line[1024];
    struct program program;
    char afar[PROGRAM_TEXT_BYTES];
    (void)snprintf(line, sizeof line, "%.400s run %.400s -- yes | head -n 1",
                   program_path("afar", afar), server.url[TCP]);
    const char *words[] = {"sh", "-c", line, NULL};
    assert_int_equal(program_run(&program, words, NULL, 0), 0);
    assert_string_equal(program.stdout_data, "y\n");
    program_close(&program);
}

static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    char line[1024];
    struct program program;
    char afar[PROGRAM_TEXT_BYTES];
    (void)snprintf(line, sizeof line, "%.400s run %.400s -- echo lost >/dev/full",
                   program_path("afar", afar), server.url[TCP]);
    const char *words[] = {"sh", "-c", line, NULL};
    assert_int_equal(program_run(&program, words, NULL, 0), 125);
    assert_non_null(strstr(program.stderr_data, "No space left"));
    program_close(&program);
}

static void signals_are_passed_on(void **state)
{
    (void)state;
    static const struct {
        int number;
        const char *name;
    } cases[] = {{SIGINT, "INT"},   {SIGTERM, "TERM"}, {SIGHUP, "HUP"},
                 {SIGQUIT, "QUIT"}, {SIGUSR1, "USR1"}, {SIGUSR2, "USR2"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[256];
        struct program program;
        (void)snprintf(line, sizeof line,
                       "trap 'echo got %s; exit 42' %s; echo ready; while :; do sleep 0.05; done",
                       cases[i].name, cases[i].name);
        const char *argv[] = {"afar", "run", server.url[i % TRANSPORTS], "--", "sh", "-c",
                              line,   NULL};
        program_start(&program, argv, NULL);
        program_expect(&program, 1, "ready");
        assert_int_equal(kill(program.pid, cases[i].number), 0);
        program_finish(&program, NULL, 0);
        assert_int_equal(program_exit_status(&program), 42);
        assert_non_null(strstr(program.stdout_data, "got "));
        program_close(&program);
    }
}

static void a_client_that_is_killed_takes_its_command_along(void **state)
{
    (void)state;
    struct program program;
    const char *argv[] = {"afar",
                          "run",
                          "--reconnect",
                          "0",
                          server.url[TLS],
                          "--",
                          "sh",
                          "-c",
                          "echo ready; exec sleep 983",
                          NULL};
    program_start(&program, argv, NULL);
    program_expect(&program, 1, "ready");
    assert_int_equal(kill(program.pid, SIGKILL), 0);
    program_finish(&program, NULL, 0);
    program_close(&program);
    afard_expect_log(&server, "'sh' disconnected");
}

static void json_lines(void **state)
{
    (void)state;
    struct program program;
    const char *options[] = {"--json", "--digest", NULL};
    const char *words[] = {"sh", "-c", "echo hello; printf '\\377' >&2; exit 4", NULL};
    assert_int_equal(run_with(&program, TCP, options, words, NULL, 0), 4);
    const char *check[] = {
        "python3", "-c",
        "import sys,json\n"
        "l=[json.loads(x) for x in sys.stdin]\n"
        "assert l[0]['type']=='started' and len(l[0]['job'])==32, l\n"
        "assert [x['data'] for x in l if x['type']=='stdout']==['hello\\n'], l\n"
        "assert [x['data_base64'] for x in l if x['type']=='stderr']==['/w=='], l\n"
        "e=l[-1]\n"
        "assert e['type']=='exit' and e['outcome']=='exited' and e['code']==4, e\n"
        "assert e['bytes']=={'stdin':0,'stdout':6,'stderr':1}, e\n"
        "assert e['sha256']['stdout'].startswith('5891b5b5'), e\n"
        "assert set(e['timing'])=={'queued_us','spawn_us','run_us','drain_us'}, e\n"
        "assert set(e['usage'])=={'user_us','system_us'}, e\n",
        NULL};
    struct program checker;
    int status = program_run(&checker, check, program.stdout_data, program.stdout_size);
    if (status != 0)
        print_error("%s\n", checker.stderr_data);
    assert_int_equal(status, 0);
    program_close(&checker);
    program_close(&program);
}

static void the_command_inherits_nothing(void **state)
{
    (void)state;
    struct program program;
    /* Asked of a program of its own: a shell blocks signals now and then. */
    const char *masks[] = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL};
    assert_int_equal(run(&program, TLS, masks), 0);
    assert_string_equal(program.stdout_data,
                        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    program_close(&program);
    assert_int_equal(
        run_shell(&program, TLS,
                  "ls -m /proc/$$/fd; ps -o sid=,pgid= -p $$ | "
                  "awk -v me=$$ '{print ($1 == me && $2 == me) ? \"leader\" : \"no\"}'"),
        0);
    assert_string_equal(program.stdout_data, "0, 1, 2\nleader\n");
    program_close(&program);
}

static void ping_says_who_answers(void **state)
{
    (void)state;
    for (unsigned t = 0; t < TRANSPORTS; t++) {
        struct program program;
        const char *argv[] = {"afar", "ping", server.url[t], NULL};
        assert_int_equal(program_run(&program, argv, NULL, 0), 0);
        assert_non_null(strstr(program.stdout_data, "afard 0."));
        program_close(&program);
        const char *json[] = {"afar", "ping", "--json", server.url[t], NULL};
        assert_int_equal(program_run(&program, json, NULL, 0), 0);
        assert_non_null(
            strstr(program.stdout_data,
                   ",\"features\":[\"detach\",\"digest\",\"home\",\"kill\",\"pty\",\"resume\","
                   "\"start_within_ms\",\"subsystem\",\"user\",\"leave\",\"forward\"]}\n"));
        program_close(&program);
    }
}

static void repl_keeps_the_status(void **state)
{
    (void)state;
    struct program program;
    const char *argv[] = {"afar", "repl", server.url[TCP], NULL};
    static const char input[] = "echo one\n\ncd / ; pwd\nexit 7\n";
    assert_int_equal(program_run(&program, argv, input, sizeof input - 1), 7);
    assert_string_equal(program.stdout_data, "one\n/\n"); /* no prompt: not a terminal */
    program_close(&program);
}

/* A script that cannot be read to its end, or that is none, is not a success. */
static void repl_wants_a_script(void **state)
{
    (void)state;
    struct program program;
    char line[1024];
    char afar[PROGRAM_TEXT_BYTES];
    (void)snprintf(line, sizeof line, "%.400s repl %.400s </", program_path("afar", afar),
                   server.url[UNIX]);
    const char *folder[] = {"sh", "-c", line, NULL};
    assert_int_equal(program_run(&program, folder, NULL, 0), 125);
    assert_non_null(strstr(program.stderr_data, "cannot read line 1"));
    program_close(&program);

    const char *argv[] = {"afar", "repl", server.url[UNIX], NULL};
    static const char input[] = "echo one\necho two\0 three\necho four\n";
    assert_int_equal(program_run(&program, argv, input, sizeof input - 1), 125);
    assert_string_equal(program.stdout_data, "one\n");
    assert_non_null(strstr(program.stderr_data, "line 2 contains a NUL byte"));
    program_close(&program);
}

static void the_unix_socket_is_private(void **state)
{
    (void)state;
    struct stat info;
    assert_int_equal(stat(unix_path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

/* As afard.8 says. */
static void a_daemon_that_is_meant_to_stay(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct program program;
        assert_int_equal(program_run(&program,
                                     (const char *const[]){
                                         "afar", "run", "-n", "-s", "--leave", server.url[UNIX],
                                         "setsid -f sh -c 'echo $$; exec sleep 1000 >/dev/null "
                                         "2>&1' | cat",
                                         NULL},
                                     NULL, 0),
                         0);
        pid_t pid = (pid_t)atoi(program.stdout_data);
        assert_non_null(strstr(program.stderr_data, "the command left 1 process running: sleep"));
        program_close(&program);
        assert_true(pid > 1);
        assert_true(process_runs(pid));
        assert_int_equal(kill(pid, SIGKILL), 0);
        expect_process_gone(pid);
    }
}

static void usage_errors(void **state)
{
    (void)state;
    const char *const cases[][4] = {{"afar", "run", NULL},
                                    {"afar", "run", "tcp://127.0.0.1:1", NULL},
                                    {"afar", "dance", NULL},
                                    {"afar", "run", "--no-such-option", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct program program;
        assert_int_equal(program_run(&program, cases[i], NULL, 0), 125);
        assert_non_null(strstr(program.stderr_data, "--help"));
        program_close(&program);
    }
}

static void expect_words(const char *const *argv, int status, const char *out, const char *err)
{
    struct program program;
    assert_int_equal(program_run(&program, argv, NULL, 0), status);
    if ((out != NULL && strstr(program.stdout_data, out) == NULL) ||
        (err != NULL && strstr(program.stderr_data, err) == NULL))
        fail_msg("'%s %s': %s%s", argv[1], argv[2] != NULL ? argv[2] : "", program.stdout_data,
                 program.stderr_data);
    program_close(&program);
}

#define EXPECT_WORDS(status, out, err, ...) \
    expect_words((const char *const[]){"afar", __VA_ARGS__, NULL}, status, out, err)

static void what_was_meant(void **state)
{
    (void)state;
    EXPECT_WORDS(125, NULL, "unknown subcommand 'rn'; did you mean 'run'?", "rn");
    EXPECT_WORDS(125, NULL, "unknown subcommand 'pign'; did you mean 'ping'?", "pign");
    EXPECT_WORDS(125, NULL, "unknown subcommand 'dance'; try", "dance");
    EXPECT_WORDS(125, NULL, "unknown option '--tmeout=5'; did you mean '--timeout'?", "run",
                 "--tmeout=5");
    EXPECT_WORDS(125, NULL, "unknown option '--no-stdn'; did you mean '--no-stdin'?", "run",
                 "--no-stdn");
    EXPECT_WORDS(125, NULL, "unknown option '--wings'; try", "run", "--wings");
    EXPECT_WORDS(125, NULL, "unknown option '-Z'; try", "run", "-Z");
    /* What another subcommand has is not this one's. */
    EXPECT_WORDS(125, NULL, "unknown option '--cuont'; try", "run", "--cuont");
    EXPECT_WORDS(125, NULL, "did you mean '--count'?", "ping", "--cuont");
}

static void help_is_a_subcommand_too(void **state)
{
    (void)state;
    EXPECT_WORDS(0, "usage: afar SUBCOMMAND", NULL, "help");
    EXPECT_WORDS(0, "usage: afar run", NULL, "help", "run");
    EXPECT_WORDS(0, "usage: afar forget", NULL, "help", "forget");
    EXPECT_WORDS(125, NULL, "did you mean 'run'?", "help", "rum");
    EXPECT_WORDS(0, "usage: afar ping", NULL, "ping", "-h");
    EXPECT_WORDS(0, "pong from", NULL, "ping", "-c", "2", server.url[TCP]);
}

/* One word with spaces is a line, to those who know ssh; a program's name it is not. */
static void a_line_without_a_shell(void **state)
{
    (void)state;
    EXPECT_WORDS(127, NULL, "-s has a shell run it as a line", "run", server.url[TCP],
                 "echo hi | wc -c");
    EXPECT_WORDS(127, NULL, "No such file or directory\n", "run", server.url[TCP], "no-such-tool");
    EXPECT_WORDS(127, NULL, "No such file or directory\n", "run", server.url[TCP], "no such tool",
                 "with a word");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_stay_apart),
        cmocka_unit_test(statuses),
        cmocka_unit_test(failures_have_their_statuses),
        cmocka_unit_test(a_script_without_interpreter_is_not_given_to_a_shell),
        cmocka_unit_test(a_timeout_ends_the_whole_tree),
        cmocka_unit_test(arguments_arrive_as_they_are),
        cmocka_unit_test(many_arguments_arrive),
        cmocka_unit_test(shell_joins_the_words),
        cmocka_unit_test(environment_and_folder),
        cmocka_unit_test(stdin_and_its_end_arrive),
        cmocka_unit_test(no_stdin),
        cmocka_unit_test(a_command_that_closes_its_input_early),
        cmocka_unit_test(a_reader_that_leaves),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(signals_are_passed_on),
        cmocka_unit_test(a_client_that_is_killed_takes_its_command_along),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(the_command_inherits_nothing),
        cmocka_unit_test(ping_says_who_answers),
        cmocka_unit_test(repl_keeps_the_status),
        cmocka_unit_test(repl_wants_a_script),
        cmocka_unit_test(the_unix_socket_is_private),
        cmocka_unit_test(a_daemon_that_is_meant_to_stay),
        cmocka_unit_test(usage_errors),
        cmocka_unit_test(what_was_meant),
        cmocka_unit_test(help_is_a_subcommand_too),
        cmocka_unit_test(a_line_without_a_shell),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
