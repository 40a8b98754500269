#include "afar/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "afar/input.h"
#include "afar/json_queue.h"
#include "afar/output.h"
#include "afar/report.h"
#include "afar/signals.h"

enum {
    INTERRUPTS_MAX = 3, /* INT or TERM that often: the user wants to leave */
    /* So long a server has to answer: that it has taken a request back, which must be over within a
     * second; and any sign of life after a signal. */
    TAKE_BACK_MS = 800,
    PROBE_MS = 5000,
    /* And so long a lost connection is tried for, to deliver one. */
    DELIVER_MS = 5000,
    WATCHED = 5
};

struct session {
    struct remote *remote;
    struct afar_client *client;
    const struct afar_command *command;
    const struct session_options *options;
    int failed; /* the status where afar itself has failed */
    bool json;
    bool lost;  /* the connection is of no use any more, or its command is to be ended */
    bool retry; /* a command that was not sent may be sent again, once */
    bool again; /* … and that is to be done */
    bool started;
    bool stdin_blocked; /* the command has not read what it got before */
    bool stdin_done;
    int interrupts;
    int taken_back; /* the signal for which the request was taken back; 0: it was not */
    int leaving;    /* the signal that ends this program soon; 0: none */
    int64_t
        give_up_ms; /* in these cases, or away and interrupted: when to wait no longer; 0: not */
    bool print_job; /* as in the options, as the next two */
    bool stays;
    bool logs;
    bool cut;       /* some output is missing */
    bool printed;   /* the job's id … */
    bool let_go;    /* … and the job is left */
    bool told_away; /* the connection was lost, and it is not back */
    int status;     /* -1: not over */
    struct input input;
    struct output output[2]; /* stdout, stderr */
    bool told_closed[2];     /* the command has been told that nobody reads */
    struct json_queue lines;
    bool lines_refused; /* output was not taken because they were too many */
    struct signals signals;
};

static void fail(struct session *session, const char *what, int sys_errno)
{
    report("%s: %s; the command is ended", what, strerror(sys_errno));
    session->status = session->failed;
    session->lost = true;
}

/* ---- what the library calls ------------------------------------------------------------------ */

/* Each frame becomes a line once it has been taken: on_frame. */
static size_t take_for_line(struct session *session, size_t size)
{
    if (!json_queue_full(&session->lines))
        return size;
    session->lines_refused = true;
    return 0;
}

static size_t on_stdout(void *user, const void *data, size_t size)
{
    struct session *session = user;
    if (session->json)
        return take_for_line(session, size);
    return session->print_job ? size : output_write(&session->output[0], data, size);
}

static size_t on_stderr(void *user, const void *data, size_t size)
{
    struct session *session = user;
    if (session->json)
        return take_for_line(session, size);
    return session->print_job ? size : output_write(&session->output[1], data, size);
}

static void on_started(void *user, const char *job)
{
    struct session *session = user;
    session->started = true;
    if (session->options->started != NULL)
        session->options->started(session->options->user);
    if (!session->print_job || session->printed)
        return;
    session->printed = true;
    if (printf("%s\n", job) < 0 || fflush(stdout) != 0)
        report("cannot write to standard output");
}

/* In numbers, never in silence. */
static void on_cut(void *user, uint64_t stdout_bytes, uint64_t stderr_bytes)
{
    struct session *session = user;
    if (session->command->no_output || session->print_job)
        return;
    session->cut = true;
    if (!session->json)
        report("here %llu bytes of stdout and %llu of stderr are not kept any more",
               (unsigned long long)stdout_bytes, (unsigned long long)stderr_bytes);
}

static void on_frame(void *user, const char *json)
{
    struct session *session = user;
    json_queue_add(&session->lines, json);
}

/* ---- streams --------------------------------------------------------------------------------- */

static bool wants_input(const struct session *session)
{
    return session->command->with_stdin && session->started && !session->stdin_done &&
           !session->stdin_blocked;
}

