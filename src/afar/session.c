#include "afar/session_internal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "afar/channel.h"
#include "afar/report.h"

enum { WATCHED = 5 };

static void fail(struct session *session, const char *what, int sys_errno)
{
    console_leave(&session->console, true);
    if (session->options->channel == NULL) /* its other end may vanish at any time */
        report("%s: %s%s", what, strerror(sys_errno),
               session_is_kept(session) ? "" : "; the command is ended");
    session->status = session->failed;
    session->lost = true;
}

/* ---- what the library calls ------------------------------------------------------------------ */

/* With --json: takes the output if its line (on_frame) has room in the queue. */
static size_t take_for_line(struct session *session, size_t size)
{
    if (!json_queue_full(&session->lines))
        return size;
    session->lines_refused = true;
    return 0;
}

static size_t show(struct session *session, const void *data, size_t size)
{
    console_foresee(&session->console, data, size);
    if (session->options->channel != NULL)
        channel_sees_output(session->options->channel);
    size_t taken = output_write(&session->output[0], data, size);
    if (session->options->channel != NULL)
        channel_wrote(session->options->channel, taken);
    console_follow(&session->console, data, taken);
    return taken;
}

static size_t on_stdout(void *user, const void *data, size_t size)
{
    struct session *session = user;
    if (session->json)
        return take_for_line(session, size);
    if (session->options->print_job)
        return size;
    if (session->stamps != NULL)
        return stamp_write(&session->stamps[0], &session->output[0], data, size);
    for (size_t done = 0;;) {
        const char *at = (const char *)data + done;
        const size_t part = console_part(&session->console, at, size - done);
        const size_t taken = show(session, at, part);
        console_replayed(&session->console, taken);
        done += taken;
        if (taken < part || done == size)
            return done;
    }
}

static size_t on_stderr(void *user, const void *data, size_t size)
{
    struct session *session = user;
    if (session->json)
        return take_for_line(session, size);
    if (session->options->channel != NULL) {
        channel_hear(session->options->channel, data, size);
        return size;
    }
    if (session->stamps != NULL)
        return stamp_write(&session->stamps[1], &session->output[1], data, size);
    return session->options->print_job ? size : output_write(&session->output[1], data, size);
}

static void on_time(void *user, int stream, uint64_t time_us)
{
    struct session *session = user;
    if (session->stamps != NULL)
        stamp_time(&session->stamps[stream - 1], time_us);
    if (session->stamps == NULL || time_us > 0 || session->timeless)
        return;
    session->timeless = true;
    report("%s does not tell when this was written (the job's afard is older)",
           session->remote->host);
}

static void on_started(void *user, const char *job)
{
    struct session *session = user;
    session->started = true;
    (void)snprintf(session->job, sizeof session->job, "%s", job);
    if (session->options->started != NULL)
        session->options->started(session->options->user);
    console_begin(&session->console);
    if (!session->options->print_job || session->printed)
        return;
    session->printed = true;
    if (session->json) /* the id is in the lines */
        return;
    if (printf("%s\n", job) < 0 || fflush(stdout) != 0) {
        report("cannot write to standard output: %s; job %s is kept", strerror(errno), job);
        session->status = session->failed;
        session->lost = true;
    }
}

static void on_screen(void *user, const char *modes, uint64_t replay)
{
    struct session *session = user;
    console_begin_screen(&session->console, modes, replay);
}

/* Output is missing here: reports how much. */
static void on_cut(void *user, uint64_t stdout_bytes, uint64_t stderr_bytes)
{
    struct session *session = user;
    char text[128];
    console_replayed(&session->console, stdout_bytes);
    if (session->command->no_output || session->options->print_job)
        return;
    session->cut = true;
    (void)snprintf(text, sizeof text,
                   "here %llu bytes of stdout and %llu of stderr are not kept any more",
                   (unsigned long long)stdout_bytes, (unsigned long long)stderr_bytes);
    if (!session->json)
        console_tell(&session->console, text);
}

