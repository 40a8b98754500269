/* A command's session while its connection is lost: what is said of that, attempts to come back, and
 * the last word where nobody will. */
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
    AWAY_SAY_MS = 2000, /* a shorter loss is not mentioned on the command's own screen */
    GOODBYE_MS = 1000   /* a connection that is there has so long to say that it has heard us */
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

/* One line when it is lost and one when it is back, for a person; on the command's own screen only
 * where it lasts. */
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

/* ---- attempts to come back --------------------------------------------------------------------- */

/* What goes on here while an attempt waits for the network, which may be lost without a word. */
struct attention {
    struct session *session;
    int stop_fd; /* can be read: the attempt is to end */
    int over_fd; /* … it has ended */
    enum escape_action action;
};

static void set(int event_fd)
{
    const uint64_t one = 1;
    ssize_t written = write(event_fd, &one, sizeof one);
    (void)written; /* eight bytes, into one that was 0 */
}

/* Keys are kept for the command. True: they ask for something. */
static bool take_keys(struct attention *attention)
{
    struct session *session = attention->session;
    if (!input_read(&session->input))
        return false;
    if (session->input.failure == 0)
        attention->action = console_take(&session->console, &session->input);
    return session->input.failure != 0 || attention->action != ESCAPE_NOTHING;
}

/* A thread, while the session's own is in afar_resume and touches nothing but the client: this one
 * has all else. */
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

/* Within `timeout_ms`. False: not, and it is of no use to try again. */
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

/* The same, but a person's keys are heeded meanwhile. */
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
    /* Where there can be none, keys wait until it is over, and signals end it. */
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

/* No attempt lasts longer than somebody waits for what comes of it. */
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

/* True: it was tried, and there is news for session_process(). */
bool session_come_back(struct session *session)
{
    if (session->status >= 0 || !afar_away(session->client) || afar_timeout(session->client) != 0)
        return false;
    if (!try_attended(session, attempt_ms(session)))
        session_leave(session);
    return true;
}

/* ---- a last word ----------------------------------------------------------------------------- */

/* It was asked to end, or told that nobody comes back, and has had its time; or needs not be told. */
static bool is_told(const struct session *session)
{
    return session->in_vain || session->hanging_up || session->taken_back != 0 ||
           session_is_kept(session) || session->command->resume_ms == 0;
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
