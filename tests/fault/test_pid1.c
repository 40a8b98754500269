/* afard as PID 1 of a pid namespace, as in a container: all orphans of the namespace come to it. It
 * reaps them, and takes none of them for a command of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/folder.h"
#include "support/raw.h"

enum { MAKERS = 4, ORPHANS_EACH = 2500, CODES = 256 };

static struct program server;
static char url[256];
static const char *const *unshare; /* NULL: it cannot be */

/* Without rights of its own by a user namespace, else as root, else not at all. */
static bool can(const char *const *way)
{
    struct program probe;
    const char *argv[16];
    unsigned count = 0;
    for (; way[count] != NULL; count++)
        argv[count] = way[count];
    argv[count++] = "true";
    argv[count] = NULL;
    int status = program_run(&probe, argv, NULL, 0);
    program_close(&probe);
    return status == 0;
}

static void start(struct program *made, char address[256], const char *const *options)
{
    char path[PROGRAM_TEXT_BYTES];
    const char *argv[24];
    unsigned count = 0;
    for (; unshare[count] != NULL; count++)
        argv[count] = unshare[count];
    argv[count++] = program_path("afard", path);
    argv[count++] = "--listen";
    argv[count++] = "tcp://127.0.0.1:0";
    argv[count++] = "--print-endpoints";
    argv[count++] = "--log-level";
    argv[count++] = "warn";
    for (; *options != NULL; options++)
        argv[count++] = *options;
    argv[count] = NULL;
    program_start(made, argv, NULL);
    program_expect(made, 1, "\n");
    assert_int_equal(sscanf(made->stdout_data, "listening %255s", address), 1);
}

static int set_up(void **state)
{
    (void)state;
    static const char *const user[] = {"unshare", "--user",       "--map-root-user", "--pid",
                                       "--fork",  "--mount-proc", "--kill-child",    NULL};
    static const char *const root[] = {"unshare",      "--pid",        "--fork",
                                       "--mount-proc", "--kill-child", NULL};
    static const char *const none[] = {NULL};
    unshare = can(user) ? user : can(root) ? root : NULL;
    if (unshare != NULL)
        start(&server, url, none);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (unshare != NULL)
        program_close(&server); /* KILL: unshare takes its child along */
    return 0;
}

static void skip_where_it_cannot_be(void)
{
    if (unshare != NULL)
        return;
    print_message("skipped: pid namespaces are not permitted here\n");
    skip();
}

/* Runs a shell line to its end and gives the exit status. */
static int run(const char *line, struct program *program)
{
    const char *argv[] = {"afar", "run", url, "--", "sh", "-c", line, NULL};
    return program_run(program, argv, NULL, 0);
}

static void it_is_pid_1(void **state)
{
    (void)state;
    struct program program;
    skip_where_it_cannot_be();
    assert_int_equal(run("read -r me </proc/1/comm; echo $me $PPID", &program), 0);
    assert_string_equal(program.stdout_data, "afard 1\n");
    program_close(&program);
}

/* Orphans that end at once, now and then one that stays and has to be ended with its job; and pids
 * that are given out again and again. */
static void start_maker(struct program *maker, int code)
{
    char line[512];
    (void)snprintf(line, sizeof line,
                   "i=0; while [ $i -lt %d ]; do (: &); i=$((i + 1)); case $i in\n"
                   "*00) (setsid sleep 1000 >&- 2>&- &);;\n"
                   "*50) (echo 300 >/proc/sys/kernel/ns_last_pid) 2>&-;;\n"
                   "esac; done; echo $i; exit %d",
                   ORPHANS_EACH, code);
    const char *argv[] = {"afar", "run", url, "--", "sh", "-c", line, NULL};
    program_start(maker, argv, NULL);
}

static void expect_code(int fd, unsigned id, unsigned code)
{
    char text[128];
    (void)snprintf(text, sizeof text, "{\"type\":\"exec\",\"v\":1,\"id\":%u,\"shell\":\"exit %u\"}",
                   id, code);
    raw_send_frame(fd, text);
    (void)snprintf(text, sizeof text, "\"outcome\":\"exited\",\"code\":%u,", code);
    for (bool ended = false; !ended;) {
        char *header = raw_read_header(fd, NULL);
        assert_non_null(header);
        ended = strstr(header, "\"started\"") == NULL;
        if (ended && strstr(header, text) == NULL)
            fail_msg("exit %u: %s", code, header);
        free(header);
    }
}

/* It has ended: nothing more is to be read of it without waiting. */
static bool has_ended(struct program *program)
{
    struct pollfd ended = {.fd = program->out, .events = POLLIN};
    return poll(&ended, 1, 0) != 0;
}

static void ten_thousand_orphans(void **state)
{
    (void)state;
    struct program makers[MAKERS];
    struct program look;
    unsigned id = 0;
    unsigned rounds = 0;
    bool ended = false;
    skip_where_it_cannot_be();
    for (int i = 0; i < MAKERS; i++)
        start_maker(&makers[i], 100 + i);
    int fd = raw_connect((uint16_t)atoi(strrchr(url, ':') + 1));
    for (; !ended || rounds < 1; rounds++) {
        for (unsigned code = 0; code < CODES; code++)
            expect_code(fd, ++id, code);
        ended = true;
        for (int i = 0; i < MAKERS; i++)
            ended = ended && has_ended(&makers[i]); /* they print when they are done */
    }
    (void)close(fd);
    for (int i = 0; i < MAKERS; i++) {
        program_finish(&makers[i], NULL, 0);
        assert_int_equal(program_exit_status(&makers[i]), 100 + i);
        assert_int_equal(atoi(makers[i].stdout_data), ORPHANS_EACH);
        program_close(&makers[i]);
    }
    /* Nobody is left but the server and those who look; no zombie either. */
    assert_int_equal(run("n=0; while ps -eo stat=,comm= | grep -qE '^Z|sleep'; do n=$((n + 1)); "
                         "[ $n -lt 400 ] || { ps -ef; exit 5; }; sleep 0.02; done; exit 6",
                         &look),
                     6);
    program_close(&look);
    print_message("%u commands checked meanwhile\n", id);
}

/* A container is stopped: what was kept has its receipt before PID 1 takes all with it. */
static void kept_commands_end_in_order(void **state)
{
    (void)state;
    struct program second;
    struct program client;
    char folder[] = "/tmp/afar-test-pid1-XXXXXX";
    char address[256];
    char state_key[96];
    char receipt[160];
    skip_where_it_cannot_be();
    assert_non_null(mkdtemp(folder));
    (void)snprintf(state_key, sizeof state_key, "state_directory=%s/state", folder);
    const char *options[] = {"--set", state_key, "--set", "drain_ms=0", NULL};
    start(&second, address, options);
    const char *keep[] = {"afar", "run", "-d", "-s", address, "exec sleep 1000", NULL};
    assert_int_equal(program_run(&client, keep, NULL, 0), 0);
    (void)snprintf(receipt, sizeof receipt, "%s/state/jobs/%.32s/receipt", folder,
                   client.stdout_data);
    program_close(&client);
    const char *end[] = {"afar", "run", "-n", "-s", address, "kill -TERM 1", NULL};
    (void)program_run(&client, end, NULL, 0);
    program_close(&client);
    program_finish(&second, NULL, 0);
    assert_int_equal(program_exit_status(&second), 0);
    program_close(&second);
    assert_int_equal(access(receipt, F_OK), 0);
    assert_int_equal(folder_remove(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_pid_1),
        cmocka_unit_test(kept_commands_end_in_order),
        cmocka_unit_test(ten_thousand_orphans),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
