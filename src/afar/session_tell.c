/* Why a run failed, in words. */
#include "afar/session_internal.h"

#include <signal.h>
#include <string.h>

#include "afar/report.h"

enum { ASK_MS = 5000 }; /* as long as a lost connection is probed for */

/* True if the server does not know a field of the request, as it does not offer this. It may offer
 * that, and refuse another field: what it offers it tells when a command starts, or if asked. */
static bool misses(const struct session *session, const struct afar_error *err, const char *feature)
{
    struct afar_pong pong = AFAR_PONG_INIT();
    if (strcmp(err->reason, "bad_request") != 0 && strcmp(err->reason, "unsupported") != 0)
        return false;
    if (afar_features(session->client)[0] == '\0')
        (void)afar_ping(session->client, ASK_MS, &pong, NULL);
    return !afar_offers(session->client, feature);
}

/* True if the server is too old for subsystems: it misses the command. */
static bool is_unknown_subsystem(const struct session *session, const struct afar_error *err)
{
    return session->command->subsystem != NULL && misses(session, err, "subsystem");
}

static bool is_unknown_forward(const struct session *session, const struct afar_error *err)
{
    return session->command->forward != NULL && misses(session, err, "forward");
}

bool session_is_unknown_terminal(const struct session *session, const struct afar_error *err)
{
    const struct afar_command *command = session->command;
    const bool on_terminal = command->pty != NULL || command->with_pty;
    return (on_terminal && misses(session, err, "pty")) ||
           (command->login && misses(session, err, "home")); /* which offers `login`, too */
}

void session_tell_failure(struct session *session, enum afar_status status,
                          const struct afar_error *err)
{
    if (status != AFAR_EREFUSED) {
        report("%s", err->message);
        return;
    }
    if (is_unknown_subsystem(session, err))
        report("%s offers no files (its afard is older)", session->remote->host);
    else if (is_unknown_forward(session, err))
        report("%s forwards no connections (its afard is older)", session->remote->host);
    else if (session_is_unknown_terminal(session, err))
        report("%s offers no %s (its afard is older)", session->remote->host,
               session->command->login ? "login shell" : "terminal");
    else if (session->console.on && strcmp(err->reason, "superseded") == 0)
        tty_say(&session->console.tty, "[taken over by another afar attach]");
    else if (session->command->key != NULL && strcmp(err->reason, "conflict") == 0)
        report("%s: --once %s was used for another command (conflict): its words, environment, "
               "directory and user count, and whether it reads input or has a terminal",
               session->remote->host, session->command->key);
    else if (strcmp(err->reason, "detached") == 0)
        report("interrupted by %s: %s", sigabbrev_np(session->taken_back), err->message);
    else
        report("%s", err->message);
}
