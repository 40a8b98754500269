#include "afar/cp_host.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "afar/report.h"
#include "base/clock.h"

/* --timeout ends a copy here, which then has time to close its files. The server's own end is for
 * the case that we cannot. */
enum { TIMEOUT_MORE_MS = 10000 };

static void end(struct cp_host *host, int status)
{
    if (host->ended)
        return;
    host->ended = true;
    host->status = status;
    requests_end(&host->requests);
}

static bool is_held(const struct cp_host *host)
{
    return (host->copy != NULL && buffer_size(&host->copy->output) > 0) ||
           (host->next_to != NULL && buffer_size(&host->next_to->requests.out) > CP_HELD_BYTES);
}

static size_t on_stdout(void *user, const void *data, size_t size)
{
    struct cp_host *host = user;
    struct afar_error err;
    if (host->ended)
        return size;
    if (is_held(host))
        return 0;
    if (requests_take(&host->requests, data, size, &err) != AFAR_OK) {
        report("%s: %s; the connection is closed", host->remote.host, err.message);
        end(host, STATUS_FAILED);
    }
    return size;
}

/* Reports each line. */
static size_t on_stderr(void *user, const void *data, size_t size)
{
    struct cp_host *host = user;
    const char *at = data;
    size_t left = size;
    while (left > 0) {
        const char *newline = memchr(at, '\n', left);
        size_t length = newline != NULL ? (size_t)(newline - at) : left;
        report("%s: %.*s", host->remote.host, (int)(length < 512 ? length : 512), at);
        length += newline != NULL ? 1 : 0;
        at += length;
        left -= length;
    }
    return size;
}

void cp_host_give_up(struct cp_host *host, int status)
{
    end(host, status);
}

bool cp_host_open(struct cp_host *host, const struct options *options, const char *name)
{
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_stdout = on_stdout, .on_stderr = on_stderr, .user = host);
    const int64_t timeout_ms = options->timeout_ms > 0 ? options->timeout_ms + TIMEOUT_MORE_MS : 0;
    struct afar_error err = {0};
    host->opened = true;
    host->name = strdup(name);
    host->options = *options;
    host->options.host = host->name;
    if (host->name == NULL) {
        report("out of memory");
        return false;
    }
    if (requests_init(&host->requests, &err) != AFAR_OK) {
        report("%s", err.message);
        return false;
    }
    if (!remote_open(&host->remote, &host->options, NULL))
        return false;
    host->remote.request_follows = true;
    if (!remote_connect(&host->remote))
        return false;
    if (remote_is_shell(&host->remote)) {
        report("cp: files cannot be had with the protocols sized and headed");
        return false;
    }
    host->command =
        (struct afar_command)AFAR_COMMAND_INIT(.subsystem = "sftp",
                                               .user = host->remote.entry.value[HOST_USER].text,
                                               .timeout_ms = timeout_ms,
                                               .resume_ms = host->remote.reconnect_ms,
                                               .with_stdin = true);
    if (afar_start(host->remote.client, &host->command, &callbacks, &err) == AFAR_OK)
        return true;
    report("%s", err.message);
    return false;
}

void cp_host_close(struct cp_host *host)
{
    if (!host->opened)
        return;
    remote_close(&host->remote);
    requests_close(&host->requests);
    free(host->name);
    host->opened = false;
}

static void send_requests(struct cp_host *host)
{
    struct buffer *out = &host->requests.out;
    struct afar_error err;
    host->blocked = false;
    while (buffer_size(out) > 0 && !host->blocked) {
        size_t taken = 0;
        enum afar_status status =
            afar_write_stdin(host->remote.client, buffer_head(out), buffer_size(out), &taken, &err);
        buffer_consume(out, taken);
        /* afar_process reports any other failure. */
        host->blocked = status != AFAR_OK || taken == 0;
    }
}

static void explain_refusal(const struct cp_host *host, const struct afar_error *err)
{
    if (strcmp(err->reason, "bad_request") == 0 || strcmp(err->reason, "unsupported") == 0)
        report("%s offers no files (its afard is older)", host->remote.host);
    else
        report("%s", err->message);
}

