#include "afar/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "wire/pty_text.h"

enum { WRITE_WITHIN_MS = 200, LINE_BYTES = 512 };

bool tty_is_there(void)
{
    return isatty(STDIN_FILENO) == 1;
}

/* ---- what is asked for ----------------------------------------------------------------------- */

/* The value, if the entry is "NAME=value" of this name; else NULL. */
static const char *value_of(const char *entry, const char *name)
{
    size_t length = strlen(name);
    return strncmp(entry, name, length) == 0 && entry[length] == '=' ? entry + length + 1 : NULL;
}

static bool is_locale(const char *entry)
{
    char name[PTY_LOCALE_NAME_BYTES] = "";
    const char *equals = strchr(entry, '=');
    if (equals == NULL || (size_t)(equals - entry) >= sizeof name)
        return false;
    memcpy(name, entry, (size_t)(equals - entry));
    return pty_is_locale_name(name) && pty_is_value(equals + 1);
}

/* Leaves out values that a request cannot have: the user has not asked for them. */
void tty_describe(struct tty_wish *wish, char *const *environment)
{
    size_t count = 0;
    *wish = (struct tty_wish){.pty = AFAR_PTY_INIT()};
    for (char *const *at = environment; at != NULL && *at != NULL; at++) {
        const char *term = value_of(*at, "TERM");
        const char *color = value_of(*at, "COLORTERM");
        if (term != NULL && pty_is_term(term))
            wish->pty.term = term;
        else if (color != NULL && pty_is_value(color))
            wish->pty.color = color;
        else if (count < TTY_LOCALES && is_locale(*at))
            wish->locale[count++] = *at;
    }
    wish->pty.locale = count > 0 ? wish->locale : NULL;
    tty_size(&wish->pty);
}

static bool size_of(int fd, struct winsize *size)
{
    return fd >= 0 && ioctl(fd, TIOCGWINSZ, size) == 0 && size->ws_row > 0 && size->ws_col > 0;
}

void tty_size(struct afar_pty *pty)
{
    struct winsize size = {0};
    if (!size_of(STDOUT_FILENO, &size) && !size_of(STDIN_FILENO, &size)) {
        int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (!size_of(fd, &size))
            size = (struct winsize){0};
        if (fd >= 0)
            (void)close(fd);
    }
    pty->rows = size.ws_row;
    pty->cols = size.ws_col;
    pty->xpixel = size.ws_xpixel;
    pty->ypixel = size.ws_ypixel;
}

/* ---- its mode -------------------------------------------------------------------------------- */

void tty_init(struct tty *tty)
{
    *tty = (struct tty){.shows = isatty(STDOUT_FILENO) == 1, .guard = {.pipe_fd = -1}};
}

bool tty_make_raw(struct tty *tty)
{
    if (tty->raw)
        return true;
    if (tcgetattr(STDIN_FILENO, &tty->before) != 0)
        return false;
    struct termios wanted = tty->before;
    cfmakeraw(&wanted);
    wanted.c_cflag = (wanted.c_cflag & ~(tcflag_t)CSIZE) | CS8;
    tty->ours = wanted;
    /* Before the mode changes, so that it is always restored. */
    if (!guard_start(&tty->guard, STDIN_FILENO, tty->shows ? STDOUT_FILENO : -1, &tty->before,
                     &tty->ours))
        return false;
    guard_note(&tty->guard, tty->modes.set);
    if (!guard_set_mode(STDIN_FILENO, &wanted) || tcgetattr(STDIN_FILENO, &tty->ours) != 0) {
        int failed = errno;
        (void)guard_set_mode(STDIN_FILENO, &tty->before); /* it may be raw in part */
        guard_dismiss(&tty->guard);
        errno = failed;
        return false;
    }
    tty->raw = true;
    return true;
}

/* Standard output may be non-blocking, and may have no reader: gives up after a while. */
static void write_within(const char *text, size_t size)
{
    size_t done = 0;
    while (done < size) {
        struct pollfd ready = {.fd = STDOUT_FILENO, .events = POLLOUT};
        const int count = poll(&ready, 1, WRITE_WITHIN_MS);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return;
        ssize_t written = write(STDOUT_FILENO, text + done, size - done);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return;
        done += written > 0 ? (size_t)written : 0;
    }
}