/* What was read goes to the command, as far as its credit reaches. */
static void give_input(struct session *session, struct afar_error *err)
{
    struct input *input = &session->input;
    session->stdin_blocked = false;
    if (input->failure != 0) {
        fail(session, "cannot read standard input", input->failure);
        return;
    }
    if (input->start < input->end) {
        size_t taken = 0;
        /* Any other failure is the connection's, and afar_process tells it. */
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

/* The reader of our output has gone, or it cannot be written. */
static void check_outputs(struct session *session, struct afar_error *err)
{
    for (int i = 0; i < 2; i++) {
        struct output *output = &session->output[i];
        if (output->failure != 0 && session->status < 0)
            fail(session, output->name, output->failure);
        if (!output->closed || session->told_closed[i])
            continue;
        session->told_closed[i] = true;
        (void)afar_close_output(session->client, i + 1, err);
        if (session->json)
            (void)afar_close_output(session->client, 2, err);
    }
}

/* ---- signals --------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The sender wants the program to end. */
static bool ends_programs(int number)
{
    return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
}

static void leave(struct session *session)
{
    session->status = session->failed;
    session->lost = true;
}

/* A command that has not begun shall not begin: a signal for it would be delivered when it has. */
static void take_back(struct session *session, int number, struct afar_error *err)
{
    if (session->taken_back != 0) {
        report("%s: interrupted twice before the command had begun; the connection is closed, "
               "whether the command begins is unknown",
               session->remote->host);
        leave(session);
        return;
    }
    session->taken_back = number;
    session->give_up_ms = now_ms() + (session->told_away ? DELIVER_MS : TAKE_BACK_MS);
    (void)afar_detach(session->client, err); /* its failure is the connection's: afar_process */
}

/* The server does not answer. A connection that ends takes a request back, too, once it notices. */
static void check_taken_back(struct session *session)
{
    if (session->taken_back == 0 || session->told_away || session->status >= 0 ||
        now_ms() < session->give_up_ms)
        return;
    report("%s: interrupted by %s before the command had begun, and the server does not answer; "
           "whether the command begins is unknown",
           session->remote->host, sigabbrev_np(session->taken_back));
    leave(session);
}

/* Nobody waits any longer for what a signal has done to the command; its connection's end will end
 * it. */
static void check_leaving(struct session *session)
{
    if (session->leaving == 0 || session->status >= 0 || now_ms() < session->give_up_ms)
        return;
    report("%s: ended by %s; the connection is closed, and the server ends the command",
           session->remote->host, sigabbrev_np(session->leaving));
    leave(session);
}

static void begin_leaving(struct session *session, int number)
{
    if (session->options->patience_ms == 0 || !ends_programs(number))
        return;
    session->give_up_ms = now_ms() + (session->leaving != 0 ? 0 : session->options->patience_ms);
    session->leaving = number;
}

static void pass_on(struct session *session, int number, struct afar_error *err)
{
    bool interrupt = number == SIGINT || number == SIGTERM;
    session->interrupts += interrupt ? 1 : 0;
    if (session->interrupts >= INTERRUPTS_MAX) {
        report("%s: gave up after %d interrupts; the connection is closed, whether the command "
               "has ended is unknown",
               session->remote->host, INTERRUPTS_MAX);
        leave(session);
        return;
    }
    (void)afar_signal(session->client, sigabbrev_np(number), err);
    if (ends_programs(number) && session->told_away && session->give_up_ms == 0)
        session->give_up_ms = now_ms() + DELIVER_MS;
    begin_leaving(session, number);
    if (ends_programs(number))
        (void)afar_probe(session->client, PROBE_MS, err);
}

static void take_signals(struct session *session, struct afar_error *err)
{
    while (session->status < 0) {
        int number = signals_next(&session->signals);
        if (number == 0)
            return;
        if (session->stays) {
            if (!ends_programs(number))
                continue;
            if (!session->command->watch)
                report("left job %s, which runs on", session->command->job);
            session->status = 128 + number;
            session->lost = true;
            return;
        }
        if (!session->started && ends_programs(number))
            take_back(session, number, err);
        else
            pass_on(session, number, err);
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* The server had gone before, or was going: nothing of the command has happened. */
static bool may_start_again(const struct session *session, enum afar_status status,
                            const struct afar_error *err)
{
    return session->retry && session->taken_back == 0 && status == AFAR_ECLOSED &&
           strcmp(err->reason, "not_sent") == 0;
}

/* A server from before there were any: it misses the command. */
static bool is_unknown_subsystem(const struct session *session, const struct afar_error *err)
{
    return session->command->subsystem != NULL &&
           (strcmp(err->reason, "bad_request") == 0 || strcmp(err->reason, "unsupported") == 0);
}

/* ---- a lost connection ----------------------------------------------------------------------- */

/* One line when it is lost and one when it is back, for a person. */
static void note_presence(struct session *session)
{
    const char *why = afar_why_away(session->client);
    const bool away = why[0] != '\0';
    const bool person = isatty(STDERR_FILENO) != 0;
    if (away == session->told_away)
        return;
    session->told_away = away;
    if (session->leaving == 0)
        session->give_up_ms = 0;
    if (!person)
        return;
    if (away)
        report("%s; trying to come back to the command for up to %lld s", why,
               (long long)(session->command->resume_ms + 999) / 1000);
    else
        report("%s: the connection is back", session->remote->host);
}

/* Whoever has interrupted it does not want to wait. */
static void check_interrupted_away(struct session *session)
{
    if (!session->told_away || session->give_up_ms == 0 || session->status >= 0 ||
        now_ms() < session->give_up_ms)
        return;
    report("%s: interrupted, and the connection is not back; the command may run for up to %lld s "
           "more",
           session->remote->host, (long long)(session->command->resume_ms + 999) / 1000);
    leave(session);
}

/* True: it was tried, and there is news for process(). */
static bool come_back(struct session *session)
{
    struct remote *remote = session->remote;
    struct afar_error err = {0};
    if (session->status >= 0 || !afar_away(session->client) || afar_timeout(session->client) != 0)
        return false;
    remote_renew(remote);
    const struct afar_resume_options how =
        AFAR_RESUME_OPTIONS_INIT(.context = remote->context,
                                 .timeout_ms = remote->connect_timeout_ms,
                                 .stop_fd = session->signals.fd);
    (void)afar_resume(session->client, &how, &err);
    return true;
}

static int tell_end(const struct session *session, const struct afar_receipt *receipt)
{
    if (session->options->status != NULL)
        return session->options->status(session->options->user, receipt);
    report_receipt(session->remote->host, session->command, receipt);
    return afar_exit_status(receipt);
}

/* Sends, receives, and sees whether it is over. */
static void process(struct session *session, struct afar_error *err)
{
    session->lines_refused = false;
    enum afar_status status = afar_process(session->client, err);
    const struct afar_receipt *receipt = afar_receipt(session->client);
    write_lines(session);
    check_outputs(session, err);
    if (session->status >= 0)
        return;
    note_presence(session);
    if (session->printed && !session->let_go && status == AFAR_OK && receipt == NULL) {
        session->let_go = true;
        (void)afar_detach(session->client, err);
    }
    if (status == AFAR_EREFUSED && strcmp(err->reason, "detached") == 0 &&
        (session->let_go || session->command->no_follow)) {
        session->status = session->cut ? STATUS_CUT : 0;
        return;
    }
    if (may_start_again(session, status, err)) {
        session->again = true;
    } else if (status != AFAR_OK) {
        if (status == AFAR_EREFUSED && is_unknown_subsystem(session, err))
            report("%s offers no files (its afard is older)", session->remote->host);
        else if (status == AFAR_EREFUSED && strcmp(err->reason, "detached") == 0)
            report("interrupted by %s: %s", sigabbrev_np(session->taken_back), err->message);
        else
            report("%s", err->message);
        session->status = session->failed;
        session->lost = status != AFAR_EREFUSED;
    } else if (receipt != NULL) {
        if (session->logs)
            session->status = session->cut ? STATUS_CUT : 0;
        else
            session->status = tell_end(session, receipt);
        if (session->printed && receipt->outcome != AFAR_OUTCOME_SPAWN_FAILED)
            session->status = 0;
    }
}

static int timeout_ms(const struct session *session)
{
    int library_ms = afar_timeout(session->client);
    if (session->give_up_ms == 0)
        return library_ms;
    int64_t left_ms = session->give_up_ms - now_ms();
    int own_ms = left_ms > 0 ? (int)left_ms : 0;
    return library_ms >= 0 && library_ms < own_ms ? library_ms : own_ms;
}

static void wait_ready(struct session *session, struct afar_error *err)
{
    struct output *output = session->output;
    struct pollfd watched[WATCHED] = {
        {.fd = session->signals.fd, .events = POLLIN},
        {.fd = afar_fd(session->client), .events = afar_events(session->client)},
        {.fd = wants_input(session) ? session->input.fd : -1, .events = POLLIN},
        {.fd = output[0].blocked ? output[0].fd : -1, .events = POLLOUT},
        {.fd = output[1].blocked ? output[1].fd : -1, .events = POLLOUT},
    };
    /* Where written lines have made room, there is nothing to wait for: the output that was refused
     * is here already. */
    bool room = session->lines_refused && !json_queue_full(&session->lines);
    if (poll(watched, WATCHED, room ? 0 : timeout_ms(session)) < 0) {
        if (errno != EINTR)
            fail(session, "poll", errno);
        return;
    }
    if (watched[0].revents != 0)
        take_signals(session, err);
    if (watched[2].revents != 0 && input_read(&session->input))
        give_input(session, err);
    for (int i = 0; i < 2; i++) {
        if (watched[3 + i].revents != 0)
            output[i].blocked = false;
    }
}

/* Unless the connection is there: that was not lost, or is the first. */
static bool connect_again(struct session *session)
{
    if (session->remote->client != NULL)
        return true;
    signals_let_through(&session->signals);
    bool connected = remote_connect(session->remote);
    signals_hold_back(&session->signals);
    return connected;
}

/* False: it has been said why. */
static bool start(struct session *session)
{
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_stdout = on_stdout, .on_stderr = on_stderr,
                            .on_started = on_started, .on_frame = session->json ? on_frame : NULL,
                            .on_cut = on_cut, .user = session);
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

/* Lines that standard output did not take before the end. */
static void finish_lines(struct session *session)
{
    while (session->json && session->lines.start < session->lines.end &&
           session->output[0].failure == 0) {
        struct pollfd waiting[2] = {{.fd = session->signals.fd, .events = POLLIN},
                                    {.fd = session->output[0].fd, .events = POLLOUT}};
        if (poll(waiting, 2, -1) < 0 && errno != EINTR)
            return;
        if (waiting[0].revents != 0 && signals_next(&session->signals) != 0) {
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
        process(session, &err);
        if (session->again) {
            start_again(session);
            continue;
        }
        if (session->status < 0 && session->stdin_blocked)
            give_input(session, &err);
        check_taken_back(session);
        check_leaving(session);
        check_interrupted_away(session);
        if (come_back(session))
            continue;
        if (session->status < 0) {
            afar_keep_session(session->client); /* while the command begins: it costs no time */
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
    session->print_job = options->print_job;
    session->stays = options->stays;
    session->logs = options->logs;
    session->status = -1;
    if (!signals_open(&session->signals)) {
        report("signalfd: %s", strerror(errno));
        free(session);
        return status;
    }
    input_open(&session->input, STDIN_FILENO);
    output_open(&session->output[0], STDOUT_FILENO, "cannot write to standard output");
    output_open(&session->output[1], options->stderr_fd != 0 ? options->stderr_fd : STDERR_FILENO,
                "cannot write to standard error");
    status = run(session);
    if (session->lost)
        remote_disconnect(remote);
    if (options->taken_back != NULL)
        *options->taken_back = session->taken_back;
    output_close(&session->output[0]);
    output_close(&session->output[1]);
    input_close(&session->input);
    json_queue_close(&session->lines);
    signals_close(&session->signals);
    free(session);
    return status;
}
