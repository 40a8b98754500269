#include "afar/commands.h"

#include <stdio.h>
#include <unistd.h>

#include "afar/options.h"
#include "afar/remote.h"
#include "afar/report.h"
#include "afar/session.h"
#include "afar/tty.h"

static const char help[] =
    "usage: afar shell [options] HOST\n"
    "\n"
    "Opens your login shell on HOST, on a terminal like yours; ends with its status. Where "
    "standard\n"
    "input is no terminal the shell reads it as a script, without one (with -t, on one).\n"
    "\n"
    "  -e, --env NAME=VALUE, -w, --cwd DIR, --timeout TIME\n"
    "                        as for 'afar run'\n"
    "      --escape CHAR     what begins the commands below ('~'); none: there are none\n"
    "  -q, --quiet           do not say where you are\n"
    "      --silence TIME, --ca, --cert, --key FILE, --pin PIN, --connect-timeout TIME\n"
    "                        as for 'afar run'\n"
    "\n"
    "After Enter:  ~.  hang up    ~^Z  suspend    ~s  state    ~?  help    ~~  a '~'\n"
    "\n"
    "  afar shell build-7\n";

/* Where the person is now, dim, as it is not the shell that says it. */
static void greet(const char *host, const struct options *options)
{
    char shown[256];
    if (options->quiet || isatty(STDERR_FILENO) != 1)
        return;
    afar_escape(shown, sizeof shown, host, AFAR_ESCAPE_TERMINAL);
    (void)fprintf(stderr, "\x1b[2m[%s; it ends with the connection%s]\x1b[0m\n", shown,
                  options->escape == '~' ? "; ~? after Enter for help" : "");
}

static int open_shell(struct remote *remote, const struct options *options)
{
    const struct session_options how = {.escape = options->escape};
    struct tty_wish wish = {0};
    const bool on_terminal = options->tty || tty_is_there();
    struct afar_command command =
        AFAR_COMMAND_INIT(.env = options->env, .cwd = options->cwd,
                          .timeout_ms = options->timeout_ms, .with_stdin = true, .login = true,
                          .leave = true);
    if (on_terminal) {
        tty_describe(&wish, environ);
        command.pty = &wish.pty;
        greet(remote->host, options);
    }
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
