#include "afar/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "afar/job_name.h"
#include "afar/options.h"
#include "afar/remote.h"
#include "afar/report.h"
#include "afar/session.h"
#include "afar/shell_line.h"
#include "afar/tty.h"

static const char help[] =
    "usage: afar run [options] HOST [options] [--] COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs COMMAND on HOST with your stdin, stdout, stderr and signals; ends with its exit status.\n"
    "HOST is a URL (tls://, tcp://, unix://) or host[:port], which means tls.\n"
    "\n"
    "  -s, --shell           join the words and run them by /bin/sh -c\n"
    "  -n, --no-stdin        do not forward standard input\n"
    "  -e, --env NAME=VALUE  add to the command's environment (NAME alone: with its value here)\n"
    "  -w, --cwd DIR         run in this directory\n"
    "  -t, --tty             run on a terminal (yours, if you have one, is made raw)\n"
    "      --escape CHAR     with -t, what begins a command to afar after Enter ('~'; see ~?);\n"
    "                        none: nothing does\n"
    "      --timeout TIME    end the command after 10, 500ms, 10s, 5m or 2h\n"
    "      --start-within TIME\n"
    "                        if the server is full, wait this long for a place\n"
    "      --json            write one JSON object for each frame, the receipt last\n"
    "  -d, --detach          print the job's id once it runs, and leave it running\n"
    "      --keep            the command outlives this connection and the server\n"
    "      --once NAME       --keep, and start it once: by this name the next run attaches to it\n"
    "      --leave           what the command leaves running may stay, if the server allows it\n"
    "      --digest          compare the output's SHA-256 with the server's\n"
    "      --protocol NAME   afar, or the tutorial's sized or headed\n"
    "      --ca, --cert, --key FILE\n"
    "                        credentials, PEM (else AFAR_CA, AFAR_CERT, AFAR_KEY,\n"
    "                        else ca.pem, cert.pem, key.pem in ~/.config/afar)\n"
    "      --pin sha256:HEX  accept only the server with this key (else AFAR_PIN); without a CA\n"
    "                        and a pin you are asked once: ~/.config/afar/known_hosts\n"
    "      --connect-timeout TIME\n"
    "                        give up connecting, or waiting for a first answer, after this time "
    "(10s)\n"
    "      --silence TIME    give up a connection without a sign of life for this time (25s, or\n"
    "                        2m with --reconnect 0)\n"
    "      --reconnect TIME  come back to the command after a lost connection, within this time\n"
    "                        (60s; unix://: 0); 0: the command ends with its connection\n"
    "      --share TIME      keep connections open for the next runs, until idle for TIME; see\n"
    "                        'afar help share'\n"
    "\n"
    "Exit status: the command's own; 128+N: died by signal N; 124: timed out; 125: afar failed;\n"
    "126: cannot be executed; 127: not found.\n"
    "\n"
    "  afar run build-7 -- make -j8 test\n"
    "  tar c . | afar run -w /srv/www tls://web.example.org -- tar x\n"
    "  afar run -s tcp://127.0.0.1 'ls | wc -l'\n"
    "  afar run -t build-7 -- vim notes.txt\n";

enum { KEPT_RECONNECT_MS = 60000 };

/* The first option that the tutorial's protocols cannot carry, so that it is not ignored silently;
 * NULL: none. */
static const char *not_for_shell(const struct options *options)
{
    if (options->env != NULL)
        return "--env";
    if (options->cwd != NULL)
        return "--cwd";
    if (options->json)
        return "--json";
    if (options->digest)
        return "--digest";
    if (options->detach)
        return "--detach";
    if (options->keep)
        return "--keep";
    if (options->once != NULL)
        return "--once";
    if (options->leave)
        return "--leave";
    return options->tty ? "--tty" : NULL;
}

static int run_shell(struct remote *remote, const struct options *options)
{
    const char *asked = not_for_shell(options);
    if (asked != NULL) {
        report("run: %s is not possible with the protocols sized and headed", asked);
        return STATUS_FAILED;
    }
    char *line = options_join(options->words);
    if (line == NULL)
        return STATUS_FAILED;
    int status = shell_line_run(remote, line, options->timeout_ms);
    free(line);
    return status;
}

static int run_command(struct remote *remote, const struct options *options)
{
    const struct session_options how = {
        .json = options->json, .print_job = options->detach, .escape = options->escape};
    const bool keep = options->keep || options->detach || options->once != NULL;
    struct tty_wish wish = {0};
    if (options->tty)
        tty_describe(&wish, environ);
    struct afar_command command =
        AFAR_COMMAND_INIT(.env = options->env, .cwd = options->cwd,
                          .timeout_ms = options->timeout_ms,
                          .start_within_ms = options->start_within_ms,
                          .resume_ms = remote->reconnect_ms, .with_stdin = !options->no_stdin,
                          .with_digest = options->digest, .keep = keep, .key = options->once,
                          .leave = options->leave, .user = remote->entry.value[HOST_USER].text,
                          .pty = options->tty ? &wish.pty : NULL);
    if (keep && command.resume_ms == 0 && options->reconnect_ms < 0)
        command.resume_ms = KEPT_RECONNECT_MS; /* the server may restart meanwhile */
    /* On a terminal, keys will come from the client that attaches. */
    if (options->detach && !options->tty)
        command.with_stdin = false;
    char *line = NULL;
    if (options->shell) {
        line = options_join(options->words);
        if (line == NULL)
            return STATUS_FAILED;
        command.shell = line;
    } else {
        command.argv = (const char *const *)options->words;
    }
    int status = session_run(remote, &command, &how);
    free(line);
    return status;
}

int run_main(int argc, char **argv)
{
    struct options options;
    struct remote remote = {0};
    int status = STATUS_FAILED;
    enum options_result result = options_parse(&options,
                                               OPTIONS_CONNECT | OPTIONS_COMMAND | OPTIONS_RUN |
                                                   OPTIONS_TTY | OPTIONS_JSON | OPTIONS_SHARE,
                                               argc, argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        goto out;
    if (options.words[0] == NULL) {
        report("run: no command is given; it follows HOST; try 'afar run --help'");
        goto out;
    }
    if (options.once != NULL && !job_name_is_sound(options.once)) {
        report("run: --once: a name is not empty, is UTF-8, and has no control characters");
        goto out;
    }
    bool opened = remote_open(&remote, &options, NULL);
    remote.request_follows = true;
    if (opened && remote_connect(&remote))
        status = remote_is_shell(&remote) ? run_shell(&remote, &options)
                                          : run_command(&remote, &options);
out:
    remote_close(&remote);
    options_close(&options);
    return status;
}
