#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "client/client.h"
#include "client/sized.h"

enum {
    STDIN_FRAME_BYTES = 65536, /* what every server takes, however it is configured */
    /* With this much unsent, more input waits: small writes would otherwise pile up as frames whose
     * headers are larger than what they carry. */
    OUT_ENOUGH_BYTES = 1 << 20,
    /* A server that sends without end is not waited for. */
    SETTLE_TURNS = 16
};

/* ---- the request ----------------------------------------------------------------------------- */

static enum afar_status check_command(const struct afar_command *command, struct afar_error *err)
{
    int given = (command->argv != NULL ? 1 : 0) + (command->shell != NULL ? 1 : 0) +
                (command->subsystem != NULL ? 1 : 0) + (command->login ? 1 : 0);
    if (given != 1)
        return afar_fail(err, AFAR_EINVAL,
                         "a command needs either argv, or a shell line, or a subsystem, or login");
    if (command->subsystem != NULL &&
        (!command->with_stdin || command->env != NULL || command->pty != NULL || command->with_pty))
        return afar_fail(err, AFAR_EINVAL,
                         "a subsystem needs stdin, and has no environment and no terminal");
    if (command->argv != NULL && command->argv[0] == NULL)
        return afar_fail(err, AFAR_EINVAL, "a command needs at least one word");
    if (command->timeout_ms < 0 || (uint64_t)command->timeout_ms > MESSAGE_INTEGER_MAX)
        return afar_fail(err, AFAR_EINVAL, "a timeout of %lld ms", (long long)command->timeout_ms);
    if (command->start_within_ms < 0 || (uint64_t)command->start_within_ms > MESSAGE_INTEGER_MAX)
        return afar_fail(err, AFAR_EINVAL, "a time to start of %lld ms",
                         (long long)command->start_within_ms);
    for (const char *const *at = command->env; at != NULL && *at != NULL; at++) {
        const char *equals = strchr(*at, '=');
        if (equals == NULL || equals == *at)
            return afar_fail(err, AFAR_EINVAL, "the environment's \"%s\" is not NAME=value", *at);
    }
    return AFAR_OK;
}

static enum afar_status put_request(struct afar_client *client, const struct afar_command *wanted,
                                    struct afar_error *err)
{
    static const struct afar_pty any = AFAR_PTY_INIT();
    const bool on_pty = wanted->pty != NULL || wanted->with_pty;
    struct pty_request pty;
    enum afar_status status =
        on_pty ? client_take_pty(&pty, wanted->pty != NULL ? wanted->pty : &any, err) : AFAR_OK;
    if (status != AFAR_OK)
        return status;
    /* The encoder only reads: its struct is not const because the server's own is filled by it. */
    const struct exec_request request = {.argv = (char **)wanted->argv,
                                         .shell = (char *)wanted->shell,
                                         .subsystem = (char *)wanted->subsystem,
                                         .env = (char **)wanted->env,
                                         .cwd = (char *)wanted->cwd,
                                         .stdin_stream = wanted->with_stdin,
                                         .login = wanted->login,
                                         .pty = on_pty ? &pty : NULL,
                                         .digest = wanted->with_digest,
                                         .timeout_ms = (uint64_t)wanted->timeout_ms,
                                         .start_within_ms = (uint64_t)wanted->start_within_ms};
    return message_put_exec(&client->out, client->last_id + 1, &request, err);
}

/* What the server has said so far is read to its end, for that may be the connection's: a server
 * that has gone, or goes, must be noticed before anything is sent. */
