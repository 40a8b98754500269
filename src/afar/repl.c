#include "afar/commands.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <histedit.h>

#include "afar/options.h"
#include "afar/remote.h"
#include "afar/report.h"
#include "afar/session.h"
#include "afar/shell_line.h"

static const char help[] =
    "usage: afar repl [options] HOST\n"
    "\n"
    "Reads lines and runs each by /bin/sh -c on HOST, over one connection. 'exit' or end of file\n"
    "leaves with the last status. From a terminal with prompt and history; else as a script.\n"
    "\n"
    "  -e, --env NAME=VALUE, -w, --cwd DIR, -t, --timeout TIME\n"
    "                        for each command, as for 'afar run'\n"
    "      --silence TIME    as for 'afar run'\n"
    "      --protocol NAME   afar, or the tutorial's sized or headed\n"
    "      --ca, --cert, --key FILE, --pin PIN, --connect-timeout TIME\n"
    "                        as for 'afar run'\n"
    "\n"
    "  afar repl tcp://127.0.0.1\n"
    "  afar repl --protocol headed tcp://127.0.0.1:8000\n";

enum { HISTORY_LINES = 500 };

/* Where the lines come from. */
struct reader {
    bool interactive;
    EditLine *editor; /* owned; interactive only */
    History *history; /* owned */
    char *line;       /* owned; not interactive */
    size_t line_bytes;
    size_t number; /* of the last line, from 1 */
    int failure;   /* errno of a read that failed; 0: none */
};

struct repl {
    struct remote remote;
    const struct options *options;
    struct reader reader;
    int status;    /* of the last command */
    int interrupt; /* the signal that came before it had begun; 0: none */
};

static char *prompt(EditLine *editor)
{
    static char text[] = ">>>: "; /* the tutorial's, nearly */
    (void)editor;
    return text;
}

static bool reader_open(struct reader *reader)
{
    HistEvent event;
    *reader = (struct reader){.interactive = isatty(STDIN_FILENO) != 0};
    if (!reader->interactive)
        return true;
    (void)setlocale(LC_CTYPE, "");
    reader->editor = el_init("afar", stdin, stdout, stderr);
    reader->history = history_init();
    if (reader->editor == NULL || reader->history == NULL) {
        report("cannot set up the terminal");
        return false;
    }
    (void)history(reader->history, &event, H_SETSIZE, HISTORY_LINES);
    (void)history(reader->history, &event, H_SETUNIQUE, 1);
    (void)el_set(reader->editor, EL_EDITOR, "emacs");
    (void)el_set(reader->editor, EL_HIST, history, reader->history);
    (void)el_set(reader->editor, EL_PROMPT, prompt);
    (void)el_set(reader->editor, EL_SIGNAL, 1);
    (void)el_source(reader->editor, NULL);
    return true;
}

static void reader_close(struct reader *reader)
{
    if (reader->history != NULL)
        history_end(reader->history);
    if (reader->editor != NULL)
        el_end(reader->editor);
    free(reader->line);
}

/* A script's line. What came before an error of the file may be half a line. */
static const char *read_script(struct reader *reader, size_t *size)
{
    ssize_t length = getline(&reader->line, &reader->line_bytes, stdin);
    int why = errno;
    if (ferror(stdin) != 0 || (length < 0 && feof(stdin) == 0)) {
        reader->failure = why != 0 ? why : EIO;
        return NULL;
    }
    *size = length < 0 ? 0 : (size_t)length;
    return length < 0 ? NULL : reader->line;
}

static const char *read_terminal(struct reader *reader, size_t *size)
{
    HistEvent event;
    int length = 0;
    const char *line = el_gets(reader->editor, &length);
    if (line == NULL || length <= 0)
        return NULL;
    if (strspn(line, " \t\n") < strlen(line))
        (void)history(reader->history, &event, H_ENTER, line);
    *size = (size_t)length;
    return line;
}

/* The next line, with its newline where it has one; NULL: no more. Borrowed until the next call. */
static const char *reader_next(struct reader *reader, size_t *size)
{
    reader->number++;
    return reader->interactive ? read_terminal(reader, size) : read_script(reader, size);
}

/* "$?" of the line before, where the line asks for it: each line has a shell of its own. */
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
    const struct session_options how = {.retry = true, .taken_back = &repl->interrupt};
    if (remote_is_shell(&repl->remote)) {
        repl->status = shell_line_run(&repl->remote, line, options->timeout_ms);
    } else {
        char *text = with_status(line, repl->status);
        if (text == NULL) {
            report("out of memory");
            repl->status = STATUS_FAILED;
            return;
        }
        /* The lines are what stdin is for here, so the commands get none. */
        const struct afar_command command =
            AFAR_COMMAND_INIT(.shell = text, .env = options->env, .cwd = options->cwd,
                              .timeout_ms = options->timeout_ms);
        repl->status = session_run(&repl->remote, &command, &how);
        free(text);
    }
    if (repl->reader.interactive && repl->status != 0)
        (void)fprintf(stderr, "[%d]\n", repl->status);
}

/* "exit" or "exit N", as a shell has it. */
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

/* No more lines, or none that can be read: then what follows is not run either. */
static bool leave(struct repl *repl)
{
    if (repl->reader.interactive)
        (void)putchar('\n');
    if (repl->reader.failure != 0) {
        report("repl: cannot read line %zu of standard input: %s", repl->reader.number,
               strerror(repl->reader.failure));
        repl->status = STATUS_FAILED;
    }
    return false;
}

/* A shell line cannot have a NUL: what stands before it is another line than the one meant. */
static bool refuse_nul(struct repl *repl)
{
    report("repl: line %zu has a NUL byte in it: it was not run%s", repl->reader.number,
           repl->reader.interactive ? "" : ", nor what follows");
    repl->status = STATUS_FAILED;
    return repl->reader.interactive;
}

/* Returns false where there is nothing more to do. */
static bool step(struct repl *repl)
{
    size_t size = 0;
    const char *read = reader_next(&repl->reader, &size);
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
    /* As in a shell: INT at a terminal is meant for the line. */
    bool end = repl->interrupt != 0 && !(repl->reader.interactive && repl->interrupt == SIGINT);
    return !ended && !end;
}

int repl_main(int argc, char **argv)
{
    struct options options;
    struct repl repl = {.options = &options, .status = STATUS_FAILED};
    enum options_result result =
        options_parse(&options, OPTIONS_CONNECT | OPTIONS_COMMAND, argc, argv);
    if (result == OPTIONS_HELP)
        repl.status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        goto out;
    if (options.words[0] != NULL) {
        report("repl: '%s' is one word too many; try 'afar repl --help'", options.words[0]);
        goto out;
    }
    if (!remote_open(&repl.remote, &options, NULL) || !remote_connect(&repl.remote) ||
        !reader_open(&repl.reader))
        goto out;
    repl.status = 0;
    while (step(&repl))
        continue;
out:
    reader_close(&repl.reader);
    remote_close(&repl.remote);
    options_close(&options);
    return repl.status;
}
