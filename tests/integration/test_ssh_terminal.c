/* `afar ssh` and terminals: when there is one, whose keys are whose, and how it ends. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/ruled.h"
#include "support/terminal.h"

static struct afard server;
static struct terminal person;

static int set_up(void **state)
{
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "kill_grace_ms=300", NULL};
    (void)state;
    (void)setenv("PS1", "@@ ", 1);
    afard_start(&server, args);
    return 0;
}

static int calm(void **state)
{
    (void)state;
    afard_expect_calm(&server);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&server);
}

/* `afar ssh WORDS…` with pipes, in which "@" is the server. */
static void expect(const char *url, const char *const *words, int status, const char *out,
                   const char *err)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar", "ssh"};
    struct program program;
    for (size_t used = 2; *words != NULL; words++)
        argv[used++] = strcmp(*words, "@") == 0 ? url : *words;
    int ended = program_run(&program, argv, "", 0);
    if (ended != status || strcmp(program.stdout_data, out) != 0 ||
        (err[0] == '\0' ? program.stderr_size != 0 : strstr(program.stderr_data, err) == NULL))
        fail_msg("%d, '%s', '%s'; not %d, '%s', '%s'", ended, program.stdout_data,
                 program.stderr_data, status, out, err);
    program_close(&program);
}

/* The same at a terminal. */
static void sit_down(const char *const *words)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar", "ssh"};
    for (size_t used = 2; *words != NULL; words++)
        argv[used++] = strcmp(*words, "@") == 0 ? server.url[0] : *words;
    terminal_start(&person, argv);
}

static void expect_end(int status, const char *last)
{
    assert_int_equal(terminal_finish(&person), status);
    if (strstr(person.text, last) == NULL)
        fail_msg("'%s' is not in: %s", last, person.text);
}

static void without_a_terminal_here(void **state)
{
    const char *url = server.url[0];
    (void)state;
    /* Twice: in any case. */
    expect(url, WORDS("-tt", "@", "test -t 0 && test -t 1 && echo yes"), 0, "yes\r\n", "");
    expect(url, WORDS("-o", "RequestTTY=force", "@", "test -t 0 && echo yes"), 0, "yes\r\n", "");
    /* As sshd(8) says where it is, whatever the client asks for. */
    expect(url,
           WORDS("-tt", "-o", "SetEnv=SSH_TTY=x", "@",
                 "test $SSH_TTY = $(tty) && test $SSH_TTY = $AFAR_TTY && echo same"),
           0, "same\r\n", "");
    expect(url, WORDS("@", "echo ${SSH_TTY-none}"), 0, "none\n", "");
    expect(url, WORDS("-t", "@", "test -t 0 || echo no"), 0, "no\n",
           "Pseudo-terminal will not be allocated because stdin is not a terminal.\n");
    expect(url, WORDS("-q", "-t", "@", "test -t 0 || echo no"), 0, "no\n", "");
    expect(url, WORDS("-o", "RequestTTY=no", "@", "test -t 0 || echo no"), 0, "no\n", "");
    expect(url, WORDS("-e", "abc", "@", "echo"), 255, "", "Bad escape character 'abc'.");
}

/* With rules that have none for this client. */
static void where_there_is_none_to_be_had(void **state)
{
    struct ruled ruled;
    (void)state;
    ruled_open(&ruled, "[allow all]\nclient = any\nshell = yes\npty = no\n", "info");
    const char *url = ruled.afard.url[0];
    expect(url, WORDS("-tt", "@", "test -t 0 || echo no"), 0, "no\n",
           "PTY allocation request failed on channel 0\n");
    expect(url, WORDS("-q", "-tt", "@", "test -t 0 || echo no"), 0, "no\n", "");
    ruled_close(&ruled);
    /* What is refused for another reason is so in its own words, and in no others. */
    ruled_open(&ruled, "[allow all]\nclient = any\ncommand = /bin/echo\n", "info");
    expect(ruled.afard.url[0], WORDS("-tt", "@", "cat /etc/passwd"), 255, "", "'cat'");
    ruled_close(&ruled);
}

static void a_login_shell(void **state)
{
    (void)state;
    sit_down(WORDS("@"));
    terminal_type(&person, "stty size; tty; exit 7\r");
    terminal_await(&person, "/dev/pts/");
    expect_end(7, "closed.\r\n");
    /* Without a terminal: it reads a script. */
    sit_down(WORDS("-T", "@"));
    terminal_type(&person, "test -t 0 || echo n\"\"one\r\004");
    terminal_await(&person, "none\r\n");
    expect_end(0, "");
    assert_null(strstr(person.text, "closed."));
}

static void a_command(void **state)
{
    (void)state;
    sit_down(WORDS("@", "test -t 0 || echo none"));
    expect_end(0, "none\r\n");
    sit_down(WORDS("-t", "@", "echo rea\"\"dy; read x; stty size; exit 3"));
    terminal_await(&person, "ready\r\n");
    terminal_size(&person, 31, 77);
    terminal_type(&person, "\r");
    expect_end(3, "31 77\r\n");
    /* Keys are the command's: Ctrl-C reaches it and not us. */
    sit_down(WORDS("-t", "@", "trap 'echo int; exit 4' INT; echo rea\"\"dy; sleep 60 & wait"));
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "\003");
    expect_end(4, "int\r\n");
}

static void keys_for_us(void **state)
{
    (void)state;
    sit_down(WORDS("-t", "@", "echo rea\"\"dy; sleep 60"));
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "\r~.");
    expect_end(255, "[hung up]");
    sit_down(WORDS("-e", "^]", "-t", "@", "echo rea\"\"dy; sleep 60"));
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "\r~.\r\035.");
    expect_end(255, "[hung up]");
    sit_down(WORDS("-e", "none", "-t", "@", "echo rea\"\"dy; read x; echo \"<$x>\""));
    terminal_await(&person, "ready\r\n");
    terminal_type(&person, "~.\r");
    expect_end(0, "<~.>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(without_a_terminal_here, calm),
        cmocka_unit_test(where_there_is_none_to_be_had),
        cmocka_unit_test_teardown(a_login_shell, calm),
        cmocka_unit_test_teardown(a_command, calm),
        cmocka_unit_test_teardown(keys_for_us, calm),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