static enum afar_status settle(struct afar_client *client, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    uint64_t before = 0;
    int turns = 0;
    do {
        before = client->received_bytes;
        status = afar_process(client, err);
        turns++;
    } while (status == AFAR_OK && client->received_bytes != before && turns < SETTLE_TURNS);
    if (status == AFAR_OK && client->closing[0] != '\0') {
        struct afar_error why;
        (void)afar_fail(&why, AFAR_ECLOSED, "%s closes the connection (%s)", client->name,
                        client->closing);
        status = client_break(client, &why, err);
    }
    if (status == AFAR_ECLOSED)
        (void)afar_prefix(err, "the command was not sent");
    if (status != AFAR_OK && client->broken)
        (void)snprintf(err->reason, sizeof err->reason, CLIENT_NOT_SENT);
    return status;
}

static enum afar_status start(struct afar_client *client, const struct afar_command *command,
                              const struct afar_callbacks *callbacks, struct afar_error *err)
{
    struct command *current = &client->command;
    struct afar_command wanted;
    struct afar_callbacks called = AFAR_CALLBACKS_INIT();
    if (current->running)
        return afar_fail(err, AFAR_EINVAL, "a command is still running on this connection");
    /* The last one's: whatever comes now, it does not tell of this one. */
    current->has_receipt = false;
    enum afar_status status = sized_take(&wanted, sizeof wanted, command, "afar_command", err);
    if (status == AFAR_OK && callbacks != NULL)
        status = sized_take(&called, sizeof called, callbacks, "afar_callbacks", err);
    if (status == AFAR_OK)
        status = check_command(&wanted, err);
    if (status != AFAR_OK)
        return status;
    status = settle(client, err);
    if (status == AFAR_OK)
        status = delivery_begin(&current->delivery, &called, wanted.with_digest, err);
    if (status == AFAR_OK)
        status = put_request(client, &wanted, err);
    if (status != AFAR_OK)
        return status;

    client->last_id++;
    buffer_clear(&current->last_header);
    current->id = client->last_id;
    current->running = true;
    client->complaint.code = AFAR_OK; /* it was about something else */
    current->detaching = current->answered = current->queued = current->started = current->ended =
        current->refused = current->has_receipt = false;
    current->stdin_open = current->stdin_stream = wanted.with_stdin;
    current->on_pty = wanted.pty != NULL || wanted.with_pty;
    client->heartbeat.paused = false;
    current->stdin_sent = current->stdin_acked = 0;
    current->stdin_credit = MESSAGE_STDIN_CREDIT_BYTES;
    current->ack_by_ms = DEADLINE_NEVER;
    heartbeat_heard(&client->heartbeat);
    if (!client->heard && client->patience_ms > 0)
        heartbeat_want_answer(&client->heartbeat, client->patience_ms);
    pump_send(client);
    return AFAR_OK;
}

enum afar_status afar_start(struct afar_client *client, const struct afar_command *command,
                            const struct afar_callbacks *callbacks, struct afar_error *err)
{
    struct afar_error why = {0};
    return client_tell(start(client, command, callbacks, &why), &why, err);
}

const struct afar_receipt *afar_receipt(const struct afar_client *client)
{
    return client->command.has_receipt ? &client->command.receipt : NULL;
}

/* ---- while it runs --------------------------------------------------------------------------- */

static enum afar_status check_running(const struct afar_client *client, struct afar_error *err)
{
    enum afar_status status = client_check(client, PROTOCOL_AFAR, err);
    if (status == AFAR_OK && !client->command.running)
        status = afar_fail(err, AFAR_EINVAL, "no command is running");
    return status;
}

/* How much of `size` may be sent now. */
static size_t stdin_room(const struct afar_client *client, size_t size)
{
    const struct command *command = &client->command;
    uint64_t credit = command->stdin_acked + command->stdin_credit - command->stdin_sent;
    if (buffer_size(&client->out) >= OUT_ENOUGH_BYTES)
        return 0;
    return size < credit ? size : (size_t)credit;
}