void tty_restore(struct tty *tty, bool undo)
{
    char text[TERM_MODES_TEXT_BYTES];
    if (!tty->raw)
        return;
    if (undo && tty->shows)
        write_within(text, term_modes_undo(tty->modes.set, text));
    (void)guard_set_mode(STDIN_FILENO, &tty->before);
    tty->raw = false;
    guard_dismiss(&tty->guard);
}

bool tty_in_foreground(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

bool tty_in_background(void)
{
    const pid_t group = tcgetpgrp(STDIN_FILENO);
    return group > 0 && group != getpgrp();
}

bool tty_resume(struct tty *tty, bool *changed)
{
    char text[TERM_MODES_TEXT_BYTES];
    struct termios now;
    *changed = false;
    if (tty->raw && tcgetattr(STDIN_FILENO, &now) == 0 && guard_same_modes(&now, &tty->ours))
        return true;
    *changed = true;
    /* Another program has stopped us, and a shell has changed the mode meanwhile. `before` still
     * holds the mode to restore. */
    if (tty->raw)
        return guard_set_mode(STDIN_FILENO, &tty->ours);
    if (!tty_make_raw(tty))
        return false;
    if (tty->shows)
        write_within(text, term_modes_redo(&tty->modes, text));
    return true;
}

void tty_foresee(struct tty *tty, const void *data, size_t size)
{
    struct term_modes then = tty->modes;
    if (!tty->shows)
        return;
    term_modes_feed(&then, data, size);
    guard_note(&tty->guard, tty->modes.set | then.set);
}

void tty_follow(struct tty *tty, const void *data, size_t size)
{
    if (!tty->shows)
        return;
    term_modes_feed(&tty->modes, data, size);
    guard_note(&tty->guard, tty->modes.set);
}

void tty_put(struct tty *tty, const char *text)
{
    if (!tty->shows)
        return;
    tty_foresee(tty, text, strlen(text));
    write_within(text, strlen(text));
    tty_follow(tty, text, strlen(text));
}

void tty_undo(struct tty *tty)
{
    char text[TERM_MODES_TEXT_BYTES];
    if (tty->shows)
        write_within(text, term_modes_undo(tty->modes.set, text));
    tty->modes = (struct term_modes){0};
}

bool tty_is_alternate(const struct tty *tty)
{
    return term_modes_alternate(tty->modes.set);
}

/* Saves and restores the cursor, its attributes and its origin. The last column stays free, because
 * some terminals would wrap there. */
void tty_put_last_row(const struct tty *tty, const char *text)
{
    char line[LINE_BYTES];
    struct afar_pty size = AFAR_PTY_INIT();
    tty_size(&size);
    if (!tty->shows || size.rows == 0 || size.cols < 2 || !term_modes_at_rest(&tty->modes))
        return;
    int length = snprintf(line, sizeof line,
                          "\x1b"
                          "7\x1b[?6l\x1b[%u;1H\x1b[0;2m%.*s\x1b[0m\x1b[K\x1b"
                          "8",
                          (unsigned)size.rows, (int)size.cols - 1, text);
    if (length > 0 && (size_t)length < sizeof line)
        write_within(line, (size_t)length);
}

void tty_ring(const struct tty *tty)
{
    if (tty->shows && term_modes_at_rest(&tty->modes))
        write_within("\a", 1);
}

/* ---- what we say ----------------------------------------------------------------------------- */

void tty_say(const struct tty *tty, const char *format, ...)
{
    char line[LINE_BYTES];
    char whole[LINE_BYTES + 16];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    int size = tty->raw ? snprintf(whole, sizeof whole, "\r\x1b[K%s\r\n", line)
                        : snprintf(whole, sizeof whole, "%s\n", line);
    ssize_t written = write(STDERR_FILENO, whole, (size_t)size);
    (void)written; /* a failure cannot be reported */
}
