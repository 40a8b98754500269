#include "support/person.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stdbool.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "support/program.h"

enum { LOOK_EACH_US = 2000 };

void person_serve(struct afard *server)
{
    const char *args[] = {"--listen", "tcp://127.0.0.1:0", "--listen", "tls://localhost:0",
                          "--set",    "kill_grace_ms=300", "--set",    "resume_ms=0",
                          NULL};
    afard_start_tls(server, args);
}

void person_run(const char *url, const char *line, const void *input, size_t input_size, int status,
                struct program *program)
{
    const char *argv[] = {"afar", "run", "-t", url, "--", "sh", "-c", line, NULL};
    int ended = program_run(program, argv, input, input_size);
    if (ended != status)
        fail_msg("%s: status %d: %s %s", line, ended, program->stdout_data, program->stderr_data);
}

void person_expect_output(const char *url, const char *line, const char *input, int status,
                          const char *output)
{
    struct program program;
    person_run(url, line, input, strlen(input), status, &program);
    if (strcmp(program.stdout_data, output) != 0)
        fail_msg("%s: '%s', not '%s'", line, program.stdout_data, output);
    program_close(&program);
}

void person_sit_down(struct terminal *person, const char *url)
{
    char path[PROGRAM_TEXT_BYTES];
    char line[PROGRAM_TEXT_BYTES + 1024];
    const char *argv[] = {"env",    "PS1=@@ ",     "TERM=dumb", "HISTFILE=", "bash",
                          "--norc", "--noprofile", "-i",        NULL};
    terminal_start(person, argv);
    terminal_size(person, 24, 80);
    terminal_await(person, "@@ ");
    (void)snprintf(line, sizeof line, "afar=%s url=%s A=$(stty -g); echo se\"\"t\r",
                   program_path("afar", path), url);
    terminal_type(person, line);
    terminal_await(person, "set\r\n");
    terminal_await(person, "@@ ");
}

void person_start(struct terminal *person, const char *line)
{
    char typed[1024];
    (void)snprintf(typed, sizeof typed, "$afar %s; echo r\"\"c=$?.\r", line);
    terminal_type(person, typed);
}

void person_expect_status(struct terminal *person, int status)
{
    char text[32];
    (void)snprintf(text, sizeof text, "rc=%d.\r\n", status);
    terminal_await(person, text);
    terminal_await(person, "@@ ");
}

void person_expect_in_order(struct terminal *person)
{
    terminal_type(person, "test \"$(stty -g)\" = \"$A\" && echo in or\"\"der\r");
    terminal_await(person, "in order\r\n");
    terminal_await(person, "@@ ");
}

void person_stand_up(struct terminal *person)
{
    person_expect_in_order(person);
    terminal_type(person, "exit\r");
    assert_int_equal(terminal_finish(person), 0);
}

pid_t person_child(const struct terminal *person)
{
    char path[64];
    int pid = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)person->pid,
                   (int)person->pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    (void)fclose(file);
    return (pid_t)pid;
}

/* The first line of a file in /proc of a process, without its newline; "" if there is none. */
static void read_line(pid_t process, const char *file, char *line, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%ld/%s", (long)process, file);
    FILE *from = fopen(path, "re");
    if (from == NULL || fgets(line, (int)size, from) == NULL)
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (from != NULL)
        (void)fclose(from);
}

/* The fields after the name, which may contain anything: state, parent, group, session, terminal,
 * and the foreground group. */
static pid_t foreground_of(pid_t process)
{
    char line[1024];
    read_line(process, "stat", line, sizeof line);
    char *at = strrchr(line, ')');
    for (int field = 0; at != NULL && field < 6; field++)
        at = strchr(at + 1, ' ');
    return at != NULL ? (pid_t)strtol(at + 1, NULL, 10) : -1;
}

void person_expect_foreground(pid_t process, const char *name)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    char found[64] = "";
    while (strcmp(found, name) != 0) {
        if (clock_now_ms() >= deadline_ms)
            fail_msg("'%s' has the terminal, and not '%s'", found, name);
        pid_t leader = foreground_of(process);
        found[0] = '\0';
        if (leader > 0)
            read_line(leader, "comm", found, sizeof found);
        (void)usleep(LOOK_EACH_US);
    }
}
