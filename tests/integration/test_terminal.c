/* A command on a terminal at the other side, with pipes at this one: what it is born with, its
 * signals, its end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/person.h"
#include "support/process_wait.h"
#include "support/raw.h"
#include "support/ruled.h"

enum { RUNS = 60 };

static struct afard server;

static int set_up(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--set", "kill_grace_ms=300",
                          "--set",    "resume_ms=0",       NULL};
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

/* Reads frames to the one of that type; all their headers and payloads. */
static void read_until(int fd, const char *type, char *text, size_t size)
{
    char last[64];
    size_t used = 0;
    bool there = false;
    (void)snprintf(last, sizeof last, "{\"type\":\"%s\"", type);
    while (!there) {
        char *payload = NULL;
        char *header = raw_read_header(fd, &payload);
        assert_non_null(header);
        there = strncmp(header, last, strlen(last)) == 0;
        used += (size_t)snprintf(text + used, size - used, "%s%s\n", header,
                                 payload != NULL ? payload : "");
        assert_true(used < size);
        free(header);
        free(payload);
    }
}

/* ---- what it is born with -------------------------------------------------------------------- */

static void it_is_a_terminal(void **state)
{
    (void)state;
    person_expect_output(server.url[0], "test -t 0 && test -t 1 && test -t 2 && echo yes >/dev/tty",
                         "", 0, "yes\r\n");
    person_expect_output(server.url[0], "test $AFAR_TTY = $(tty) && echo same", "", 0, "same\r\n");
    person_expect_output(server.url[0], "case $(tty) in /dev/pts/*) echo pts;; esac", "", 0,
                         "pts\r\n");
    person_expect_output(
        server.url[0],
        "ps -o pid=,sid=,tpgid= -p $$ | { read p s t; test $p = $s -a $p = $t && echo leads; }", "",
        0, "leads\r\n");
    person_expect_output(server.url[0], "printf 'a\\nb'; exit 7", "", 7, "a\r\nb");
    person_expect_output(server.url[0], "echo err >&2", "", 0, "err\r\n"); /* there is one stream */
    person_expect_output(server.url[0], "kill -9 $$", "", 137, "");
}

/* No moment in which the size is another: it is asked for first of all. */
static void it_has_a_size_from_the_start(void **state)
{
    (void)state;
    char text[65536];
    int fd = raw_connect(afard_port(&server, 0));
    for (int i = 0; i < RUNS; i++) {
        char frame[256];
        (void)snprintf(frame, sizeof frame,
                       "{\"type\":\"exec\",\"v\":1,\"id\":%d,\"argv\":[\"stty\",\"size\"],"
                       "\"pty\":{\"rows\":%d,\"cols\":101}}",
                       i, i + 1);
        raw_send_frame(fd, frame);
        read_until(fd, "exit", text, sizeof text);
        (void)snprintf(frame, sizeof frame, "%d 101\r\n", i + 1);
        if (strstr(text, frame) == NULL)
            fail_msg("'%s' is not in %s", frame, text);
        assert_non_null(strstr(text, "\"tty\":\"/dev/pts/"));
    }
    (void)close(fd);
    person_expect_output(server.url[0], "stty size", "", 0, "24 80\r\n");
}

/* A size before the start is remembered, and one after the end is nothing. */
static void sizes_at_the_edges(void **state)
{
    (void)state;
    char text[65536];
    int fd = raw_connect(afard_port(&server, 0));
    raw_send_frame(
        fd, "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"sh\",\"-c\",\"read x; stty size\"],"
            "\"pty\":{\"rows\":10,\"cols\":20},\"stdin\":\"stream\"}");
    raw_send_frame(fd, "{\"type\":\"resize\",\"id\":1,\"rows\":30,\"cols\":40}");
    raw_send_frame(fd, "{\"type\":\"resize\",\"id\":1,\"rows\":31,\"cols\":41}");
    raw_send_frame(fd, "{\"type\":\"resize\",\"id\":1,\"rows\":31,\"cols\":70000}");
    read_until(fd, "error", text, sizeof text);
    assert_non_null(strstr(text, "{\"type\":\"error\",\"code\":\"bad_request\""));
    raw_send_frame_with(fd, "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"size\":1}", "\n", 1);
    read_until(fd, "exit", text, sizeof text);
    assert_non_null(strstr(text, "31 41\r\n"));
    raw_send_frame(fd, "{\"type\":\"resize\",\"id\":1,\"rows\":30,\"cols\":40}");
    raw_send_frame(fd, "{\"type\":\"pause\",\"id\":1}");
    /* Nor is it anything to a command without a terminal. */
    raw_send_frame(fd,
                   "{\"type\":\"exec\",\"v\":1,\"id\":2,\"argv\":[\"cat\"],\"stdin\":\"stream\"}");
    raw_send_frame(fd, "{\"type\":\"resize\",\"id\":2,\"rows\":30,\"cols\":40}");
    raw_send_frame(fd, "{\"type\":\"pause\",\"id\":2}");
    raw_send_frame_with(fd, "{\"type\":\"stdin\",\"id\":2,\"offset\":0,\"size\":2,\"eof\":true}",
                        "hi", 2);
    read_until(fd, "exit", text, sizeof text);
    assert_non_null(strstr(text, "\"outcome\":\"exited\",\"code\":0"));
    assert_null(strstr(text, "error"));
    (void)close(fd);
}

