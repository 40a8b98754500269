#include "afar/commands.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "afar/escape.h"
#include "afar/job_name.h"
#include "afar/options.h"
#include "afar/remote.h"
#include "afar/report.h"
#include "afar/session.h"
#include "afar/tty.h"

enum { KEPT_RECONNECT_MS = 60000 }; /* the server may restart meanwhile */

static const char help[] =
    "usage: afar shell [options] HOST\n"
    "\n"
    "Opens your login shell on HOST, on a terminal like yours; ends with its status. Where "
    "standard\n"
    "input is no terminal the shell reads it as a script, without one (with -t, on one).\n"
    "\n"
    "  -e, --env NAME=VALUE, -w, --cwd DIR, --timeout TIME\n"
    "                        as for 'afar run'\n"
    "      --keep            it stays when the connection ends, or is left by ~d: afar attach\n"
    "      --once NAME       --keep, and opens the one of this name again where there is one\n"
    "      --escape CHAR     what begins the commands below ('~'); none: there are none\n"
    "  -q, --quiet           do not say where you are\n"
    "      --reconnect TIME, --silence TIME, --ca, --cert, --key FILE, --pin PIN, "
    "--connect-timeout TIME\n"
    "                        as for 'afar run'\n"
    "\n"
    "After Enter:  ~.  hang up    ~d  detach (with --keep)    ~^Z  suspend    ~s  state    ~?  "
    "help\n"
    "              ~~  a '~'\n"
    "\n"
    "  afar shell build-7\n"
    "  afar shell --once work build-7\n";

struct greeting {
    const struct remote *remote;
    const struct options *options;
    const struct afar_command *command;
};

/* Shows where the user is now, once the shell is there; dim, because it does not come from the
 * shell. */
static void greet(void *user)
{
    const struct greeting *greeting = user;
    const struct afar_command *command = greeting->command;
    const int64_t waits_ms = afar_resume_granted(greeting->remote->client);
    const int escape = greeting->options->escape;
    char shown[256];
    char name[ESCAPE_NAME_BYTES];
    char fate[96] = "it ends with the connection";
    char help_key[48] = "";
    if (command->pty == NULL || greeting->options->quiet || isatty(STDERR_FILENO) != 1)
        return;
    escape_name(escape, name);
    if (command->keep && escape == ESCAPE_NONE)
        (void)snprintf(fate, sizeof fate, "kept");
    else if (command->keep)
        (void)snprintf(fate, sizeof fate, "kept; %sd leaves it", name);
    else if (waits_ms > 0)
        (void)snprintf(fate, sizeof fate, "waits for a lost connection up to %lld s",
                       (long long)(waits_ms + 999) / 1000);
    if (escape != ESCAPE_NONE && tty_is_there())
        (void)snprintf(help_key, sizeof help_key, "; %s? after Enter for help", name);
    afar_escape(shown, sizeof shown, greeting->remote->host, AFAR_ESCAPE_TERMINAL);
    (void)fprintf(stderr, "\x1b[2m[%s; %s%s]\x1b[0m\n", shown, fate, help_key);
}

/* Forgets an ended shell of this name, so that a new one can have it. False: the reason was
 * reported. */
static bool forget_ended(struct remote *remote, const char *name)
{
    char job[JOB_NAME_BYTES];
    struct afar_error err = {0};
    if (!job_name_find_ended(remote, name, job))
        return false;
    if (job[0] == '\0' ||
        afar_forget(remote->client, job, remote->connect_timeout_ms, &err) == AFAR_OK ||
        strcmp(err.reason, "not_found") == 0)
        return true;
    report("%s", err.message);
    return false;
}

static int open_shell(struct remote *remote, const struct options *options)
{
    struct tty_wish wish = {0};
    const bool on_terminal = options->tty || tty_is_there();
    struct afar_command command =
        AFAR_COMMAND_INIT(.env = options->env, .cwd = options->cwd,
                          .timeout_ms = options->timeout_ms, .with_stdin = true, .login = true,
                          .resume_ms = remote->reconnect_ms,
                          .keep = options->keep || options->once != NULL, .key = options->once,
                          .user = remote->entry.value[HOST_USER].text, .leave = true);
    if (command.keep && command.resume_ms == 0 && options->reconnect_ms < 0)
        command.resume_ms = KEPT_RECONNECT_MS;
    if (options->once != NULL && !forget_ended(remote, options->once))
        return STATUS_FAILED;
    if (on_terminal) {
        tty_describe(&wish, environ);
        command.pty = &wish.pty;
    }
    struct greeting greeting = {remote, options, &command};
    const struct session_options how = {
        .escape = options->escape, .started = greet, .user = &greeting};
    return session_run(remote, &command, &how);
}

int shell_main(int argc, char **argv)
{
    struct options options;
    struct remote remote = {0};
    int status = STATUS_FAILED;
    enum options_result result = options_parse(
        &options, OPTIONS_CONNECT | OPTIONS_COMMAND | OPTIONS_TTY | OPTIONS_SHELL, argc, argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        goto out;
    if (options.words[0] != NULL) {
        report("shell: for a command: afar run -t HOST -- COMMAND");
        goto out;
    }
    if (options.once != NULL && !job_name_is_sound(options.once)) {
        report("shell: --once: a name is not empty, is UTF-8, and has no control characters");
        goto out;
    }
    if (!remote_open(&remote, &options, NULL))
        goto out;
    if (remote_is_shell(&remote))
        report("shell: the protocols sized and headed have no terminal; try 'afar repl'");
    else if (remote_connect(&remote))
        status = open_shell(&remote, &options);
out:
    remote_close(&remote);
    options_close(&options);
    return status;
}
