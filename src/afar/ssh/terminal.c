#include "afar/ssh/run.h"

#include <stdio.h>
#include <strings.h>

#include "afar/escape.h"
#include "afar/report.h"
#include "afar/tty.h"

bool ssh_terminal_escape(struct ssh_run *run, char message[SSH_MESSAGE_BYTES])
{
    const char *text = run->options.value[SSH_ESCAPE_CHAR];
    run->escape = '~';
    if (text == NULL || escape_parse(text, &run->escape))
        return true;
    (void)snprintf(message, SSH_MESSAGE_BYTES, "Bad escape character '%.80s'.", text);
    return false;
}

/* As ssh(1): a login shell gets a terminal, and so does a command with -t; both only if there is
 * one here, or with -tt. */
bool ssh_terminal_wanted(const struct ssh_run *run)
{
    const struct ssh_options *options = &run->options;
    const char *asked = options->value[SSH_REQUEST_TTY];
    const bool has_one = tty_is_there() && !ssh_options_is_yes(options, SSH_STDIN_NULL) &&
                         !ssh_options_is_yes(options, SSH_FORK_AFTER_AUTHENTICATION);
    if (asked == NULL || strcasecmp(asked, "auto") == 0)
        return run->line == NULL && has_one;
    if (strcasecmp(asked, "no") == 0 || strcasecmp(asked, "false") == 0)
        return false;
    if (has_one || strcasecmp(asked, "force") == 0)
        return true;
    report_plain("Pseudo-terminal will not be allocated because stdin is not a terminal.");
    return false;
}