/* Who closes the output closes the window, also before there is one. */
static void closing_hangs_up(void **state)
{
    (void)state;
    char text[65536];
    int fd = raw_connect(afard_port(&server, 0));
    for (int i = 0; i < 2; i++) {
        raw_send_frame(fd, i == 0 ? "{\"type\":\"exec\",\"v\":1,\"id\":1,\"pty\":true,"
                                    "\"argv\":[\"sleep\",\"1000\"],\"stdin\":\"stream\"}"
                                  : "{\"type\":\"exec\",\"v\":1,\"id\":1,\"pty\":true,"
                                    "\"argv\":[\"sleep\",\"1001\"]}");
        if (i == 0)
            read_until(fd, "started", text, sizeof text);
        raw_send_frame(fd, "{\"type\":\"close\",\"id\":1,\"stream\":\"stderr\"}");
        read_until(fd, "exit", text, sizeof text);
        assert_non_null(strstr(text, "\"signal\":\"HUP\""));
    }
    (void)close(fd);
}

static void its_environment(void **state)
{
    (void)state;
    struct program program;
    const char *const there[] = {"TERM=xterm-256color",
                                 "COLORTERM=truecolor",
                                 "LANG=xx_YY.UTF-8",
                                 "LC_TIME=xx_YY",
                                 "LC_COLLATE=C",
                                 "LC_ALL=",
                                 NULL};
    const char *argv[] = {"afar",
                          "run",
                          "-t",
                          "-e",
                          "MINE=1",
                          server.url[0],
                          "--",
                          "sh",
                          "-c",
                          "echo $TERM $COLORTERM $LANG ${LC_TIME-none} $LC_COLLATE $MINE "
                          "${LINES-none} ${AFAR_JOB:+job}",
                          NULL};
    program_start(&program, argv, there);
    program_finish(&program, NULL, 0);
    assert_string_equal(program.stdout_data,
                        "xterm-256color truecolor C.UTF-8 none C 1 none job\r\n");
    program_close(&program);
    /* What the user names wins. */
    const char *other[] = {"afar", "run", "-t", "-e",         "TERM=vt100", server.url[0],
                           "--",   "sh",  "-c", "echo $TERM", NULL};
    program_start(&program, other, there);
    program_finish(&program, NULL, 0);
    assert_string_equal(program.stdout_data, "vt100\r\n");
    program_close(&program);
    /* Without a terminal none of it is there: the server has its own. */
    const char *plain[] = {"afar", "run", server.url[0], "--", "sh", "-c", "echo ${COLORTERM-none}",
                           NULL};
    program_start(&program, plain, there);
    program_finish(&program, NULL, 0);
    assert_string_equal(program.stdout_data, "none\n");
    program_close(&program);
}

/* ---- signals and ends ------------------------------------------------------------------------ */

static void signals(void **state)
{
    (void)state;
    static const struct {
        int number;
        int status;
    } table[] = {{SIGINT, 2}, {SIGQUIT, 3}, {SIGTERM, 15}, {SIGUSR1, 10}, {SIGHUP, 125}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct program program;
        const char *argv[] = {"afar",
                              "run",
                              "-t",
                              server.url[0],
                              "--",
                              "sh",
                              "-c",
                              "for s in 2 3 15 10; do trap \"exit $s\" $s; done; echo go; "
                              "while :; do sleep 0.05; done",
                              NULL};
        program_start(&program, argv, NULL);
        program_expect(&program, 1, "go");
        assert_int_equal(kill(program.pid, table[i].number), 0);
        program_finish(&program, NULL, 0);
        assert_int_equal(program_exit_status(&program), table[i].status);
        program_close(&program);
    }
}

/* Whoever goes leaves nothing behind: neither a shell that does not heed TERM, nor its jobs, nor
 * what does not heed HUP. */
static void nothing_outlives_the_client(void **state)
{
    (void)state;
    struct program program;
    char job[64];
    const char *argv[] = {"afar",
                          "run",
                          "-t",
                          server.url[0],
                          "--",
                          "bash",
                          "--norc",
                          "-ic",
                          "nohup sleep 1000 >/dev/null 2>&1 & sleep 1001 & echo job=$AFAR_JOB=; "
                          "trap '' TERM; sleep 1002",
                          NULL};
    program_start(&program, argv, NULL);
    program_expect(&program, 1, "=\r\n");
    const char *id = strstr(program.stdout_data, "job=");
    assert_non_null(id);
    (void)snprintf(job, sizeof job, "AFAR_JOB=%.32s", id + 4);
    assert_int_equal(kill(program.pid, SIGKILL), 0);
    program_close(&program);
    afard_expect_calm(&server);
    assert_int_equal(processes_with(job), 0);
}

