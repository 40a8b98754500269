/* How a command's session ends before the command does: signals, a person at the terminal who
 * leaves, a connection that is lost. */
#include "afar/session_internal.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "afar/report.h"

enum {
    INTERRUPTS_MAX = 3, /* INT or TERM that often: the user wants to leave */
    /* So long a server has to answer: that it has taken a request back, which must be over within a
     * second; and any sign of life after a signal. */
    TAKE_BACK_MS = 800,
    PROBE_MS = 5000,
    /* And so long a lost connection is tried for, to deliver one. */
    DELIVER_MS = 5000,
    GOODBYE_MS = 1000, /* one that is there has so long to answer that nobody comes back */
    HANG_UP_MS = 500,  /* likewise, that it ends the command, of which nobody waits for the end */
    PAUSE_MS = 200,    /* to tell it that we stop */
    AWAY_SAY_MS = 2000,
    WATCHED = 5
};

void session_leave(struct session *session)
{
    session->status = session->hanging_up ? session->hung_up : session->failed;
    session->lost = true;
}

int64_t session_now_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- a person goes --------------------------------------------------------------------------- */

static bool is_kept(const struct session *session)
{
    const struct afar_command *command = session->command;
    return command->keep || command->key != NULL || command->job != NULL;
}

/* The terminal is theirs again at once, and the server has a moment to hear of it. */
static void go(struct session *session, int status, const char *how, struct afar_error *err)
{
    char host[256];
    if (session->hanging_up) {
        session_leave(session);
        return;
    }
    console_leave(&session->console, true);
    afar_escape(host, sizeof host, session->remote->host, AFAR_ESCAPE_TERMINAL);
    if (session->console.own && is_kept(session))
        tty_say(&session->console.tty, "[%s: %.12s; afar attach %s %.12s]", how, session->job, host,
                session->job);
    else if (session->console.own)
        tty_say(&session->console.tty, "[%s]", how);
    session->hanging_up = true;
    session->hung_up = status;
    session->hang_up_ms = session_now_ms() + HANG_UP_MS;
    (void)afar_detach(session->client, err); /* its failure is the connection's: afar_process */
}

/* For good; what is kept runs on. */
void session_hang_up(struct session *session, struct afar_error *err)
{
    go(session, session->failed, "hung up", err);
}

void session_detach(struct session *session, struct afar_error *err)
{
    if (is_kept(session))
        go(session, 0, "detached", err);
    else
        tty_say(&session->console.tty, "[it is not kept, and would end; ~. hangs up]");
}

/* For a while. */
void session_suspend(struct session *session, struct afar_error *err)
{
    int64_t until_ms = session_now_ms() + PAUSE_MS;
    if (session->console.own && session->started)
        (void)afar_pause(session->client, err);
    session_process(session, err);
    while (session->status < 0 && !session->again && session_now_ms() < until_ms &&
           (afar_events(session->client) & POLLOUT) != 0) {
        struct pollfd wait = {.fd = afar_fd(session->client), .events = POLLOUT};
        (void)poll(&wait, 1, (int)(until_ms - session_now_ms()));
        session_process(session, err);
    }
    if (session->status >= 0 || session->again)
        return;
    console_leave(&session->console, true);
    console_stop();
    if (session->started)
        console_continued(&session->console);
}

/* ---- signals --------------------------------------------------------------------------------- */

/* The sender wants the program to end. */
static bool ends_programs(int number)
{
    return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
}

/* A command that has not begun shall not begin: a signal for it would be delivered when it has. */
static void take_back(struct session *session, int number, struct afar_error *err)
{
    if (session->taken_back != 0) {
        report("%s: interrupted twice before the command had begun; the connection is closed, "
               "whether the command begins is unknown",
               session->remote->host);
        session_leave(session);
        return;
    }
    session->taken_back = number;
    session->give_up_ms = session_now_ms() + (session->told_away ? DELIVER_MS : TAKE_BACK_MS);
    (void)afar_detach(session->client, err); /* its failure is the connection's: afar_process */
}

