/* -W, -L and -D: forwarding while the connection lasts. */
#include "afar/ssh/run.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "afar/channel.h"
#include "afar/report.h"

static bool add(struct forwards *forwards, const char *text, bool dynamic)
{
    struct afar_error err;
    struct forward_spec *spec = forwards_next(forwards);
    const char *letter = dynamic ? "-D" : "-L";
    if (spec == NULL) {
        report("%s %s: at most %d can be forwarded", letter, text, FORWARDS_MAX);
        return false;
    }
    enum afar_status status = dynamic ? forward_spec_dynamic(spec, text, &err)
                                      : forward_spec_local(spec, text, false, &err);
    if (status == AFAR_OK) {
        forwards->count++;
        return true;
    }
    report_plain("Bad %s forwarding specification '%s'", dynamic ? "dynamic" : "local", text);
    report("%s: %s", letter, err.message);
    return false;
}

bool ssh_forwards_parse(struct ssh_run *run)
{
    const struct ssh_options *options = &run->options;
    const struct ssh_words *locals = &options->list[SSH_LOCAL_FORWARD];
    const struct ssh_words *dynamics = &options->list[SSH_DYNAMIC_FORWARD];
    struct forwards *forwards = &run->forwards;
    if (ssh_options_is_yes(options, SSH_CLEAR_ALL_FORWARDINGS))
        return true;
    forwards->everywhere = ssh_options_is_yes(options, SSH_GATEWAY_PORTS);
    forwards->user = options->value[SSH_USER];
    for (size_t i = 0; i < locals->count; i++) {
        if (!add(forwards, locals->at[i], false))
            return false;
    }
    for (size_t i = 0; i < dynamics->count; i++) {
        if (!add(forwards, dynamics->at[i], true))
            return false;
    }
    return true;
}

bool ssh_forwards_open(struct ssh_run *run)
{
    if (run->forwards.count == 0)
        return true;
    if (!forwards_listen(&run->forwards, run->verbose)) {
        if (ssh_options_is_yes(&run->options, SSH_EXIT_ON_FORWARD_FAILURE)) {
            report("Could not request local forwarding.");
            return false;
        }
    }
    /* In the background the caller's standard error is not ours; see let_go_of_streams. */
    run->forwards.is_silent = ssh_options_is_yes(&run->options, SSH_FORK_AFTER_AUTHENTICATION) &&
                              !run->verbose && run->options.log_file == NULL;
    return forwards_start(&run->forwards, &run->remote);
}

/* Runs no command, as in ssh(1). */
int ssh_stdio_forward(struct ssh_run *run)
{
    struct channel channel = {.connected = NULL};
    struct afar_error err;
    char target[FORWARD_TEXT_BYTES];
    if (forward_spec_stdio(target, run->options.stdio_forward, &err) != AFAR_OK) {
        report("-W: %s", err.message);
        return SSH_STATUS_FAILED;
    }
    int status = channel_run(&run->remote, target, run->options.value[SSH_USER], &channel);
    if (status != 0 && !channel.is_connected)
        report_plain("stdio forwarding failed");
    return status;
}