/* Who holds the terminal after the command's end is given a moment, and named. */
static void who_holds_it_is_ended(void **state)
{
    (void)state;
    struct program program;
    person_run(server.url[0], "trap '' HUP; sleep 1000 & exit 4", "", 0, 4, &program);
    if (strstr(program.stderr_data, "held its output open and was ended: sleep (pid") == NULL)
        fail_msg("%s", program.stderr_data);
    program_close(&program);
}

/* ---- login shells ---------------------------------------------------------------------------- */

static void a_login_shell(void **state)
{
    (void)state;
    const struct passwd *self = getpwuid(geteuid());
    char expected[512];
    struct program program;
    static const char input[] = "echo $0:$HOME:$PWD:$SHELL; exit 6\n";
    const char *argv[] = {"afar", "shell", server.url[0], NULL};
    if (self == NULL || strstr(self->pw_shell, "nologin") != NULL)
        skip();
    assert_int_equal(program_run(&program, argv, input, sizeof input - 1), 6);
    const char *name = strrchr(self->pw_shell, '/');
    (void)snprintf(expected, sizeof expected, "-%s:", name != NULL ? name + 1 : self->pw_shell);
    assert_non_null(strstr(program.stdout_data, expected));
    assert_non_null(strstr(program.stdout_data, self->pw_dir));
    assert_null(strstr(program.stdout_data, "\r"));
    program_close(&program);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static void rules_decide(void **state)
{
    (void)state;
    struct ruled ruled;
    struct program program;
    ruled_open(&ruled,
               "[allow none]\nclient = any\ncommand = /bin/echo **\npty = no\n"
               "[allow only]\nclient = any\ncommand = /bin/cat **\npty = must\n"
               "[allow forced]\nclient = any\nshell = no\ncommand = /usr/bin/env\n",
               "info");
    assert_int_equal(ruled_run(&ruled, &program, WORDS("-t"), WORDS("/bin/echo", "x")), 125);
    assert_non_null(strstr(program.stderr_data, "rule 'none'"));
    assert_non_null(strstr(program.stderr_data, "does not let the client have a terminal"));
    program_close(&program);
    assert_int_equal(ruled_run(&ruled, &program, NULL, WORDS("/bin/echo", "x")), 0);
    program_close(&program);
    assert_int_equal(ruled_run(&ruled, &program, NULL, WORDS("/bin/cat", "/dev/null")), 125);
    assert_non_null(strstr(program.stderr_data, "wants a terminal: afar run -t"));
    program_close(&program);
    assert_int_equal(ruled_run(&ruled, &program, WORDS("-t"), WORDS("/bin/cat", "/dev/null")), 0);
    program_close(&program);
    const char *shell[] = {"afar", "shell", ruled.afard.url[0], NULL};
    assert_int_equal(program_run(&program, shell, "exit\n", 5), 125);
    assert_non_null(strstr(program.stderr_data, "a login shell"));
    program_close(&program);
    ruled_close(&ruled);
}

static void a_forced_command_takes_the_shells_place(void **state)
{
    (void)state;
    struct ruled ruled;
    struct program program;
    ruled_open(&ruled,
               "[allow forced]\nclient = any\n"
               "force = /bin/sh -c \"echo forced ${AFAR_ORIGINAL_COMMAND-none}.\"\n",
               "info");
    const char *shell[] = {"afar", "shell", ruled.afard.url[0], NULL};
    assert_int_equal(program_run(&program, shell, "", 0), 0);
    assert_string_equal(program.stdout_data, "forced none.\n"); /* as sshd: there was no command */
    program_close(&program);
    ruled_close(&ruled);
}

/* Its user owns it, and nobody else of no privilege can open it. */
static void the_rules_user_owns_it(void **state)
{
    (void)state;
    struct ruled ruled;
    struct program program;
    if (geteuid() != 0)
        skip();
    ruled_open(&ruled, "[allow all]\nclient = any\nshell = yes\ncommand = **\nuser = nobody\n",
               "info");
    const char *owner[] = {"afar", "run",
                           "-t",   "-n",
                           "-s",   ruled.afard.url[0],
                           "--",   "stat -c %U $(tty) && echo ok >$(tty); echo $TERM",
                           NULL};
    const char *const there[] = {"TERM=xterm", NULL};
    program_start(&program, owner, there);
    program_finish(&program, NULL, 0);
    assert_string_equal(program.stdout_data, "nobody\r\nok\r\nxterm\r\n");
    program_close(&program);
    ruled_close(&ruled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(it_is_a_terminal, calm),
        cmocka_unit_test_teardown(it_has_a_size_from_the_start, calm),
        cmocka_unit_test_teardown(sizes_at_the_edges, calm),
        cmocka_unit_test_teardown(closing_hangs_up, calm),
        cmocka_unit_test_teardown(its_environment, calm),
        cmocka_unit_test_teardown(signals, calm),
        cmocka_unit_test_teardown(nothing_outlives_the_client, calm),
        cmocka_unit_test_teardown(who_holds_it_is_ended, calm),
        cmocka_unit_test_teardown(a_login_shell, calm),
        cmocka_unit_test(rules_decide),
        cmocka_unit_test(a_forced_command_takes_the_shells_place),
        cmocka_unit_test(the_rules_user_owns_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