/* On a terminal, reports once that the connection is lost, and once that it is back. */
static void note_presence(struct cp_host *host)
{
    const char *why = afar_why_away(host->remote.client);
    bool away = why[0] != '\0';
    if (away == host->told_away)
        return;
    host->told_away = away;
    if (isatty(STDERR_FILENO) != 1)
        return;
    if (away)
        report("%s; trying to come back for up to %lld s", why,
               (long long)(host->remote.reconnect_ms + 999) / 1000);
    else
        report("%s: the connection is back", host->remote.host);
}

static void come_back(struct cp_host *host)
{
    struct afar_error err = {0};
    if (!afar_away(host->remote.client) || afar_timeout(host->remote.client) != 0)
        return;
    if (!remote_renew(&host->remote)) {
        end(host, STATUS_FAILED);
        return;
    }
    const struct afar_resume_options how =
        AFAR_RESUME_OPTIONS_INIT(.context = host->remote.context,
                                 .timeout_ms = host->remote.connect_timeout_ms,
                                 .stop_fd = host->stop_fd, .stream = remote_stream(&host->remote));
    (void)afar_resume(host->remote.client, &how, &err); /* afar_process reports the failure */
}

void cp_host_move(struct cp_host *host)
{
    struct afar_error err = {0};
    if (host->ended)
        return;
    come_back(host);
    if (host->ended)
        return;
    send_requests(host);
    enum afar_status status = afar_process(host->remote.client, &err);
    if (host->ended)
        return;
    note_presence(host);
    if (status == AFAR_EREFUSED)
        explain_refusal(host, &err);
    else if (status != AFAR_OK)
        report("%s", err.message);
    const struct afar_receipt *receipt = afar_receipt(host->remote.client);
    if (status == AFAR_OK && receipt == NULL) {
        send_requests(
            host); /* the server may have taken what it got before, and no event reports that */
        return;
    }
    if (status == AFAR_OK)
        report_receipt(host->remote.host, &host->command, receipt);
    int ended = status == AFAR_OK ? afar_exit_status(receipt) : STATUS_FAILED;
    if (status == AFAR_OK && ended == 0)
        report("%s: the file server has ended before it was asked to", host->remote.host);
    end(host, ended == STATUS_TIMED_OUT ? STATUS_TIMED_OUT : STATUS_FAILED);
}

bool cp_host_has_more(const struct cp_host *host)
{
    return host->opened && !host->ended && buffer_size(&host->requests.out) > 0 && !host->blocked;
}

/* Sends the remaining requests, such as those that close files. */
static void send_rest(struct cp_host *host, int64_t deadline_ms)
{
    while (buffer_size(&host->requests.out) > 0 && !host->ended && clock_now_ms() < deadline_ms) {
        int library_ms = afar_timeout(host->remote.client);
        int own_ms = clock_poll_timeout(deadline_ms);
        struct pollfd waiting = {.fd = afar_fd(host->remote.client),
                                 .events = afar_events(host->remote.client)};
        if (host->blocked)
            (void)poll(&waiting, 1, library_ms >= 0 && library_ms < own_ms ? library_ms : own_ms);
        cp_host_move(host);
    }
}

int cp_host_end(struct cp_host *host, int64_t timeout_ms)
{
    struct afar_error err = {0};
    if (!host->opened || host->ended)
        return host->opened ? host->status : STATUS_FAILED;
    int64_t deadline_ms = clock_deadline_ms(timeout_ms);
    send_rest(host, deadline_ms);
    if (host->ended)
        return host->status;
    enum afar_status status = afar_wait(host->remote.client, timeout_ms, &err);
    while (status == AFAR_ECLOSED && afar_away(host->remote.client) &&
           clock_now_ms() < deadline_ms) {
        (void)poll(NULL, 0, afar_timeout(host->remote.client));
        come_back(host);
        status = afar_wait(host->remote.client, timeout_ms, &err);
    }
    const struct afar_receipt *receipt = afar_receipt(host->remote.client);
    if (status != AFAR_OK || receipt == NULL) {
        if (status == AFAR_EREFUSED)
            explain_refusal(host, &err);
        else
            report("%s", err.message);
        return STATUS_FAILED;
    }
    report_receipt(host->remote.host, &host->command, receipt);
    int ended = afar_exit_status(receipt);
    return ended == 0 || ended == STATUS_TIMED_OUT ? ended : STATUS_FAILED;
}
