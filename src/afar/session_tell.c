/* Why a run failed, in words. */
#include "afar/session_internal.h"

#include <signal.h>
#include <string.h>

#include "afar/report.h"

/* The codes of a server that does not know a field of the request. */
static bool misses(const struct afar_error *err)
{
    return strcmp(err->reason, "bad_request") == 0 || strcmp(err->reason, "unsupported") == 0;
}

/* True if the server is too old for subsystems: it misses the command. */
static bool is_unknown_subsystem(const struct session *session, const struct afar_error *err)
{
    return session->command->subsystem != NULL && misses(err);
}

static bool is_unknown_forward(const struct session *session, const struct afar_error *err)
{
    return session->command->forward != NULL && misses(err);
}

bool session_is_unknown_terminal(const struct session *session, const struct afar_error *err)
{
    const struct afar_command *command = session->command;
    if (command->pty == NULL && !command->with_pty && !command->login)
        return false;
    return misses(err);
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
