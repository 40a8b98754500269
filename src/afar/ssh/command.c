#include "afar/ssh/run.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <afar/afar.h>

#include "afar/report.h"
#include "afar/session.h"
#include "afar/tty.h"

/* PATIENCE_MS: how long the command has to end by a signal that ends programs; then its connection
 * is closed, and the server ends it. */
enum { PATIENCE_MS = 2000, HOLD_MS = 10000, HOLD_ANSWER_MS = 30000, SHARE_ENDS_MS = 500 };

/* ---- environment --------------------------------------------------------------------------------
 */

static bool is_sent(const struct ssh_words *patterns, const char *entry)
{
    char name[256];
    size_t size = strcspn(entry, "=");
    bool sent = false;
    if (size >= sizeof name)
        return false;
    memcpy(name, entry, size);
    name[size] = '\0';
    for (size_t i = 0; i < patterns->count; i++) {
        bool removes = patterns->at[i][0] == '-';
        if (fnmatch(patterns->at[i] + (removes ? 1 : 0), name, 0) == 0)
            sent = !removes;
    }
    return sent;
}

static bool choose_environment(struct ssh_run *run)
{
    const struct ssh_words *patterns = &run->options.list[SSH_SEND_ENV];
    for (char **entry = environ; patterns->count > 0 && *entry != NULL; entry++) {
        if (!is_sent(patterns, *entry))
            continue;
        if (!ssh_words_add(&run->send_env, *entry, strlen(*entry)))
            return false;
        ssh_debug(run, "sending env %.*s", (int)strcspn(*entry, "="), *entry);
    }
    return true;
}

/* ---- the end ------------------------------------------------------------------------------------
 */

/* 255 is for failures here or of the connection. What the server has ended gets another status:
 * after 255, tools would try again. */
static int exit_status(void *user, const struct afar_receipt *receipt)
{
    const struct ssh_run *run = user;
    int status = afar_exit_status(receipt);
    switch (receipt->outcome) {
    case AFAR_OUTCOME_EXITED:
    case AFAR_OUTCOME_SIGNALED:
        if (run->verbose)
            report_receipt(run->remote.host, &run->command, receipt);
        ssh_debug(run, "Exit status %d", status);
        return status;
    case AFAR_OUTCOME_SPAWN_FAILED:
        report_receipt(run->remote.host, &run->command, receipt);
        return status == 126 || status == 127 ? status : SSH_STATUS_FAILED;
    case AFAR_OUTCOME_TIMED_OUT:
        report_receipt(run->remote.host, &run->command, receipt);
        return status;
    case AFAR_OUTCOME_OUTPUT_LIMIT:
    case AFAR_OUTCOME_KILLED:
        report_receipt(run->remote.host, &run->command, receipt);
        return 128 + SIGKILL;
    case AFAR_OUTCOME_DISCONNECTED:
    case AFAR_OUTCOME_SERVER_LOST:
        break;
    }
    report_receipt(run->remote.host, &run->command, receipt);
    return SSH_STATUS_FAILED;
}

/* ---- in the background --------------------------------------------------------------------------
 */

static bool in_background(const struct ssh_run *run)
{
    return ssh_options_is_yes(&run->options, SSH_FORK_AFTER_AUTHENTICATION);
}

static void make_null(int first, int last)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = first; null >= 0 && fd <= last; fd++)
        (void)dup2(null, fd);
    if (null >= 0)
        (void)close(null);
}

/* In the background, with no command that writes: lets go of the caller's standard output and
 * error, because the caller may wait for their end. As ssh(1), keeps what we write there with -v,
 * and the file of -E. */
static void let_go_of_streams(struct ssh_run *run)
{
    make_null(STDOUT_FILENO,
              run->verbose || run->options.log_file != NULL ? STDOUT_FILENO : STDERR_FILENO);
    if (run->stderr_fd > 0)
        (void)close(run->stderr_fd);
    run->stderr_fd = 0;
}

/* -f: the command runs, so the parent exits and its caller can go on. The child has the connection
 * and the signals from now on. */
