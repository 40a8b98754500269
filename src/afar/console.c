#include "afar/console.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "afar/report.h"

enum { SIZE_EACH_MS = 50 };

static const struct {
    const char *key; /* after the escape character */
    const char *what;
} help[] = {
    {".", "hang up: the command ends"},
    {"d", "detach (a command that is kept runs on)"},
    {"^Z", "suspend afar"},
    {"s", "state"},
    {"?", "this"},
};

void console_init(struct console *console, const char *host, const struct afar_command *command,
                  bool with_input, int escape_character)
{
    console->host = host;
    console->on = command->pty != NULL || command->with_pty;
    console->own = console->on && with_input && tty_is_there();
    console->start = console->end = 0;
    console->size_changed = console->nudged = console->replays = console->follows = false;
    console->drops = false;
    console->link_fd = -1;
    console->size_from_ms = 0;
    if (console->own) /* avoids system calls otherwise */
        tty_init(&console->tty);
    else
        console->tty = (struct tty){.guard = {.pipe_fd = -1}};
    escape_init(&console->escape, escape_character);
}

void console_follow_only(struct console *console)
{
    tty_init(&console->tty);
    console->follows = true;
}

void console_begin(struct console *console)
{
    if (!console->own || tty_make_raw(&console->tty))
        return;
    report("cannot make the terminal raw, lines are sent as they are entered: %s", strerror(errno));
    console->own = false;
    console->follows = true;
}

void console_leave(struct console *console, bool undo)
{
    tty_restore(&console->tty, undo);
    if (console->follows && undo)
        tty_undo(&console->tty);
    console->follows = console->follows && undo;
}

/* ---- another terminal's screen --------------------------------------------------------------- */

/* Makes the command draw its screen again, which it does when its size changes. */
static void nudge(struct console *console)
{
    console->size_changed = console->nudged = true;
    console->size_from_ms = 0;
}

void console_begin_screen(struct console *console, const char *modes, uint64_t replay)
{
    if (!console->own)
        return;
    (void)snprintf(console->modes, sizeof console->modes, "%s", modes);
    console->replays = true;
    console->replay = replay;
    /* Reset the modes (soft reset), and begin on a clean line. */
    tty_put(&console->tty, "\x1b[!p\x1b[0m\r\x1b[K");
    if (replay == 0)
        nudge(console);
    console_replayed(console, 0);
}

/* How many bytes complete the escape sequence that has begun. */
static size_t rest_of_sequence(const struct console *console, const uint8_t *data, size_t size)
{
    struct term_modes modes = console->tty.modes;
    size_t used = 0;
    while (used < size && !term_modes_at_rest(&modes))
        term_modes_feed(&modes, data + used++, 1);
    return used;
}

size_t console_part(const struct console *console, const void *data, size_t size)
{
    if (!console->replays)
        return size;
    if (console->replay > 0)
        return console->replay < size ? (size_t)console->replay : size;
    return rest_of_sequence(console, data, size);
}

/* The replay may end in the middle of an escape sequence whose rest is still to come; modes written
 * there would turn it into text. */
void console_replayed(struct console *console, uint64_t size)
{
    const bool ended = console->replays && console->replay == 0;
    if (!console->replays)
        return;
    console->replay -= size < console->replay ? size : console->replay;
    if (console->replay > 0)
        return;
    if (!ended)
        nudge(console);
    if (!term_modes_at_rest(&console->tty.modes))
        return;
    console->replays = false;
    tty_put(&console->tty, console->modes);
}

/* ---- keys ------------------------------------------------------------------------------------ */

bool console_wants_keys(const struct console *console)
{
    return console->tty.raw &&
           (console->drops || console->end - console->start < CONSOLE_KEYS_BYTES);
}

static void show_help(const struct console *console)
{
    char name[ESCAPE_NAME_BYTES];
    escape_name(console->escape.character, name);
    tty_say(&console->tty, "[after Enter:");
    for (size_t i = 0; i < sizeof help / sizeof help[0]; i++)
        tty_say(&console->tty, "  %s%-4s%s", name, help[i].key, help[i].what);
    tty_say(&console->tty, "  %s%-4sa '%s']", name, name, name);
}

/* As the kernel measures it, which costs nothing and no time. Writes nothing where it does not:
 * a Unix socket. */
static void put_round_trip(int fd, char *out, size_t size)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    out[0] = '\0';
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_rtt > 0)
        (void)snprintf(out, size, "round trip %u.%u ms; ", (unsigned)info.tcpi_rtt / 1000,
                       (unsigned)info.tcpi_rtt / 100 % 10);
}

static void show_state(const struct console *console)
{
    char host[256];
    char round_trip[64] = "";
    afar_escape(host, sizeof host, console->host, AFAR_ESCAPE_TERMINAL);
    if (!console->drops)
        put_round_trip(console->link_fd, round_trip, sizeof round_trip);
    tty_say(&console->tty, "[%s: %s; %s%zu bytes wait to be sent]", host,
            console->drops ? "not connected, trying to come back" : "connected", round_trip,
            console->end - console->start);
}

