#include "support/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"

enum { DEADLINE_S = 60 };

int64_t test_deadline_ms(void)
{
    const char *sanitizers = getenv("SAN");
    bool slow = (sanitizers != NULL && sanitizers[0] != '\0') || getenv("VALGRIND") != NULL;
    return (slow ? 10 : 1) * (int64_t)DEADLINE_S * 1000;
}

const char *program_path(const char *name, char path[PROGRAM_TEXT_BYTES])
{
    const char *build = getenv("AFAR_BUILD");
    if (strcmp(name, "afar") == 0 || strcmp(name, "afard") == 0)
        (void)snprintf(path, PROGRAM_TEXT_BYTES, "%s/bin/%s",
                       build != NULL ? build : "build/release", name);
    else
        (void)snprintf(path, PROGRAM_TEXT_BYTES, "%s", name);
    return path;
}

static void in_child(const char *const *argv, const char *const *environment, int in, int out,
                     int err)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves no process behind */
    char path[PROGRAM_TEXT_BYTES];
    (void)dup2(in, 0);
    (void)dup2(out, 1);
    (void)dup2(err, 2);
    for (int fd = 3; fd < 1024; fd++)
        (void)close(fd);
    for (; environment != NULL && *environment != NULL; environment++)
        (void)putenv((char *)(uintptr_t)*environment);
    (void)signal(SIGPIPE, SIG_DFL);
    execvp(program_path(argv[0], path), (char *const *)(uintptr_t)argv);
    _exit(127);
}

void program_start(struct program *program, const char *const *argv, const char *const *environment)
{
    int in[2];
    int out[2];
    int err[2];
    *program = (struct program){.in = -1, .out = -1, .err = -1};
    (void)signal(SIGPIPE, SIG_IGN); /* a program may end without reading its input */
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    program->pid = fork();
    assert_true(program->pid >= 0);
    if (program->pid == 0)
        in_child(argv, environment, in[0], out[1], err[1]);
    (void)close(in[0]);
    (void)close(out[1]);
    (void)close(err[1]);
    program->in = in[1];
    program->out = out[0];
    program->err = err[0];
    (void)fcntl(program->in, F_SETFL, O_NONBLOCK);
    (void)fcntl(program->out, F_SETFL, O_NONBLOCK);
    (void)fcntl(program->err, F_SETFL, O_NONBLOCK);
}

/* Reads what is available. */
static void take(int *fd, char **data, size_t *size)
{
    char piece[65536];
    ssize_t got = read(*fd, piece, sizeof piece);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        (void)close(*fd);
        *fd = -1;
        return;
    }
    char *grown = realloc(*data, *size + (size_t)got + 1);
    assert_non_null(grown);
    memcpy(grown + *size, piece, (size_t)got);
    *data = grown;
    *size += (size_t)got;
    grown[*size] = '\0';
}

static void give(struct program *program, const char **input, size_t *size)
{
    ssize_t sent = *size > 0 ? write(program->in, *input, *size) : 0;
    if (sent > 0) {
        *input += sent;
        *size -= (size_t)sent;
    }
    bool gone = sent < 0 && errno != EAGAIN && errno != EINTR;
    if (gone || *size == 0) {
        (void)close(program->in);
        program->in = -1;
    }
}

/* One round of poll. False: the deadline has passed. */
static bool pump(struct program *program, const char **input, size_t *size, int64_t deadline_ms)
{
    struct pollfd polls[3] = {{.fd = program->out, .events = POLLIN},
                              {.fd = program->err, .events = POLLIN},
                              {.fd = input != NULL ? program->in : -1, .events = POLLOUT}};
    int ready = poll(polls, 3, clock_poll_timeout(deadline_ms));
    if (ready == 0)
        return false;
    if (program->out >= 0 && polls[0].revents != 0)
        take(&program->out, &program->stdout_data, &program->stdout_size);
    if (program->err >= 0 && polls[1].revents != 0)
        take(&program->err, &program->stderr_data, &program->stderr_size);
    if (input != NULL && program->in >= 0 && polls[2].revents != 0)
        give(program, input, size);
    return true;
}

