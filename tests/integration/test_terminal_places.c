/* Terminals where they are not as usual: in another root, in a container whose root cannot be
 * written, without rights, on a devpts of other options, and where there are none. And many of them,
 * of which none must be left. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/folder.h"
#include "support/raw.h"
#include "support/ruled.h"
#include "support/terminal.h"

enum { TERMINALS = 20, SIZES_A_SECOND = 20, SECONDS = 2, LINE_BYTES = 1024 };

/* In the foreground as soon as it has said so: what comes before that is the shell's. */
#define SLEEP "bash -c 'echo be\"\"gin; sleep 1000; :'"
/* The same after `fg`. */
#define READS "bash -c 'trap \"echo co\"\"nt\" CONT; echo be\"\"gin; while :; do read x; done'"

/* ---- another root ---------------------------------------------------------------------------- */

/* A root of bash and sleep, with their libraries and nothing else. False: it cannot be made. */
static bool make_root(const char *folder)
{
    static const char line[] =
        "set -e; cd /; for p in bash sleep; do f=$(command -v $p); mkdir -p $1/bin; "
        "cp -L $f $1/bin/$p; ldd $f | grep -o '/[^ ]*' | while read l; do "
        "mkdir -p $1/${l%/*}; cp -L $l $1/$l; done; done; chmod 755 $1; chroot $1 /bin/bash -c :";
    struct program program;
    const char *argv[] = {"sh", "-c", line, "sh", folder, NULL};
    int status = program_run(&program, argv, NULL, 0);
    program_close(&program);
    return status == 0;
}

/* There is no /dev in it: the terminal was made before, and has no name. Ctrl-Z, fg and Ctrl-C are
 * the kernel's. */
static void a_root_without_devices(void **state)
{
    (void)state;
    static struct terminal person;
    struct ruled ruled;
    char folder[] = "/tmp/afar-test-root-XXXXXX";
    char rules[LINE_BYTES];
    assert_non_null(mkdtemp(folder));
    if (geteuid() != 0 || !make_root(folder)) {
        (void)folder_remove(folder);
        print_message("skipped: no other root can be made here\n");
        skip();
    }
    (void)snprintf(rules, sizeof rules,
                   "[allow jail]\nclient = any\nshell = yes\ncommand = **\nenv = PS1\nuser = "
                   "nobody\nchroot = %s\n",
                   folder);
    ruled_open(&ruled, rules, "info");
    const char *argv[] = {"afar", "run",       "-t",     "-e", "PS1=there:", ruled.afard.url[0],
                          "--",   "/bin/bash", "--norc", "-i", NULL};
    terminal_start(&person, argv);
    terminal_await(&person, "there:");
    assert_null(strstr(person.text, "no job control"));
    terminal_type(&person, "set -m && echo m=$?, tty=${AFAR_TTY-none}\r");
    terminal_await(&person, "m=0, tty=none\r\n");
    terminal_await(&person, "there:");
    terminal_type(&person, READS "\r");
    terminal_await(&person, "begin\r\n");
    terminal_type(&person, "\x1a");
    terminal_await(&person, "Stopped");
    terminal_await(&person, "there:");
    terminal_type(&person, "fg\r");
    terminal_await(&person, "cont\r\n");
    terminal_type(&person, "\x03");
    terminal_await(&person, "there:");
    terminal_type(&person, "echo st=$?.\r");
    terminal_await(&person, "st=130.\r\n");
    terminal_type(&person, "exit 5\r");
    assert_int_equal(terminal_finish(&person), 5);
    ruled_close(&ruled);
    assert_int_equal(folder_remove(folder), 0);
}

/* ---- containers ------------------------------------------------------------------------------ */

/* The root is read-only; what else a container has: a /tmp, a /dev of its own with DEVPTS. */
#define READ_ONLY \
    "set -e; mount --make-rprivate /; mount -o remount,ro,bind /; mount -t tmpfs none /tmp; "
#define OWN_DEVICES                                                                              \
    "mkdir /tmp/d; for i in null zero tty; do touch /tmp/d/$i; mount --bind /dev/$i /tmp/d/$i; " \
    "done; mkdir /tmp/d/pts; mount --rbind /tmp/d /dev; "
#define OWN_TERMINALS(options) \
    "mount -t devpts -o newinstance," options " none /dev/pts; ln -s pts/ptmx /dev/ptmx; "
#define AS_PID_1 "exec \"$@\""

