#include "afar/commands.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "afar/lines.h"
#include "afar/options.h"
#include "afar/remote.h"
#include "afar/report.h"
#include "afar/session.h"
#include "afar/shell_line.h"
#include "afar/tty.h"

static const char help[] =
    "usage: afar repl [options] HOST\n"
    "\n"
    "Reads lines and runs each by /bin/sh -c on HOST, over one connection. 'exit' or end of file\n"
    "leaves with the last status. From a terminal with prompt and history; else as a script.\n"
    "\n"
    "  -e, --env NAME=VALUE, -w, --cwd DIR, -t, --tty, --timeout TIME\n"
    "                        for each command, as for 'afar run'\n"
    "      --silence TIME, --reconnect TIME\n"
    "                        as for 'afar run'\n"
    "      --protocol NAME   afar, or the tutorial's sized or headed\n"
    "      --ca, --cert, --key FILE, --pin PIN, --connect-timeout TIME\n"
    "                        as for 'afar run'\n"
    "\n"
    "  afar repl tcp://127.0.0.1\n"
    "  afar repl --protocol headed tcp://127.0.0.1:8000\n";

struct repl {
    struct remote remote;
    const struct options *options;
    struct lines lines;
    int status;    /* the last command's */
    int interrupt; /* the signal that withdrew it before it had begun; 0: none */
};

/* Each line has its own shell: sets "$?" from the line before, if the line uses it. NULL: out of
 * memory. */
static char *with_status(const char *line, int status)
{
    char *text = NULL;
    if (status == 0 || strstr(line, "$?") == NULL)
        return strdup(line);
    return asprintf(&text, "(exit %d)\n%s", status, line) < 0 ? NULL : text;
}

static void run_line(struct repl *repl, const char *line)
{
    const struct options *options = repl->options;
    const struct session_options how = {
        .retry = true, .escape = options->escape, .taken_back = &repl->interrupt};
    if (remote_is_shell(&repl->remote)) {
        repl->status = shell_line_run(&repl->remote, line, options->timeout_ms);
    } else {
        char *text = with_status(line, repl->status);
        if (text == NULL) {
            report("out of memory");
            repl->status = STATUS_FAILED;
            return;
        }
        struct tty_wish wish = {0};
        if (options->tty)
            tty_describe(&wish, environ);
        /* Standard input has the lines, so commands get none; except on a terminal, whose keys are
         * the command's while it runs. */
        const struct afar_command command =
            AFAR_COMMAND_INIT(.shell = text, .env = options->env, .cwd = options->cwd,
                              .timeout_ms = options->timeout_ms,
                              .resume_ms = repl->remote.reconnect_ms,
                              .user = repl->remote.entry.value[HOST_USER].text,
                              .with_stdin = options->tty && repl->lines.interactive,
                              .pty = options->tty ? &wish.pty : NULL);
        repl->status = session_run(&repl->remote, &command, &how);
        free(text);
    }
    if (repl->lines.interactive && repl->status != 0)
        (void)fprintf(stderr, "[%d]\n", repl->status);
}

/* "exit" or "exit N", as in a shell. */
static bool is_exit(const char *line, int *status)
{
    char *end = NULL;
    if (strncmp(line, "exit", 4) != 0)
        return false;
    const char *rest = line + 4;
    if (*rest == '\0')
        return true;
    if (*rest != ' ' && *rest != '\t')
        return false;
    errno = 0;
    long number = strtol(rest, &end, 10);
    if (end == rest || *end != '\0' || errno != 0)
        return false;
    *status = (int)(number & 0xFF);
    return true;
}

/* No more lines, or a read error: then the lines that follow are not run. */
static bool leave(struct repl *repl)
{
    if (repl->lines.interactive)
        (void)putchar('\n');
    if (repl->lines.failure != 0) {
        report("repl: cannot read line %zu of standard input: %s", repl->lines.number,
               strerror(repl->lines.failure));
        repl->status = STATUS_FAILED;
    }
    return false;
}

/* A shell line cannot contain NUL: the part before it is not the line that was meant. */
static bool refuse_nul(struct repl *repl)
{
    report("repl: line %zu contains a NUL byte: it was not run%s", repl->lines.number,
           repl->lines.interactive ? "" : ", nor the lines after it");
    repl->status = STATUS_FAILED;
    return repl->lines.interactive;
}

/* Runs one line. False: the end. */
static bool step(struct repl *repl)
{
    size_t size = 0;
    const char *read = lines_next(&repl->lines, &size);
    if (read == NULL)
        return leave(repl);
    if (strlen(read) != size)
        return refuse_nul(repl);
    while (*read == ' ' || *read == '\t')
        read++;
    char *line = strdup(read);
    if (line == NULL) {
        report("out of memory");
        repl->status = STATUS_FAILED;
        return false;
    }
    size_t length = strlen(line);
    while (length > 0 && strchr(" \t\r\n", line[length - 1]) != NULL)
        line[--length] = '\0';
    bool ended = is_exit(line, &repl->status);
    if (!ended && length > 0)
        run_line(repl, line);
    free(line);
    /* As in a shell, INT at a terminal ends only the line. */
    bool end = repl->interrupt != 0 && !(repl->lines.interactive && repl->interrupt == SIGINT);
    return !ended && !end;
}

int repl_main(int argc, char **argv)
{
    struct options options;
    struct repl repl = {.options = &options, .status = STATUS_FAILED};
    enum options_result result =
        options_parse(&options, OPTIONS_CONNECT | OPTIONS_COMMAND | OPTIONS_TTY, argc, argv);
    if (result == OPTIONS_HELP)
        repl.status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        goto out;
    if (options.words[0] != NULL) {
        report("repl: unexpected argument '%s'; try 'afar repl --help'", options.words[0]);
        goto out;
    }
    if (!remote_open(&repl.remote, &options, NULL) || !remote_connect(&repl.remote) ||
        !lines_open(&repl.lines))
        goto out;
    repl.status = 0;
    while (step(&repl))
        continue;
out:
    lines_close(&repl.lines);
    remote_close(&repl.remote);
    options_close(&options);
    return repl.status;
}
