/* How a run ends before its command: by signals, or by escape commands. */
#include "afar/session_internal.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "afar/report.h"

enum {
    INTERRUPTS_MAX = 3, /* after so many INT or TERM, leave */
    /* How long the server has to confirm that the request is withdrawn, which must end within a
     * second; and to show a sign of life after a signal. */
    TAKE_BACK_MS = 800,
    PROBE_MS = 5000,
    HANG_UP_MS = 500, /* how long it has to confirm the end after hanging up */
    PAUSE_MS = 200    /* how long sending `pause` may take */
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

bool session_is_kept(const struct session *session)
{
    const struct afar_command *command = session->command;
    return command->keep || command->key != NULL || command->job != NULL;
}

/* Gives the terminal back immediately, and the server a moment to hear that we leave. */
static void go(struct session *session, int status, const char *how, struct afar_error *err)
{
    char host[256];
    if (session->hanging_up) {
        session_leave(session);
        return;
    }
    console_leave(&session->console, true);
    afar_escape(host, sizeof host, session->remote->host, AFAR_ESCAPE_TERMINAL);
    if (session->console.own && session_is_kept(session))
        tty_say(&session->console.tty, "[%s: %.12s; afar attach %s %.12s]", how, session->job, host,
                session->job);
    else if (session->console.own)
        tty_say(&session->console.tty, "[%s]", how);
    session->hanging_up = true;
    session->hung_up = status;
    session->hang_up_ms = session_now_ms() + HANG_UP_MS;
    (void)afar_detach(session->client, err); /* afar_process reports a failure */
}

/* Leaves for good; a kept job runs on. */
static void session_hang_up(struct session *session, struct afar_error *err)
{
    go(session, session->failed, "hung up", err);
}

static void session_detach(struct session *session, struct afar_error *err)
{
    char name[ESCAPE_NAME_BYTES];
    escape_name(session->options->escape, name);
    if (session_is_kept(session))
        go(session, 0, "detached", err);
    else
        tty_say(&session->console.tty, "[it is not kept, and would end; %s. hangs up]", name);
}

/* Stops this program until it is continued, and tells the server before. TSTP: by the user. TTOU:
 * again, as the terminal is another's. */
static void session_suspend(struct session *session, int number, struct afar_error *err)
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
    if (number == SIGTSTP)
        console_leave(&session->console, true);
    console_stop(number);
    if (session->started)
        console_continued(&session->console);
}

/* A shell sends CONT for `bg`, too, and none for a `fg` of what runs already: then the terminal
 * would stay the shell's. So this stops again, as the kernel would stop what sets its mode. */
static void session_continued(struct session *session, struct afar_error *err)
{
    if (!session->started) /* console_begin follows */
        return;
    if (session->console.own && tty_in_background())
        session_suspend(session, SIGTTOU, err);
    else
        console_continued(&session->console);
}

void session_act(struct session *session, enum escape_action action, struct afar_error *err)
{
    if (action == ESCAPE_HANG_UP)
        session_hang_up(session, err);
    else if (action == ESCAPE_DETACH)
        session_detach(session, err);
    else if (action == ESCAPE_SUSPEND)
        session_suspend(session, SIGTSTP, err);
}

/* ---- signals --------------------------------------------------------------------------------- */

bool session_is_end(int number)
{
    return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
}

/* Withdraws a command that has not begun. (A signal would be delivered only after it had begun.) */
static void take_back(struct session *session, int number, struct afar_error *err)
{
    if (session->taken_back != 0) {
        console_leave(&session->console, true);
        report("%s: interrupted twice before the command had begun; the connection is closed, "
               "whether the command begins is unknown",
               session->remote->host);
        session_leave(session);
        return;
    }
    session->taken_back = number;
    session->give_up_ms =
        session_now_ms() + (session->told_away ? SESSION_DELIVER_MS : TAKE_BACK_MS);
    (void)afar_detach(session->client, err); /* afar_process reports a failure */
}

/* Ends if the server does not confirm in time. The connection's end withdraws the request too, once
 * the server notices it. */
void session_check_taken_back(struct session *session)
{
    if (session->hanging_up && session->status < 0 && session_now_ms() >= session->hang_up_ms)
        session_leave(session);
    if (session->taken_back == 0 || session->told_away || session->status >= 0 ||
        session_now_ms() < session->give_up_ms)
        return;
    console_leave(&session->console, true);
    report("%s: interrupted by %s before the command had begun, and the server does not answer; "
           "whether the command begins is unknown",
           session->remote->host, sigabbrev_np(session->taken_back));
    session_leave(session);
}

/* The signal was passed on, and its time is over: ends this program. The end of the connection ends
 * the command. */
void session_check_leaving(struct session *session)
{
    if (session->leaving == 0 || session->status >= 0 || session_now_ms() < session->give_up_ms)
        return;
    console_leave(&session->console, true);
    if (session->options->channel == NULL)
        report("%s: ended by %s; the connection is closed, and the server ends the command",
               session->remote->host, sigabbrev_np(session->leaving));
    session_leave(session);
}

/* `afar wait` has waited for long enough; the job runs on. */
void session_check_wait(struct session *session)
{
    if (session->wait_until_ms == 0 || session->status >= 0 ||
        session_now_ms() < session->wait_until_ms)
        return;
    console_leave(&session->console, true);
    report("job %s has not ended in this time, and runs on", session->command->job);
    session->status = STATUS_TIMED_OUT;
    session->lost = true;
}

static void begin_leaving(struct session *session, int number)
{
    if (session->options->patience_ms == 0 || !session_is_end(number))
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
        if (session_is_kept(session))
            report("%s: gave up after %d interrupts; job %s runs on, unless they have ended it",
                   session->remote->host, INTERRUPTS_MAX, session->job);
        else
            report("%s: gave up after %d interrupts; the connection is closed, whether the "
                   "command has ended is unknown",
                   session->remote->host, INTERRUPTS_MAX);
        session_leave(session);
        return;
    }
    (void)afar_signal(session->client, sigabbrev_np(number), err);
    if (session_is_end(number) && session->told_away && session->give_up_ms == 0)
        session->give_up_ms = session_now_ms() + SESSION_DELIVER_MS;
    begin_leaving(session, number);
    if (session_is_end(number))
        (void)afar_probe(session->client, PROBE_MS, err);
}

void session_leave_job(struct session *session, int number)
{
    console_leave(&session->console, true);
    /* While its output is still behind, it may have ended. */
    if (!session->command->watch && number == SIGPIPE)
        report("nobody reads the output any more; left job %s", session->command->job);
    else if (!session->command->watch)
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
            session_continued(session, err);
        else if (number == SIGTSTP)
            session_suspend(session, SIGTSTP, err);
        else if (session->options->stays && session_is_end(number))
            session_leave_job(session, number);
        else if (session->options->stays)
            continue; /* other signals are not for the job either */
        else if (!session->started && session_is_end(number))
            take_back(session, number, err);
        else if (number == SIGHUP && session->console.on)
            session_hang_up(session, err);
        else
            pass_on(session, number, err);
    }
}