static void go_on_behind(void *user)
{
    struct ssh_run *run = user;
    if (run->no_terminal)
        report_plain("PTY allocation request failed on channel 0");
    if (!in_background(run))
        return;
    pid_t child = fork();
    if (child > 0)
        _exit(0);
    if (child < 0) {
        report("cannot go to the background: %s", strerror(errno));
        return;
    }
    (void)setsid();
    make_null(STDIN_FILENO, STDIN_FILENO);
    if (run->options.no_command)
        let_go_of_streams(run);
}

/* ---- what is asked for --------------------------------------------------------------------------
 */

/* -N: runs nothing, and holds the connection. Signals end this program as usual; -O exit ends a
 * master. */
static int hold(struct ssh_run *run)
{
    struct pollfd watched[] = {{.fd = ssh_share_watch(run), .events = POLLIN}, {.events = POLLIN}};
    struct pollfd *share = &watched[0];
    go_on_behind(run);
    for (;;) {
        struct afar_pong pong = AFAR_PONG_INIT();
        struct afar_error err = {0};
        if (share->fd >= 0)
            ssh_share_use(run);
        if (afar_ping(run->remote.client, HOLD_ANSWER_MS, &pong, &err) != AFAR_OK) {
            /* A share that ends closes the connection first. */
            if (share->fd < 0 || poll(share, 1, SHARE_ENDS_MS) <= 0)
                report("%s", err.message);
            break;
        }
        /* The next ping reads what the server has sent, and finds the end of the connection. */
        watched[1].fd = afar_fd(run->remote.client);
        if (poll(watched, 2, HOLD_MS) > 0 && share->revents != 0) {
            ssh_debug(run, "The share has ended.");
            break;
        }
    }
    if (share->fd >= 0)
        (void)close(share->fd);
    return SSH_STATUS_FAILED;
}

/* Makes the request: the command, run by the user's shell in the home directory; or a subsystem. */
static struct afar_command make_command(const struct ssh_run *run)
{
    const struct ssh_options *options = &run->options;
    if (options->subsystem)
        return (struct afar_command)AFAR_COMMAND_INIT(.with_stdin = true, .subsystem = run->line,
                                                      .user = options->value[SSH_USER],
                                                      .resume_ms = run->remote.reconnect_ms);
    return (struct afar_command)
        AFAR_COMMAND_INIT(.shell = run->line,
                          .env = (const char *const *)options->list[SSH_SET_ENV].at,
                          .with_stdin =
                              !in_background(run) && !ssh_options_is_yes(options, SSH_STDIN_NULL),
                          .resume_ms = run->remote.reconnect_ms, .user = options->value[SSH_USER],
                          .env_if_allowed = (const char *const *)run->send_env.at, .home = true,
                          .login = run->line == NULL, .leave = true,
                          .shell_of_user = run->line != NULL);
}

/* Without a terminal to give, the command runs without one, as with ssh: some tools ask for one for
 * every command, and do not need it. */
static int run_command(struct ssh_run *run)
{
    const struct session_options how = {.failed_status = SSH_STATUS_FAILED,
                                        .stderr_fd = run->stderr_fd,
                                        .escape = run->escape,
                                        .patience_ms = PATIENCE_MS,
                                        .status = exit_status,
                                        .started = go_on_behind,
                                        .no_terminal = &run->no_terminal,
                                        .user = run};
    int status = session_run(&run->remote, &run->command, &how);
    if (!run->no_terminal)
        return status;
    run->command.pty = NULL;
    return session_run(&run->remote, &run->command, &how);
}

int ssh_command(struct ssh_run *run)
{
    const struct ssh_options *options = &run->options;
    const char *x11 = options->value[SSH_FORWARD_X11];
    struct tty_wish wish;
    if (options->no_command)
        return hold(run);
    if (x11 != NULL && strcasecmp(x11, "no") != 0 && getenv("DISPLAY") != NULL)
        report_plain("X11 forwarding request failed on channel 0");
    if (!choose_environment(run)) {
        report("out of memory");
        return SSH_STATUS_FAILED;
    }
    run->command = make_command(run);
    if (!options->subsystem && ssh_terminal_wanted(run)) {
        tty_describe(&wish, environ);
        run->command.pty = &wish.pty;
    }
    int status = run_command(run);
    if (in_background(run))
        let_go_of_streams(run); /* forwarded connections may last longer */
    if (run->command.pty != NULL && tty_is_there() && status != SSH_STATUS_FAILED)
        report_plain("Connection to %s closed.", run->destination.host);
    return status;
}
