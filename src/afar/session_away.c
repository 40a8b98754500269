/* A run whose connection is lost: messages, attempts to reconnect, and a last message to a
 * server that would wait for us. */
#include "afar/session_internal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "afar/report.h"

enum {
    AWAY_SAY_MS = 2000, /* report only longer losses on the command's own screen */
    GOODBYE_MS = 1000   /* how long to wait for the answer if the connection is there */
};

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
                       session->why_away, (long long)(session->command->resume_ms + 999) / 1000);
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

/* Reports a lost connection, and that it is back; on the command's own screen only if the loss
 * lasts. */
void session_note_presence(struct session *session)
{
    const bool away = afar_why_away(session->client)[0] != '\0';
    if (away == session->told_away)
        return;
    session->told_away = session->console.drops = away;
    (void)snprintf(session->why_away, sizeof session->why_away, "%s",
                   afar_why_away(session->client));
    if (session->leaving == 0)
        session->give_up_ms = 0;
    if (away && session->console.tty.raw) {
        session->away_say_ms = session_now_ms() + AWAY_SAY_MS;
        return;
    }
    const bool shown = session->away_said;
    say_presence(session, away);
    if (!away) /* a size sent meanwhile was lost */
        console_resized(&session->console);
    if (!away && shown)
        console_redraw(&session->console);
}

/* The user has interrupted the command, and does not want to wait. */
void session_check_interrupted_away(struct session *session)
{
    if (!session->told_away || session->give_up_ms == 0 || session->status >= 0 ||
        session_now_ms() < session->give_up_ms)
        return;
    console_leave(&session->console, true);
    if (session_is_kept(session))
        report("%s: interrupted, and the connection is not back; job %s is kept and may run on",
               session->remote->host, session->job);
    else
        report("%s: interrupted, and the connection is not back; the command may run for up to "
               "%lld s more",
               session->remote->host, (long long)(session->command->resume_ms + 999) / 1000);
    session->in_vain = true;
    session_leave(session);
}

/* ---- attempts to come back --------------------------------------------------------------------- */

/* What a helper thread watches while an attempt to reconnect waits for the network. */
struct attention {
    struct session *session;
    int stop_fd; /* set to end the attempt */
    int over_fd; /* set when the attempt has ended */
    enum escape_action action;
};

static void set(int event_fd)
{
    const uint64_t one = 1;
    ssize_t written = write(event_fd, &one, sizeof one);
    (void)written; /* cannot fail: the counter was 0 */
}

/* Keeps keys for the command. True: an escape command, or a failure, ends the attempt. */
static bool take_keys(struct attention *attention)
{
    struct session *session = attention->session;
    if (!input_read(&session->input))
        return false;
    if (session->input.failure == 0)
        attention->action = console_take(&session->console, &session->input);
    return session->input.failure != 0 || attention->action != ESCAPE_NOTHING;
}

/* The helper thread. Meanwhile the main thread is in afar_resume and uses only the client;
 * this one uses all else. */
static void *attend(void *argument)
{
    struct attention *attention = argument;
    struct session *session = attention->session;
    for (;;) {
        const int64_t left_ms = session->away_say_ms - session_now_ms();
        const int wait_ms = session->away_say_ms == 0 ? -1 : left_ms > 0 ? (int)left_ms : 0;
        const bool keys = console_wants_keys(&session->console);
        struct pollfd watched[] = {{.fd = attention->over_fd, .events = POLLIN},
                                   {.fd = session->signals.fd, .events = POLLIN},
                                   {.fd = keys ? session->input.fd : -1, .events = POLLIN}};
        if (poll(watched, 3, wait_ms) < 0 && errno != EINTR)
            return NULL;
        session_check_away(session);
        if (watched[0].revents != 0)
            return NULL;
        if (watched[1].revents != 0 || (watched[2].revents != 0 && take_keys(attention))) {
            set(attention->stop_fd);
            return NULL;
        }
    }
}

/* Tries once to resume, within `timeout_ms`. False: no credentials, so it is useless to try
 * again. */