/* The server does not answer. A connection that ends takes a request back, too, once it notices. */
void session_check_taken_back(struct session *session)
{
    if (session->hanging_up && session->status < 0 && session_now_ms() >= session->hang_up_ms)
        session_leave(session);
    if (session->taken_back == 0 || session->told_away || session->status >= 0 ||
        session_now_ms() < session->give_up_ms)
        return;
    report("%s: interrupted by %s before the command had begun, and the server does not answer; "
           "whether the command begins is unknown",
           session->remote->host, sigabbrev_np(session->taken_back));
    session_leave(session);
}

/* Nobody waits any longer for what a signal has done to the command; its connection's end will end
 * it. */
void session_check_leaving(struct session *session)
{
    if (session->leaving == 0 || session->status >= 0 || session_now_ms() < session->give_up_ms)
        return;
    if (session->options->channel == NULL)
        report("%s: ended by %s; the connection is closed, and the server ends the command",
               session->remote->host, sigabbrev_np(session->leaving));
    session_leave(session);
}

/* The job is another's, and was waited for long enough. */
void session_check_wait(struct session *session)
{
    if (session->wait_until_ms == 0 || session->status >= 0 ||
        session_now_ms() < session->wait_until_ms)
        return;
    report("job %s has not ended in this time, and runs on", session->command->job);
    session->status = STATUS_TIMED_OUT;
    session->lost = true;
}

static void begin_leaving(struct session *session, int number)
{
    if (session->options->patience_ms == 0 || !ends_programs(number))
        return;
    session->give_up_ms =
        session_now_ms() + (session->leaving != 0 ? 0 : session->options->patience_ms);
    session->leaving = number;
}

static void pass_on(struct session *session, int number, struct afar_error *err)
{
    bool interrupt = number == SIGINT || number == SIGTERM;
    session->interrupts += interrupt ? 1 : 0;
    if (session->interrupts >= INTERRUPTS_MAX) {
        console_leave(&session->console, true);
        report("%s: gave up after %d interrupts; the connection is closed, whether the command "
               "has ended is unknown",
               session->remote->host, INTERRUPTS_MAX);
        session_leave(session);
        return;
    }
    (void)afar_signal(session->client, sigabbrev_np(number), err);
    if (ends_programs(number) && session->told_away && session->give_up_ms == 0)
        session->give_up_ms = session_now_ms() + DELIVER_MS;
    begin_leaving(session, number);
    if (ends_programs(number))
        (void)afar_probe(session->client, PROBE_MS, err);
}

/* The job is another's, and runs on. */
static void leave_job(struct session *session, int number)
{
    if (!ends_programs(number))
        return;
    if (!session->command->watch)
        report("left job %s, which runs on", session->command->job);
    session->status = 128 + number;
    session->lost = true;
}

void session_take_signals(struct session *session, struct afar_error *err)
{
    while (session->status < 0) {
        int number = signals_next(&session->signals);
        if (number == 0)
            return;
        if (number == SIGWINCH)
            console_resized(&session->console);
        else if (number == SIGCONT)
            console_continued(&session->console);
        else if (number == SIGTSTP)
            session_suspend(session, err);
        else if (session->options->stays)
            leave_job(session, number);
        else if (!session->started && ends_programs(number))
            take_back(session, number, err);
        else if (number == SIGHUP && session->console.on)
            session_hang_up(session, err);
        else
            pass_on(session, number, err);
    }
}

/* ---- a lost connection ----------------------------------------------------------------------- */

static void say_presence(struct session *session, bool away)
{
    char text[AFAR_ERROR_MESSAGE_BYTES + 128];
    session->away_say_ms = 0;
    if (isatty(STDERR_FILENO) == 0 || (!away && !session->away_said))
        return;
    session->away_said = away;
    if (away)
        (void)snprintf(text, sizeof text, "%s; trying to come back to the command for up to %lld s",
                       afar_why_away(session->client),
                       (long long)(session->command->resume_ms + 999) / 1000);
    else
        (void)snprintf(text, sizeof text, "%s: the connection is back", session->remote->host);
    console_tell(&session->console, text);
}