static const char exit_frame[] = "{\"type\":\"exit\",";
static const char error_frame[] = "{\"type\":\"error\",";

static void on_frame(void *user, const char *json)
{
    struct session *session = user;
    /* A client that waits only for the end wants only the receipt, or why there is none. */
    if (!session->command->no_output || strncmp(json, exit_frame, sizeof exit_frame - 1) == 0 ||
        strncmp(json, error_frame, sizeof error_frame - 1) == 0)
        json_queue_add(&session->lines, json);
}

/* ---- streams --------------------------------------------------------------------------------- */

static bool wants_input(const struct session *session)
{
    if (session->console.own)
        return session->started && console_wants_keys(&session->console);
    return session->command->with_stdin && !session->options->print_job && session->started &&
           !session->stdin_done && !session->stdin_blocked;
}

/* Gives keys to the command, and carries out escape commands. */
static void give_keys(struct session *session, struct afar_error *err)
{
    struct console *console = &session->console;
    enum escape_action action = ESCAPE_NOTHING;
    console_tick(console, session->client, session_now_ms()); /* a new size goes first */
    console->link_fd = afar_fd(session->client);
    do {
        action = console_take(console, &session->input);
        if (console->start < console->end) {
            size_t taken = 0;
            (void)afar_write_stdin(session->client, console->keys + console->start,
                                   console->end - console->start, &taken, err);
            console->start += taken;
            session->stdin_blocked = console->start < console->end;
        }
        session_act(session, action, err);
    } while (session->status < 0 && !session->stdin_blocked &&
             session->input.start < session->input.end);
}

/* Gives what was read to the command, as far as it has credit. */
static void give_input(struct session *session, struct afar_error *err)
{
    struct input *input = &session->input;
    session->stdin_blocked = false;
    if (input->failure != 0) {
        fail(session, "cannot read standard input", input->failure);
        return;
    }
    if (session->console.own) {
        give_keys(session, err);
        return;
    }
    if (input->start < input->end) {
        size_t taken = 0;
        /* afar_process reports any other failure. */
        (void)afar_write_stdin(session->client, input->data + input->start,
                               input->end - input->start, &taken, err);
        input->start += taken;
        session->stdin_blocked = input->start < input->end;
    }
    if (input->ended && !session->stdin_blocked) {
        (void)afar_close_stdin(session->client, err);
        session->stdin_done = true;
    }
}

static void write_lines(struct session *session)
{
    struct json_queue *lines = &session->lines;
    if (lines->failed && session->status != session->failed)
        fail(session, "standard output", ENOMEM);
    if (lines->end > lines->start && !session->output[0].blocked)
        json_queue_taken(lines, output_write(&session->output[0], lines->data + lines->start,
                                             lines->end - lines->start));
}

/* If the target of a forwarded connection has ended its direction, ends our output. */
static void check_channel(struct session *session)
{
    if (session->options->channel == NULL || !channel_output_is_over(session->options->channel))
        return;
    output_close(&session->output[0]);
    channel_close_output();
    output_open(&session->output[0], STDOUT_FILENO, session->output[0].name);
}

/* False for a standard error that was closed on purpose (2>&-). */
static bool has_lost_reader(const struct output *output)
{
    struct pollfd state = {.fd = output->fd};
    return poll(&state, 1, 0) > 0 && (state.revents & (POLLERR | POLLHUP)) != 0;
}

/* The reader of our standard output (i = 0) or standard error is gone. A command that runs for this
 * client alone hears of it; the output of a kept job has other readers, so only we stop: one who
 * reads along leaves, one who has started the job still waits for its end. */
static void lose_reader(struct session *session, int i, struct afar_error *err)
{
    const bool leaves = i == 0 || has_lost_reader(&session->output[i]);
    if (session->command->job != NULL && leaves) {
        session_leave_job(session, SIGPIPE);
    } else if (!session_is_kept(session)) {
        (void)afar_close_output(session->client, i + 1, err);
        if (session->json)
            (void)afar_close_output(session->client, 2, err);
    }
}