static const char *const without_rights[] = {"unshare",      "--user",       "--map-root-user",
                                             "--mount",      "--pid",        "--fork",
                                             "--mount-proc", "--kill-child", NULL};
static const char *const with_rights[] = {"unshare",      "--mount",      "--pid", "--fork",
                                          "--mount-proc", "--kill-child", NULL};

/* argv: the way into it, its preparation, and what runs there. */
static void put_words(const char **argv, const char *const *way, const char *line,
                      const char *const *words)
{
    size_t used = 0;
    for (; *way != NULL; way++)
        argv[used++] = *way;
    argv[used++] = "sh";
    argv[used++] = "-c";
    argv[used++] = line;
    argv[used++] = "sh";
    for (; *words != NULL; words++)
        argv[used++] = *words;
    argv[used] = NULL;
}

/* False: it cannot be had here, which has been said. */
static bool open_container(struct program *server, char url[256], const char *const *way,
                           const char *line)
{
    char path[PROGRAM_TEXT_BYTES];
    const char *argv[PROGRAM_ARGS_MAX];
    struct program probe;
    put_words(argv, way, line, WORDS("true"));
    int status = program_run(&probe, argv, NULL, 0);
    if (status != 0)
        print_message("skipped: no such container here: %s\n", probe.stderr_data);
    program_close(&probe);
    if (status != 0)
        return false;
    put_words(argv, way, line,
              WORDS(program_path("afard", path), "--listen", "tcp://127.0.0.1:0",
                    "--print-endpoints", "--set", "kill_grace_ms=300", "--set", "resume_ms=0"));
    program_start(server, argv, NULL);
    program_expect(server, 1, "\n");
    assert_int_equal(sscanf(server->stdout_data, "listening %255s", url), 1);
    return true;
}

/* A person at it: job control, the size, and that nothing can be written. */
static void use(const char *url)
{
    static struct terminal person;
    struct program program;
    const char *shell[] = {"afar", "shell", "-q", "-e", "PS1=there:", "-e", "TERM=dumb", url, NULL};
    const char *bash[] = {"afar", "run",  "-t",     "-e", "PS1=there:", url,
                          "--",   "bash", "--norc", "-i", NULL};
    terminal_start_at(&person, bash, 33, 101);
    terminal_await(&person, "there:");
    assert_null(strstr(person.text, "no job control"));
    terminal_type(&person, "stty size; tty; read -r me </proc/1/comm; echo 1=$me.; "
                           "touch /usr/x || echo r\"\"o\r");
    terminal_await(&person, "33 101\r\n/dev/pts/");
    terminal_await(&person, "1=afard.\r\n");
    terminal_await(&person, "ro\r\n");
    terminal_type(&person, SLEEP "\r");
    terminal_await(&person, "begin\r\n");
    terminal_type(&person, "\x1a");
    terminal_await(&person, "Stopped");
    terminal_type(&person, "kill %1; echo hi >$(tty); exit 6\r");
    terminal_await(&person, "hi\r\n");
    assert_int_equal(terminal_finish(&person), 6);
    terminal_start(&person, shell);
    terminal_type(&person, "echo $0 me=$(id -u).; exit 7\r");
    terminal_await(&person, "me=0.\r\n");
    assert_int_equal(terminal_finish(&person), 7);
    /* What its shell has left behind comes to PID 1, which reaps it. */
    static const char line[] = "(setsid true &) ; i=0; while ps -eo stat= | grep -q ^Z; do "
                               "i=$((i+1)); [ $i -lt 400 ] || exit 9; sleep 0.02; done; echo none";
    const char *orphan[] = {"afar", "run", "-t", url, "--", "sh", "-c", line, NULL};
    assert_int_equal(program_run(&program, orphan, NULL, 0), 0);
    assert_string_equal(program.stdout_data, "none\r\n");
    program_close(&program);
}

static void in_container(const char *const *way, const char *line)
{
    struct program server;
    char url[256];
    if (!open_container(&server, url, way, line))
        skip();
    use(url);
    program_close(&server); /* KILL: unshare takes its child along */
}

static void a_container(void **state)
{
    (void)state;
    in_container(with_rights,
                 READ_ONLY OWN_DEVICES OWN_TERMINALS("gid=5,mode=620,ptmxmode=666") AS_PID_1);
}

static void a_container_of_closed_terminals(void **state)
{
    (void)state;
    in_container(with_rights,
                 READ_ONLY OWN_DEVICES OWN_TERMINALS("mode=600,ptmxmode=000") AS_PID_1);
}