static bool try_once(struct session *session, int64_t timeout_ms, int stop_fd)
{
    struct remote *remote = session->remote;
    struct afar_error err = {0};
    if (!remote_renew(remote))
        return false;
    const struct afar_resume_options how =
        AFAR_RESUME_OPTIONS_INIT(.context = remote->context, .timeout_ms = timeout_ms,
                                 .stop_fd = stop_fd, .stream = remote_stream(remote));
    (void)afar_resume(session->client, &how, &err);
    return true;
}

/* The same, but keys and signals are handled meanwhile. */
static bool try_attended(struct session *session, int64_t timeout_ms)
{
    struct attention attention = {.session = session, .stop_fd = -1, .over_fd = -1};
    struct afar_error err = {0};
    pthread_t thread;
    bool tried = false;
    if (session->console.tty.raw) {
        attention.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        attention.over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    /* Without a thread, keys wait until the attempt is over; signals end it. */
    if (attention.stop_fd >= 0 && attention.over_fd >= 0 &&
        pthread_create(&thread, NULL, attend, &attention) == 0) {
        tried = try_once(session, timeout_ms, attention.stop_fd);
        set(attention.over_fd);
        (void)pthread_join(thread, NULL);
    } else {
        tried = try_once(session, timeout_ms, session->signals.fd);
    }
    if (attention.stop_fd >= 0)
        (void)close(attention.stop_fd);
    if (attention.over_fd >= 0)
        (void)close(attention.over_fd);
    session_act(session, attention.action, &err);
    return tried;
}

/* How long an attempt may take: no longer than its result is waited for. */
static int64_t attempt_ms(const struct session *session)
{
    const int64_t now_ms = session_now_ms();
    const int64_t ends_ms[] = {session->hanging_up ? session->hang_up_ms : 0, session->give_up_ms,
                               session->wait_until_ms};
    int64_t most_ms = session->remote->connect_timeout_ms;
    for (size_t i = 0; i < sizeof ends_ms / sizeof ends_ms[0]; i++) {
        const int64_t left_ms = ends_ms[i] - now_ms > 0 ? ends_ms[i] - now_ms : 1;
        if (ends_ms[i] != 0 && (most_ms == 0 || left_ms < most_ms)) /* 0: no limit */
            most_ms = left_ms;
    }
    return most_ms;
}

bool session_come_back(struct session *session)
{
    if (session->status >= 0 || !afar_away(session->client) || afar_timeout(session->client) != 0)
        return false;
    if (!try_attended(session, attempt_ms(session)))
        session_leave(session);
    return true;
}

/* ---- a last word ----------------------------------------------------------------------------- */

/* True if the server needs no last message: it has got one, or had its time, or does not wait for
 * us. */
static bool is_told(const struct session *session)
{
    return session->in_vain || session->hanging_up || session->taken_back != 0 ||
           session_is_kept(session) || session->command->resume_ms == 0;
}

/* Waits for an answer, because only that proves that the server has heard it: a connection that
 * seems to be there may be lost. A signal that ends programs ends the wait. */
void session_farewell(struct session *session)
{
    struct afar_client *client = session->remote->client;
    struct afar_error err = {0};
    const int64_t began_ms = session_now_ms();
    if (client == NULL || is_told(session) || afar_detach(client, &err) != AFAR_OK)
        return;
    while (afar_process(client, &err) == AFAR_OK && afar_receipt(client) == NULL) {
        const bool away = afar_why_away(client)[0] != '\0';
        const int64_t left_ms =
            began_ms + (away ? SESSION_DELIVER_MS : GOODBYE_MS) - session_now_ms();
        const int wait_ms = afar_timeout(client);
        struct pollfd waiting[2] = {{.fd = session->signals.fd, .events = POLLIN},
                                    {.fd = afar_fd(client), .events = afar_events(client)}};
        if (left_ms <= 0)
            return;
        (void)poll(waiting, 2, wait_ms >= 0 && wait_ms < left_ms ? wait_ms : (int)left_ms);
        if (waiting[0].revents != 0 && session_is_end(signals_next(&session->signals)))
            return;
        if (afar_away(client) && afar_timeout(client) == 0 &&
            !try_once(session, left_ms, session->signals.fd))
            return;
    }
}
