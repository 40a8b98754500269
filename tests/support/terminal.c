#include "support/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "support/program.h"

enum { SAID_BYTES = 900 };

void terminal_start(struct terminal *terminal, const char *const *argv)
{
    terminal_start_at(terminal, argv, 0, 0);
}

void terminal_start_at(struct terminal *terminal, const char *const *argv, unsigned short rows,
                       unsigned short cols)
{
    const struct winsize size = {.ws_row = rows, .ws_col = cols};
    char path[PROGRAM_TEXT_BYTES];
    *terminal = (struct terminal){.fd = -1};
    (void)program_path(argv[0], path);
    terminal->pid = forkpty(&terminal->fd, NULL, NULL, &size);
    assert_true(terminal->pid >= 0);
    if (terminal->pid > 0)
        return;
    for (int fd = 3; fd < 1024; fd++)
        (void)close(fd);
    (void)signal(SIGPIPE, SIG_DFL);
    execvp(path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* As much as fits into a message. */
static const char *last_of(const struct terminal *terminal)
{
    return terminal->text + (terminal->size > SAID_BYTES ? terminal->size - SAID_BYTES : 0);
}

static void forget(struct terminal *terminal)
{
    terminal->size = 0;
    terminal->seen = 0;
    terminal->text[0] = '\0';
}

/* False: it has ended (Linux reports EIO). */
static bool take(struct terminal *terminal, int64_t deadline_ms)
{
    struct pollfd watched = {.fd = terminal->fd, .events = POLLIN};
    int ready = poll(&watched, 1, clock_poll_timeout(deadline_ms));
    if (ready < 0 && errno == EINTR)
        return true;
    if (ready <= 0) {
        (void)kill(terminal->pid, SIGKILL);
        fail_msg("nothing more came after: %s", last_of(terminal));
    }
    if (terminal->forgets && terminal->size == sizeof terminal->text - 1)
        forget(terminal);
    size_t room = sizeof terminal->text - 1 - terminal->size;
    assert_true(room > 0);
    ssize_t got = read(terminal->fd, terminal->text + terminal->size, room);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (got <= 0)
        return false;
    terminal->size += (size_t)got;
    terminal->text[terminal->size] = '\0';
    return true;
}

void terminal_expect(struct terminal *terminal, const char *text)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (strstr(terminal->text, text) == NULL) {
        if (!take(terminal, deadline_ms))
            fail_msg("'%s' did not come: %s", text, terminal->text);
    }
}

void terminal_await(struct terminal *terminal, const char *text)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    const char *found = NULL;
    while ((found = strstr(terminal->text + terminal->seen, text)) == NULL) {
        if (!take(terminal, deadline_ms))
            fail_msg("'%s' did not come: %s", text, terminal->text + terminal->seen);
    }
    terminal->seen = (size_t)(found - terminal->text) + strlen(text);
}

void terminal_size(struct terminal *terminal, unsigned short rows, unsigned short cols)
{
    const struct winsize size = {.ws_row = rows, .ws_col = cols};
    assert_int_equal(ioctl(terminal->fd, TIOCSWINSZ, &size), 0);
}

void terminal_close(struct terminal *terminal)
{
    (void)close(terminal->fd);
    terminal->fd = -1;
}

void terminal_type(struct terminal *terminal, const char *keys)
{
    size_t size = strlen(keys);
    assert_int_equal(write(terminal->fd, keys, size), size);
}

size_t terminal_paste_some(struct terminal *terminal, const void *data, size_t size,
                           int64_t idle_ms)
{
    enum { PIECE_BYTES = 4096 };
    const int flags = fcntl(terminal->fd, F_GETFL);
    size_t given = 0;
    int64_t deadline_ms = clock_deadline_ms(idle_ms);
    assert_int_equal(fcntl(terminal->fd, F_SETFL, flags | O_NONBLOCK), 0);
    while (given < size && clock_now_ms() < deadline_ms) {
        struct pollfd watched = {.fd = terminal->fd, .events = POLLIN | POLLOUT};
        if (poll(&watched, 1, clock_poll_timeout(deadline_ms)) <= 0)
            continue;
        if (watched.revents & ~POLLOUT) {
            ssize_t got = read(terminal->fd, terminal->text, sizeof terminal->text - 1);
            if (got <= 0 && errno != EINTR && errno != EAGAIN)
                break;
        }
        const size_t left = size - given;
        ssize_t put = write(terminal->fd, (const char *)data + given,
                            left < PIECE_BYTES ? left : PIECE_BYTES);
        if (put > 0) {
            given += (size_t)put;
            deadline_ms = clock_deadline_ms(idle_ms);
        }
    }
    assert_int_equal(fcntl(terminal->fd, F_SETFL, flags), 0);
    forget(terminal);
    terminal->forgets = true;
    return given;
}

void terminal_paste(struct terminal *terminal, const void *data, size_t size)
{
    size_t given = terminal_paste_some(terminal, data, size, test_deadline_ms());
    if (given != size)
        fail_msg("%zu of %zu bytes were taken", given, size);
}

int terminal_finish(struct terminal *terminal)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    int status = -1;
    while (take(terminal, deadline_ms))
        continue;
    assert_int_equal(waitpid(terminal->pid, &status, 0), terminal->pid);
    (void)close(terminal->fd);
    terminal->fd = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