static void a_container_without_rights(void **state)
{
    (void)state;
    in_container(without_rights,
                 READ_ONLY OWN_DEVICES OWN_TERMINALS("mode=620,ptmxmode=666") AS_PID_1);
}

/* What cannot be had is said, with what to do about it; and without it the server works. */
static void no_terminals_at_all(void **state)
{
    (void)state;
    struct program server;
    struct program program;
    char url[256];
    if (!open_container(&server, url, with_rights, READ_ONLY OWN_DEVICES AS_PID_1) &&
        !open_container(&server, url, without_rights, READ_ONLY OWN_DEVICES AS_PID_1))
        skip();
    const char *with[] = {"afar", "run", "-t", url, "--", "true", NULL};
    assert_int_equal(program_run(&program, with, NULL, 0), 126);
    assert_non_null(strstr(program.stderr_data, "no terminal: /dev/ptmx is missing; mount devpts"));
    program_close(&program);
    const char *without[] = {"afar", "run", url, "--", "echo", "hi", NULL};
    assert_int_equal(program_run(&program, without, NULL, 0), 0);
    assert_string_equal(program.stdout_data, "hi\n");
    program_close(&program);
    program_close(&server);
}

/* ---- many ------------------------------------------------------------------------------------ */

static unsigned sizes_told(struct afard *server, const int *fds)
{
    unsigned told = 0;
    for (unsigned turn = 0; turn < SIZES_A_SECOND * SECONDS; turn++) {
        int64_t next_ms = clock_deadline_ms(1000 / SIZES_A_SECOND);
        for (unsigned i = 0; i < TERMINALS; i++, told++)
            raw_say(fds[i], "{\"type\":\"resize\",\"id\":1,\"rows\":%u,\"cols\":%u}",
                    20 + turn % 50, 80 + i);
        if (turn == 0)
            assert_true(afard_metric(server, "afard_terminals") == TERMINALS);
        while (clock_now_ms() < next_ms)
            (void)usleep(1000); /* that is the pace, and nothing is waited for */
    }
    return told;
}

/* The last size of all has come to each, and when they have gone nothing is left. */
static void many_that_change_their_size(void **state)
{
    (void)state;
    struct afard server;
    int fds[TERMINALS];
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--http", "tcp://127.0.0.1:0",
                          "--set",    "kill_grace_ms=300", "--set",  "resume_ms=0",
                          NULL};
    afard_start(&server, args);
    for (unsigned i = 0; i < TERMINALS; i++) {
        fds[i] = raw_connect(afard_port(&server, 0));
        raw_say(fds[i], "{\"type\":\"exec\",\"v\":1,\"id\":1,\"shell\":\"read x; stty size\","
                        "\"pty\":{\"rows\":10,\"cols\":20},\"stdin\":\"stream\"}");
        char *header = raw_read_header(fds[i], NULL);
        assert_non_null(strstr(header, "\"started\""));
        free(header);
    }
    unsigned told = sizes_told(&server, fds);
    for (unsigned i = 0; i < TERMINALS; i++) {
        char wanted[32];
        char shown[512] = "";
        bool over = false;
        raw_send_frame_with(fds[i], "{\"type\":\"stdin\",\"id\":1,\"offset\":0,\"size\":1}", "\n",
                            1);
        while (!over) {
            char *payload = NULL;
            char *header = raw_read_header(fds[i], &payload);
            assert_non_null(header);
            over = strstr(header, "{\"type\":\"exit\"") != NULL;
            size_t used = strlen(shown);
            if (payload != NULL)
                (void)snprintf(shown + used, sizeof shown - used, "%s", payload);
            free(payload);
            free(header);
        }
        (void)snprintf(wanted, sizeof wanted, "%u %u\r\n", 20 + (SIZES_A_SECOND * SECONDS - 1) % 50,
                       80 + i);
        if (strstr(shown, wanted) == NULL)
            fail_msg("'%s' is not in '%s'", wanted, shown);
        (void)close(fds[i]);
    }
    assert_true(afard_metric(&server, "afard_terminals") == 0);
    afard_expect_calm(&server);
    print_message("%u sizes for %d terminals\n", told, TERMINALS);
    assert_int_equal(afard_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_root_without_devices),
        cmocka_unit_test(a_container),
        cmocka_unit_test(a_container_of_closed_terminals),
        cmocka_unit_test(a_container_without_rights),
        cmocka_unit_test(no_terminals_at_all),
        cmocka_unit_test(many_that_change_their_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