void console_tell(const struct console *console, const char *text)
{
    char shown[512];
    if (!console->tty.raw) {
        report("%s", text);
        return;
    }
    afar_escape(shown, sizeof shown, text, AFAR_ESCAPE_TERMINAL);
    if (tty_is_alternate(&console->tty))
        tty_put_last_row(&console->tty, shown);
    else
        tty_say(&console->tty, "[%s]", shown);
}

void console_redraw(struct console *console)
{
    if (console->tty.raw && tty_is_alternate(&console->tty))
        nudge(console);
}

/* All that was read is taken, except while `drops`: then keys wait only up to
 * CONSOLE_KEYS_BYTES. */
static size_t room_for_keys(const struct console *console)
{
    const size_t room = sizeof console->keys - 1 - console->end;
    const size_t waiting = console->end - console->start;
    if (!console->drops)
        return room;
    if (waiting >= CONSOLE_KEYS_BYTES)
        return 0;
    return room < CONSOLE_KEYS_BYTES - waiting ? room : CONSOLE_KEYS_BYTES - waiting;
}

/* True if the command has asked the terminal to mark pastes. */
static bool is_marked(const struct console *console)
{
    return (console->tty.modes.set & TERM_PASTE) != 0;
}

/* Drops keys, but not escape commands. */
static void drop(struct console *console, struct input *input, enum escape_action *action)
{
    char lost[64];
    size_t used = 0;
    const size_t size = input->end - input->start;
    input->start += escape_take(&console->escape, input->data + input->start,
                                size < sizeof lost - 1 ? size : sizeof lost - 1, is_marked(console),
                                lost, &used, action);
    if (used > 0 && input->start == input->end) /* ring once for all that was read */
        tty_ring(&console->tty);
}

enum escape_action console_take(struct console *console, struct input *input)
{
    enum escape_action action = ESCAPE_NOTHING;
    /* The buffer is empty: start at its beginning again. */
    if (console->start == console->end)
        console->start = console->end = 0;
    while (action == ESCAPE_NOTHING && input->start < input->end) {
        const size_t size = input->end - input->start;
        const size_t room = room_for_keys(console);
        size_t used = 0;
        if (room == 0 && !console->drops)
            return ESCAPE_NOTHING;
        if (room == 0)
            drop(console, input, &action);
        else
            input->start +=
                escape_take(&console->escape, input->data + input->start, size < room ? size : room,
                            is_marked(console), console->keys + console->end, &used, &action);
        console->end += used;
        if (action == ESCAPE_HELP)
            show_help(console);
        else if (action == ESCAPE_STATE)
            show_state(console);
        if (action == ESCAPE_HELP || action == ESCAPE_STATE)
            action = ESCAPE_NOTHING;
    }
    /* No key ends the input of a raw terminal: the terminal is gone. */
    return input->ended && action == ESCAPE_NOTHING ? ESCAPE_HANG_UP : action;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

void console_resized(struct console *console)
{
    console->size_changed = console->on;
}

void console_tick(struct console *console, struct afar_client *client, int64_t now_ms)
{
    struct afar_pty pty = AFAR_PTY_INIT();
    if (!console->size_changed || now_ms < console->size_from_ms)
        return;
    tty_size(&pty);
    console->size_changed = console->nudged;
    console->size_from_ms = now_ms + SIZE_EACH_MS;
    /* If the size does not change, the kernel signals nothing. */
    if (console->nudged)
        pty.rows = (uint16_t)(pty.rows > 1 ? pty.rows - 1 : pty.rows + 1);
    console->nudged = false;
    (void)afar_resize(client, &pty, NULL); /* afar_process reports a failure */
}

int console_timeout(const struct console *console, int64_t now_ms)
{
    if (!console->size_changed)
        return -1;
    return console->size_from_ms > now_ms ? (int)(console->size_from_ms - now_ms) : 0;
}

/* ---- stops ----------------------------------------------------------------------------------- */

void console_stop(int number)
{
    sigset_t stop;
    sigset_t before;
    struct sigaction action;
    const struct sigaction plain = {.sa_handler = SIG_DFL};
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, number);
    (void)sigaction(number, &plain, &action);
    (void)sigprocmask(SIG_UNBLOCK, &stop, &before);
    (void)kill(0, number); /* returns when we are continued */
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    (void)sigaction(number, &action, NULL);
}

void console_continued(struct console *console)
{
    bool changed = false;
    if (!console->own || !tty_in_foreground())
        return;
    if (!tty_resume(&console->tty, &changed))
        report("cannot make the terminal raw: %s", strerror(errno));
    if (changed)
        nudge(console);
}
