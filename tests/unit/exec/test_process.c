#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/process.h"
#include "exec/spawn.h"

enum { DEADLINE_MS = 60000 };

struct command {
    struct process process;
    struct spawn_result result;
};

static void start(struct command *command, const char *script)
{
    char text[512];
    static char *environment[] = {"PATH=/bin:/usr/bin", NULL};
    (void)snprintf(text, sizeof text, "%s", script);
    char *argv[] = {"sh", "-c", text, NULL};
    const struct spawn_request request = {.argv = argv, .env = environment};
    assert_int_equal(spawn_process(&request, NULL, &command->result, NULL), AFAR_OK);
    command->process = (struct process){.pid = command->result.pid, .pidfd = command->result.pidfd};
}

/* Reads what the command prints until a newline. */
static void read_line(const struct command *command, char *line, size_t size)
{
    size_t used = 0;
    while (used == 0 || line[used - 1] != '\n') {
        struct pollfd wait = {.fd = command->result.stdout_fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, DEADLINE_MS), 1);
        ssize_t got = read(command->result.stdout_fd, line + used, size - 1 - used);
        assert_true(got > 0);
        used += (size_t)got;
    }
    line[used] = '\0';
}

static void reap(struct command *command, struct process_end *end)
{
    struct pollfd wait = {.fd = command->process.pidfd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, DEADLINE_MS), 1);
    assert_int_equal(process_reap(&command->process, end, NULL), AFAR_OK);
    (void)close(command->result.stdout_fd);
    (void)close(command->result.stderr_fd);
}

static bool is_there(int pid)
{
    char path[64];
    char line[256] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    const char *read = fgets(line, sizeof line, file);
    (void)fclose(file);
    return read != NULL && strstr(line, ") Z ") == NULL; /* a zombie is whoever adopted it's */
}

static void wait_until_gone(int pid)
{
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    while (is_there(pid)) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 5);
    }
}

static void ends(void **state)
{
    (void)state;
    struct command command;
    struct process_end end;
    start(&command, "exit 200");
    reap(&command, &end);
    assert_true(end.exited);
    assert_int_equal(end.code, 200);
    start(&command, "kill -USR1 $$");
    reap(&command, &end);
    assert_false(end.exited);
    assert_int_equal(end.signal, SIGUSR1);
    assert_false(end.core_dumped);
}

static void a_running_one_is_not_reaped(void **state)
{
    (void)state;
    struct command command;
    struct process_end end;
    start(&command, "exec sleep 1000");
    assert_int_equal(process_reap(&command.process, &end, NULL), AFAR_EAGAIN);
    assert_true(process_signal_group(command.process.pid, SIGKILL));
    reap(&command, &end);
    assert_int_equal(end.signal, SIGKILL);
}

static void a_strangers_process_is_an_error(void **state)
{
    (void)state;
    struct process stranger = {.pid = 1, .pidfd = -1};
    struct process_end end;
    struct afar_error err;
    assert_int_equal(process_reap(&stranger, &end, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, ECHILD);
}

static void the_group_has_its_background_processes(void **state)
{
    (void)state;
    struct command command;
    struct process_end end;
    char line[64];
    start(&command, "sleep 1000 >/dev/null 2>&1 & echo $!; exit 0");
    read_line(&command, line, sizeof line);
    struct pollfd wait = {.fd = command.process.pidfd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, DEADLINE_MS), 1);
    /* The leader is a zombie now; its group still has its name. */
    assert_true(is_there(atoi(line)));
    assert_true(process_signal_group(command.process.pid, SIGKILL));
    wait_until_gone(atoi(line));
    reap(&command, &end);
    assert_int_equal(end.code, 0);
}

static void whether_it_has_ended(void **state)
{
    (void)state;
    struct command command;
    struct process_end end;
    start(&command, "exec sleep 1000");
    assert_false(process_has_ended(&command.process));
    assert_true(process_signal_group(command.process.pid, SIGKILL));
    struct pollfd wait = {.fd = command.process.pidfd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, DEADLINE_MS), 1);
    assert_true(process_has_ended(&command.process));
    reap(&command, &end); /* it was not reaped by asking */
    assert_int_equal(end.signal, SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends),
        cmocka_unit_test(a_running_one_is_not_reaped),
        cmocka_unit_test(a_strangers_process_is_an_error),
        cmocka_unit_test(the_group_has_its_background_processes),
        cmocka_unit_test(whether_it_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