static enum afar_status write_stdin(struct afar_client *client, const void *data, size_t size,
                                    size_t *taken, struct afar_error *err)
{
    struct command *command = &client->command;
    if (!command->stdin_stream)
        return afar_fail(err, AFAR_EINVAL, "the command was started without stdin");
    if (command->ended) {
        *taken = size; /* nobody will read it */
        return AFAR_OK;
    }
    enum afar_status status = client_check(client, PROTOCOL_AFAR, err);
    if (status == AFAR_OK && !command->stdin_open)
        status = afar_fail(err, AFAR_EINVAL, "the command's stdin has been closed");
    if (status != AFAR_OK || size == 0)
        return status;
    client_unpause(client);

    size_t room = stdin_room(client, size);
    if (room == 0)
        return afar_fail(err, AFAR_EAGAIN, "the command has not read what it got before");
    size_t most = command->stdin_credit > MESSAGE_STDIN_CREDIT_BYTES ? MESSAGE_STDIN_FRAME_BYTES
                                                                     : STDIN_FRAME_BYTES;
    while (*taken < room) {
        size_t piece = room - *taken < most ? room - *taken : most;
        status = message_put_stdin(&client->out, command->id, command->stdin_sent,
                                   (const char *)data + *taken, piece, false, err);
        if (status != AFAR_OK)
            return *taken > 0 ? AFAR_OK : status;
        command->stdin_sent += piece;
        *taken += piece;
    }
    return AFAR_OK;
}

enum afar_status afar_write_stdin(struct afar_client *client, const void *data, size_t size,
                                  size_t *taken, struct afar_error *err)
{
    struct afar_error why = {0};
    *taken = 0;
    return client_tell(write_stdin(client, data, size, taken, &why), &why, err);
}

enum afar_status afar_close_stdin(struct afar_client *client, struct afar_error *err)
{
    struct command *command = &client->command;
    if (!command->stdin_open)
        return AFAR_OK;
    struct afar_error why = {0};
    enum afar_status status = client_check(client, PROTOCOL_AFAR, &why);
    if (status == AFAR_OK)
        status =
            message_put_stdin(&client->out, command->id, command->stdin_sent, NULL, 0, true, &why);
    if (status == AFAR_OK)
        command->stdin_open = false;
    return client_tell(status, &why, err);
}

enum afar_status afar_close_output(struct afar_client *client, int fd, struct afar_error *err)
{
    if (fd != 1 && fd != 2)
        return afar_fail(err, AFAR_EINVAL, "stream %d: 1 or 2 is meant", fd);
    struct afar_error why = {0};
    enum afar_status status = check_running(client, &why);
    if (status != AFAR_OK || client->command.ended)
        return client_tell(status, &why, err);
    enum stream stream = fd == 1 ? STREAM_STDOUT : STREAM_STDERR;
    status = message_put_close(&client->out, client->command.id, stream, &why);
    if (status == AFAR_OK)
        delivery_close_stream(&client->command.delivery, stream);
    return client_tell(status, &why, err);
}

enum afar_status afar_signal(struct afar_client *client, const char *name, struct afar_error *err)
{
    struct afar_error why = {0};
    enum afar_status status = check_running(client, &why);
    /* The server would refuse it by an error that belongs to no request: nobody would hear it. */
    if (status == AFAR_OK && client_signal_number(name) == 0)
        status = afar_fail(&why, AFAR_EINVAL, "'%.40s' is not a signal's name, such as TERM", name);
    if (status == AFAR_OK)
        client_unpause(client);
    if (status == AFAR_OK && !client->command.ended)
        status = message_put_signal(&client->out, client->command.id, name, &why);
    return client_tell(status, &why, err);
}

enum afar_status afar_detach(struct afar_client *client, struct afar_error *err)
{
    struct command *command = &client->command;
    struct afar_error why = {0};
    enum afar_status status = check_running(client, &why);
    if (status == AFAR_OK && !command->ended && !command->detaching)
        status = message_put_detach(&client->out, command->id, &why);
    if (status == AFAR_OK)
        command->detaching = true;
    return client_tell(status, &why, err);
}