void session_check_away(struct session *session)
{
    if (session->away_say_ms != 0 && session->status < 0 &&
        session_now_ms() >= session->away_say_ms)
        say_presence(session, true);
}

/* One line when it is lost and one when it is back, for a person; on the command's own screen only
 * where it lasts. */
void session_note_presence(struct session *session)
{
    const bool away = afar_why_away(session->client)[0] != '\0';
    if (away == session->told_away)
        return;
    session->told_away = away;
    if (session->leaving == 0)
        session->give_up_ms = 0;
    if (away && session->console.tty.raw) {
        session->away_say_ms = session_now_ms() + AWAY_SAY_MS;
        return;
    }
    const bool shown = session->away_said;
    say_presence(session, away);
    if (!away) /* what was told meanwhile has not arrived */
        console_resized(&session->console);
    if (!away && shown)
        console_redraw(&session->console);
}

/* Whoever has interrupted it does not want to wait. */
void session_check_interrupted_away(struct session *session)
{
    if (!session->told_away || session->give_up_ms == 0 || session->status >= 0 ||
        session_now_ms() < session->give_up_ms)
        return;
    report("%s: interrupted, and the connection is not back; the command may run for up to %lld s "
           "more",
           session->remote->host, (long long)(session->command->resume_ms + 999) / 1000);
    session->in_vain = true;
    session_leave(session);
}

/* Within `timeout_ms`. False: not, and it is of no use to try again. */
static bool try_once(struct session *session, int64_t timeout_ms)
{
    struct remote *remote = session->remote;
    struct afar_error err = {0};
    if (!remote_renew(remote))
        return false;
    const struct afar_resume_options how =
        AFAR_RESUME_OPTIONS_INIT(.context = remote->context, .timeout_ms = timeout_ms,
                                 .stop_fd = session->signals.fd, .stream = remote_stream(remote));
    (void)afar_resume(session->client, &how, &err);
    return true;
}

/* True: it was tried, and there is news for session_process(). */
bool session_come_back(struct session *session)
{
    if (session->status >= 0 || !afar_away(session->client) || afar_timeout(session->client) != 0)
        return false;
    if (!try_once(session, session->remote->connect_timeout_ms))
        session_leave(session);
    return true;
}

/* It was asked to end, or told that nobody comes back, and has had its time; or needs not be told. */
static bool is_told(const struct session *session)
{
    return session->in_vain || session->hanging_up || session->taken_back != 0 ||
           is_kept(session) || session->command->resume_ms == 0;
}

/* A connection that seems to be there may be lost already: only an answer says that it was heard. A
 * signal that ends programs ends this, too: whoever sends a second one does not want to wait. */
void session_farewell(struct session *session)
{
    struct afar_client *client = session->remote->client;
    struct afar_error err = {0};
    const int64_t began_ms = session_now_ms();
    if (client == NULL || is_told(session) || afar_detach(client, &err) != AFAR_OK)
        return;
    while (afar_process(client, &err) == AFAR_OK && afar_receipt(client) == NULL) {
        const bool away = afar_why_away(client)[0] != '\0';
        const int64_t left_ms = began_ms + (away ? DELIVER_MS : GOODBYE_MS) - session_now_ms();
        const int wait_ms = afar_timeout(client);
        struct pollfd waiting[2] = {{.fd = session->signals.fd, .events = POLLIN},
                                    {.fd = afar_fd(client), .events = afar_events(client)}};
        if (left_ms <= 0)
            return;
        (void)poll(waiting, 2, wait_ms >= 0 && wait_ms < left_ms ? wait_ms : (int)left_ms);
        if (waiting[0].revents != 0 && ends_programs(signals_next(&session->signals)))
            return;
        if (afar_away(client) && afar_timeout(client) == 0 && !try_once(session, left_ms))
            return;
    }
}
