#include "afar/channel.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "afar/report.h"
#include "afar/session.h"

/* PATIENCE_MS: after a signal that ends programs, do not wait for the server. */
enum { STATUS_CHANNEL_FAILED = 255, PATIENCE_MS = 1 };

static void connect_once(struct channel *channel)
{
    if (channel->is_connected)
        return;
    channel->is_connected = true;
    if (channel->connected != NULL)
        channel->connected(channel->user);
}

static void take_line(struct channel *channel)
{
    const char *line = channel->line;
    if (strncmp(line, FORWARD_CONNECTED, strlen(FORWARD_CONNECTED)) == 0) {
        connect_once(channel);
    } else if (strncmp(line, FORWARD_EOF, strlen(FORWARD_EOF)) == 0) {
        channel->has_eof = true;
        channel->eof_at = strtoull(line + strlen(FORWARD_EOF), NULL, 10);
    } else {
        memcpy(channel->said, line, channel->used + 1);
    }
}

void channel_hear(struct channel *channel, const void *data, size_t size)
{
    const char *text = data;
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '\n') {
            /* Drop what does not fit: long lines are only for people. */
            if (channel->used + 1 < sizeof channel->line)
                channel->line[channel->used++] = text[i];
            continue;
        }
        channel->line[channel->used] = '\0';
        take_line(channel);
        channel->used = 0;
    }
}

void channel_sees_output(struct channel *channel)
{
    connect_once(channel);
}

void channel_wrote(struct channel *channel, size_t size)
{
    channel->written += size;
}

bool channel_output_is_over(struct channel *channel)
{
    if (channel->closed || !channel->has_eof || channel->written < channel->eof_at)
        return false;
    channel->closed = true;
    return true;
}

void channel_close_output(void)
{
    if (shutdown(STDOUT_FILENO, SHUT_WR) == 0)
        return;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0)
        return;
    (void)dup2(null, STDOUT_FILENO);
    (void)close(null);
}

/* Makes our client see a reset and not an end: the connection was lost. */
static void reset_stdin(void)
{
    const struct linger now = {.l_onoff = 1};
    (void)setsockopt(STDIN_FILENO, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

struct ending {
    struct channel *channel;
    const struct remote *remote;
    const struct afar_command *command;
};

static int tell_end(void *user, const struct afar_receipt *receipt)
{
    const struct ending *ending = user;
    struct channel *channel = ending->channel;
    channel->end = FORWARD_FAILED;
    if (receipt->outcome != AFAR_OUTCOME_EXITED) {
        report_receipt(ending->remote->host, ending->command, receipt);
        return STATUS_CHANNEL_FAILED;
    }
    if (receipt->code >= 0 && receipt->code < FORWARD_FAILED)
        channel->end = (enum forward_end)receipt->code;
    if (channel->end == FORWARD_ENDED)
        return 0;
    report("%s: %s", ending->remote->host,
           channel->said[0] != '\0' ? channel->said : ending->command->forward);
    return STATUS_CHANNEL_FAILED;
}

int channel_run(struct remote *remote, const char *target, const char *user,
                struct channel *channel)
{
    const struct afar_command command =
        AFAR_COMMAND_INIT(.resume_ms = remote->reconnect_ms, .with_stdin = true, .user = user,
                          .forward = target);
    struct ending ending = {.channel = channel, .remote = remote, .command = &command};
    const struct session_options how = {.channel = channel,
                                        .failed_status = STATUS_CHANNEL_FAILED,
                                        .patience_ms = PATIENCE_MS,
                                        .status = tell_end,
                                        .user = &ending};
    channel->end = FORWARD_FAILED; /* until a receipt says more */
    if (!remote_connect(remote))
        return STATUS_CHANNEL_FAILED;
    if (remote_is_shell(remote)) {
        report("%s: with the protocols sized and headed nothing can be forwarded", remote->host);
        return STATUS_CHANNEL_FAILED;
    }
    int status = session_run(remote, &command, &how);
    /* Also without a receipt: the server was lost, or a signal ends us. */
    if (channel->is_connected && channel->end != FORWARD_ENDED)
        reset_stdin();
    return status;
}