static void show(const struct program *program)
{
    print_error("pid %d\nstdout: %.2000s\nstderr: %.4000s\n", (int)program->pid,
                program->stdout_data != NULL ? program->stdout_data : "",
                program->stderr_data != NULL ? program->stderr_data : "");
}

static void wait_for_end(struct program *program, int64_t deadline_ms)
{
    struct rusage usage = {0};
    pid_t pid = 0;
    while (pid == 0) {
        pid = wait4(program->pid, &program->status, WNOHANG, &usage);
        if (pid == 0 && clock_now_ms() > deadline_ms) {
            show(program);
            fail_msg("the program did not end");
        }
        if (pid == 0)
            (void)poll(NULL, 0, 5);
    }
    program->max_rss_kib = usage.ru_maxrss;
    program->ended = true;
}

void program_finish(struct program *program, const void *input, size_t input_size)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    const char *at = input;
    while (program->out >= 0 || program->err >= 0) {
        if (!pump(program, &at, &input_size, deadline_ms)) {
            show(program);
            fail_msg("the program's output did not end");
        }
    }
    if (program->in >= 0)
        (void)close(program->in);
    program->in = -1;
    wait_for_end(program, deadline_ms);
    if (program->stdout_data == NULL)
        program->stdout_data = calloc(1, 1);
    if (program->stderr_data == NULL)
        program->stderr_data = calloc(1, 1);
}

void program_expect(struct program *program, int stream, const char *text)
{
    (void)program_expect_after(program, stream, 0, text);
}

const char *program_expect_after(struct program *program, int stream, size_t offset,
                                 const char *text)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    for (;;) {
        const char *have = stream == 1 ? program->stdout_data : program->stderr_data;
        size_t size = stream == 1 ? program->stdout_size : program->stderr_size;
        const char *found = have == NULL || size < offset ? NULL : strstr(have + offset, text);
        if (found != NULL)
            return found;
        bool open = (stream == 1 ? program->out : program->err) >= 0;
        if (!open || !pump(program, NULL, NULL, deadline_ms)) {
            show(program);
            fail_msg("'%s' did not come", text);
        }
    }
}

int program_exit_status(const struct program *program)
{
    return WIFEXITED(program->status) ? WEXITSTATUS(program->status)
                                      : 128 + WTERMSIG(program->status);
}

int program_run(struct program *program, const char *const *argv, const void *input,
                size_t input_size)
{
    program_start(program, argv, NULL);
    program_finish(program, input, input_size);
    return program_exit_status(program);
}

void program_close(struct program *program)
{
    if (program->pid > 0 && !program->ended) {
        (void)kill(program->pid, SIGKILL);
        (void)waitpid(program->pid, NULL, 0);
    }
    if (program->in >= 0)
        (void)close(program->in);
    if (program->out >= 0)
        (void)close(program->out);
    if (program->err >= 0)
        (void)close(program->err);
    free(program->stdout_data);
    free(program->stderr_data);
    *program = (struct program){.in = -1, .out = -1, .err = -1};
}

void program_expect_run(const char *const *argv, const char *input, int status, const char *out,
                        const char *err)
{
    struct program program;
    int ended = program_run(&program, argv, input, strlen(input));
    if (ended != status || strcmp(program.stdout_data, out) != 0 ||
        strstr(program.stderr_data, err) == NULL || (err[0] == '\0' && program.stderr_size > 0))
        fail_msg("%s %s %s …: status %d, '%s', '%s'; expected %d, '%s', '%s'", argv[1], argv[2],
                 argv[3], ended, program.stdout_data, program.stderr_data, status, out, err);
    program_close(&program);
}