/* Acts if the reader of an output is gone, or writing failed. */
static void check_outputs(struct session *session, struct afar_error *err)
{
    for (int i = 0; i < 2; i++) {
        struct output *output = &session->output[i];
        if (output->failure != 0 && session->status < 0)
            fail(session, output->name, output->failure);
        if (!output->closed || session->told_closed[i])
            continue;
        session->told_closed[i] = true;
        lose_reader(session, i, err);
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* True if the server was gone before the command was sent, so that it can be sent again. */
static bool may_start_again(const struct session *session, enum afar_status status,
                            const struct afar_error *err)
{
    return (session->retry || session->remote->shared) && session->taken_back == 0 &&
           status == AFAR_ECLOSED && strcmp(err->reason, "not_sent") == 0;
}

/* True if the caller can ask again without a terminal. */
static bool has_no_terminal(struct session *session, const struct afar_error *err)
{
    const struct session_options *options = session->options;
    if (options->no_terminal == NULL || session->command->pty == NULL || *options->no_terminal ||
        !(session_is_unknown_terminal(session, err) || strcmp(err->reason, "denied") == 0))
        return false;
    *options->no_terminal = true;
    session->status = session->failed;
    return true;
}

static int tell_end(const struct session *session, const struct afar_receipt *receipt)
{
    if (session->options->status != NULL)
        return session->options->status(session->options->user, receipt);
    report_receipt(session->remote->host, session->command, receipt);
    return afar_exit_status(receipt);
}

static void take_receipt(struct session *session, const struct afar_receipt *receipt)
{
    console_leave(&session->console,
                  session->options->logs || receipt->outcome != AFAR_OUTCOME_EXITED);
    report_unverified(session->remote->host, session->command, receipt, session->cut);
    if (session->options->logs)
        session->status = session->cut ? STATUS_CUT : 0;
    else
        session->status = tell_end(session, receipt);
    /* With --once the job may have ended long ago with an unknown outcome: that is not a
     * success. */
    if (session->printed && receipt->outcome != AFAR_OUTCOME_SPAWN_FAILED &&
        receipt->outcome != AFAR_OUTCOME_SERVER_LOST)
        session->status = 0;
}

/* Leaves the job, once its id was printed. True: the server has confirmed that we have left it, or
 * has sent all that there is now. */
static bool let_go(struct session *session, enum afar_status status,
                   const struct afar_receipt *receipt, struct afar_error *err)
{
    if (session->printed && !session->let_go && status == AFAR_OK && receipt == NULL) {
        session->let_go = true;
        (void)afar_detach(session->client, err);
    }
    if (status != AFAR_EREFUSED || strcmp(err->reason, "detached") != 0 ||
        !(session->let_go || session->command->no_follow))
        return false;
    session->status = session->cut ? STATUS_CUT : 0;
    return true;
}

void session_process(struct session *session, struct afar_error *err)
{
    session->lines_refused = false;
    enum afar_status status = afar_process(session->client, err);
    const struct afar_receipt *receipt = afar_receipt(session->client);
    write_lines(session);
    check_channel(session);
    check_outputs(session, err);
    if (session->status >= 0)
        return;
    session_note_presence(session);
    if (let_go(session, status, receipt, err))
        return;
    if (may_start_again(session, status, err)) {
        session->again = true;
    } else if (status != AFAR_OK) {
        console_leave(&session->console, true);
        session->lost = status != AFAR_EREFUSED;
        if (session->hanging_up) { /* no matter how it ended */
            session->status = session->hung_up;
            return;
        }
        if (status == AFAR_EREFUSED && has_no_terminal(session, err))
            return;
        session_tell_failure(session, status, err);
        session->status = session->failed;
    } else if (receipt != NULL) {
        take_receipt(session, receipt);
    }
}

/* The smaller timeout; -1: none. */
static int sooner(int a_ms, int b_ms)
{
    if (a_ms < 0 || b_ms < 0)
        return a_ms < 0 ? b_ms : a_ms;
    return a_ms < b_ms ? a_ms : b_ms;
}

static int timeout_ms(const struct session *session)
{
    int library_ms =
        sooner(afar_timeout(session->client), console_timeout(&session->console, session_now_ms()));
    if (session->hanging_up) {
        int64_t until_ms = session->hang_up_ms - session_now_ms();
        library_ms = sooner(library_ms, until_ms > 0 ? (int)until_ms : 0);
    }
    if (session->away_say_ms != 0) {
        int64_t until_ms = session->away_say_ms - session_now_ms();
        library_ms = sooner(library_ms, until_ms > 0 ? (int)until_ms : 0);
    }
    const int64_t ends_ms[] = {session->give_up_ms, session->wait_until_ms};
    for (size_t i = 0; i < sizeof ends_ms / sizeof ends_ms[0]; i++) {
        int64_t left_ms = ends_ms[i] - session_now_ms();
        if (left_ms > INT_MAX)
            left_ms = INT_MAX;
        if (ends_ms[i] != 0)
            library_ms = sooner(library_ms, left_ms > 0 ? (int)left_ms : 0);
    }
    return library_ms;
}

/* The descriptor of standard input to poll; -1: none. A forwarded connection is polled even while
 * nothing is read, to notice a reset. */
static int input_to_watch(const struct session *session)
{
    const struct input *input = &session->input;
    const bool anyhow =
        session->options->channel != NULL && input->is_socket && !session->stdin_hung;
    return wants_input(session) || anyhow ? input->fd : -1;
}

static void watch_input(struct session *session, short events, struct afar_error *err)
{
    if (wants_input(session)) {
        if (events != 0 && input_read(&session->input))
            give_input(session, err);
        return;
    }
    session->stdin_hung = events != 0;
    if ((events & POLLERR) != 0)
        fail(session, "standard input", ECONNRESET);
}

static void wait_ready(struct session *session, struct afar_error *err)
{
    struct output *output = session->output;
    struct pollfd watched[WATCHED] = {
        {.fd = session->signals.fd, .events = POLLIN},
        {.fd = afar_fd(session->client), .events = afar_events(session->client)},
        {.fd = input_to_watch(session), .events = wants_input(session) ? POLLIN : 0},
        {.fd = output[0].blocked ? output[0].fd : -1, .events = POLLOUT},
        {.fd = output[1].blocked ? output[1].fd : -1, .events = POLLOUT},
    };
    /* If lines that were written have made room, do not wait: the refused output is here
     * already. */
    bool room = session->lines_refused && !json_queue_full(&session->lines);
    if (poll(watched, WATCHED, room ? 0 : timeout_ms(session)) < 0) {
        if (errno != EINTR)
            fail(session, "poll", errno);
        return;
    }
    if (watched[0].revents != 0)
        session_take_signals(session, err);
    watch_input(session, watched[2].revents, err);
    for (int i = 0; i < 2; i++) {
        if (watched[3 + i].revents != 0)
            output[i].blocked = false;
    }
}

/* Connects again, unless there is a connection: it was not lost, or is the first. */
static bool connect_again(struct session *session)
{
    if (session->remote->client != NULL)
        return true;
    signals_let_through(&session->signals);
    bool connected = remote_connect(session->remote);
    signals_hold_back(&session->signals);
    return connected;
}

/* Sends the request. False: the reason was reported. */
static bool start(struct session *session)
{
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_stdout = on_stdout, .on_stderr = on_stderr,
                            .on_started = on_started, .on_frame = session->json ? on_frame : NULL,
                            .on_cut = on_cut, .on_screen = on_screen, .on_time = on_time,
                            .user = session);
    struct remote *remote = session->remote;
    struct afar_error err = {0};
    for (;;) {
        if (!connect_again(session))
            return false;
        enum afar_status status = afar_start(remote->client, session->command, &callbacks, &err);
        session->client = remote->client;
        if (status == AFAR_OK)
            return true;
        session->lost = status != AFAR_EINVAL && status != AFAR_ELIMIT;
        if (!may_start_again(session, status, &err))
            break;
        remote_disconnect(remote);
        session->retry = false;
    }
    report("%s", err.message);
    return false;
}

/* Writes the lines that standard output did not take before the end. */
static void finish_lines(struct session *session)
{
    while (session->json && session->lines.start < session->lines.end &&
           session->output[0].failure == 0) {
        struct pollfd waiting[2] = {{.fd = session->signals.fd, .events = POLLIN},
                                    {.fd = session->output[0].fd, .events = POLLOUT}};
        if (poll(waiting, 2, -1) < 0 && errno != EINTR)
            return;
        if (waiting[0].revents != 0 && session_is_end(signals_next(&session->signals))) {
            session->status = session->failed;
            return;
        }
        session->output[0].blocked = false;
        write_lines(session);
    }
    if (session->output[0].failure != 0 && session->status != session->failed)
        fail(session, session->output[0].name, session->output[0].failure);
}

static void start_again(struct session *session)
{
    session->again = session->retry = false;
    remote_disconnect(session->remote);
    if (!start(session))
        session->status = session->failed;
}

static int run(struct session *session)
{
    struct afar_error err = {0};
    if (!start(session))
        session->status = session->failed;
    while (session->status < 0) {
        session_process(session, &err);
        if (session->again) {
            start_again(session);
            continue;
        }
        if (session->status < 0 && session->stdin_blocked)
            give_input(session, &err);
        session_check_taken_back(session);
        session_check_leaving(session);
        session_check_interrupted_away(session);
        session_check_away(session);
        session_check_wait(session);
        if (session_come_back(session))
            continue;
        if (session->status < 0) {
            console_tick(&session->console, session->client, session_now_ms());
            afar_keep_session(session->client); /* while the command begins, this costs no time */
            wait_ready(session, &err);
        }
    }
    finish_lines(session);
    return session->status;
}

int session_run(struct remote *remote, const struct afar_command *command,
                const struct session_options *options)
{
    int status = options->failed_status != 0 ? options->failed_status : STATUS_FAILED;
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        report("out of memory");
        return status;
    }
    session->remote = remote;
    session->command = command;
    session->options = options;
    session->failed = status;
    session->json = options->json;
    session->retry = options->retry;
    session->status = -1;
    if (options->wait_ms > 0)
        session->wait_until_ms = session_now_ms() + options->wait_ms;
    console_init(&session->console, remote->host, command,
                 command->with_stdin && !options->json && !options->print_job, options->escape);
    session->stamps = options->timestamps ? calloc(2, sizeof *session->stamps) : NULL;
    if (options->timestamps && session->stamps == NULL) {
        report("out of memory");
        free(session);
        return status;
    }
    if ((options->logs || (session->console.on && !session->console.own && !options->print_job)) &&
        !options->json)
        console_follow_only(&session->console);
    if (!signals_open(&session->signals, session->console.on)) {
        report("signalfd: %s", strerror(errno));
        free(session->stamps);
        free(session);
        return status;
    }
    input_open(&session->input, STDIN_FILENO);
    output_open(&session->output[0], STDOUT_FILENO, "cannot write to standard output");
    output_open(&session->output[1], options->stderr_fd != 0 ? options->stderr_fd : STDERR_FILENO,
                "cannot write to standard error");
    status = run(session);
    console_leave(&session->console, true);
    if (session->lost) {
        session_farewell(session);
        remote_disconnect(remote);
    }
    if (options->taken_back != NULL)
        *options->taken_back = session->taken_back;
    output_close(&session->output[0]);
    output_close(&session->output[1]);
    input_close(&session->input);
    json_queue_close(&session->lines);
    signals_close(&session->signals);
    free(session->stamps);
    free(session);
    return status;
}
