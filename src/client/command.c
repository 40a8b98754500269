#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/utf8.h"
#include "client/client.h"
#include "client/sized.h"

/* SETTLE_TURNS: how often settle reads before it goes on, if the server does not stop sending. */
enum { SETTLE_TURNS = 16, HOLDER_RANDOM_BYTES = 16 };

/* How much of a terminal's earlier output to show again: a screen and some scrollback. */
enum { SCREEN_BACK_BYTES = 65536 };

/* ---- the request ----------------------------------------------------------------------------- */

/* Control characters are shown as something else in lists of jobs, by which names are found. */
static bool is_key(const char *key)
{
    return key[0] != '\0' && strlen(key) < MESSAGE_KEY_BYTES && utf8_plain(key);
}

/* Checks the fields about attaching to a job, and the command's name. */
static enum afar_status check_kept(const struct afar_command *command, struct afar_error *err)
{
    const bool has_command = command->argv != NULL || command->shell != NULL ||
                             command->subsystem != NULL || command->forward != NULL;
    if (command->job != NULL && has_command)
        return afar_fail(err, AFAR_EINVAL, "a job to attach to has its command already");
    if (command->watch && command->job == NULL)
        return afar_fail(err, AFAR_EINVAL, "to watch needs a job");
    if (command->since_ms < -1 || command->since_ms > (int64_t)MESSAGE_INTEGER_MAX ||
        command->first > MESSAGE_INTEGER_MAX)
        return afar_fail(err, AFAR_EINVAL, "output from %llu, %lld ms",
                         (unsigned long long)command->first, (long long)command->since_ms);
    if (command->key != NULL && !is_key(command->key))
        return afar_fail(err, AFAR_EINVAL,
                         "a name has 1 to %d bytes of UTF-8, and no control characters",
                         MESSAGE_KEY_BYTES - 1);
    return AFAR_OK;
}

static enum afar_status check_command(const struct afar_command *command, struct afar_error *err)
{
    int given = (command->argv != NULL ? 1 : 0) + (command->shell != NULL ? 1 : 0) +
                (command->subsystem != NULL ? 1 : 0) + (command->forward != NULL ? 1 : 0) +
                (command->login ? 1 : 0);
    const bool service = command->subsystem != NULL || command->forward != NULL;
    if (given != 1)
        return afar_fail(
            err, AFAR_EINVAL,
            "a command needs one of argv, a shell line, a subsystem, forward and login");
    if (service &&
        (!command->with_stdin || command->env != NULL || command->pty != NULL || command->with_pty))
        return afar_fail(
            err, AFAR_EINVAL,
            "a subsystem and forward need stdin, and have no environment and no terminal");
    if (command->home && command->cwd != NULL)
        return afar_fail(err, AFAR_EINVAL, "a command begins at home or in a directory, not both");
    if (command->argv != NULL && command->argv[0] == NULL)
        return afar_fail(err, AFAR_EINVAL, "a command needs at least one word");
    if (command->timeout_ms < 0 || (uint64_t)command->timeout_ms > MESSAGE_INTEGER_MAX)
        return afar_fail(err, AFAR_EINVAL, "a timeout of %lld ms", (long long)command->timeout_ms);
    if (command->start_within_ms < 0 || (uint64_t)command->start_within_ms > MESSAGE_INTEGER_MAX)
        return afar_fail(err, AFAR_EINVAL, "a time to start of %lld ms",
                         (long long)command->start_within_ms);
    if (command->resume_ms < 0 || (uint64_t)command->resume_ms > MESSAGE_INTEGER_MAX)
        return afar_fail(err, AFAR_EINVAL, "a time to come back of %lld ms",
                         (long long)command->resume_ms);
    for (const char *const *at = command->env; at != NULL && *at != NULL; at++) {
        const char *equals = strchr(*at, '=');
        if (equals == NULL || equals == *at)
            return afar_fail(err, AFAR_EINVAL, "the environment's \"%s\" is not NAME=value", *at);
    }
    return AFAR_OK;
}

static bool on_pty(const struct afar_command *wanted)
{
    return wanted->pty != NULL || wanted->with_pty;
}

/* Fills *pty if a terminal is wanted. */
static enum afar_status take_terminal(struct pty_request *pty, const struct afar_command *wanted,
                                      struct afar_error *err)
{
    static const struct afar_pty any = AFAR_PTY_INIT();
    if (!on_pty(wanted))
        return AFAR_OK;
    return client_take_pty(pty, wanted->pty != NULL ? wanted->pty : &any, err);
}

static enum afar_status put_request(struct afar_client *client, const struct afar_command *wanted,
                                    struct afar_error *err)
{
    struct pty_request pty;
    enum afar_status status = take_terminal(&pty, wanted, err);
    if (status != AFAR_OK)
        return status;
    /* The encoder only reads. The struct's pointers are not const because the server's decoder
     * fills the same struct. */
    const struct run_guest *guest = &client->command.guest;
    struct exec_request request = {
        .argv = (char **)wanted->argv,
        .shell = (char *)wanted->shell,
        .subsystem = (char *)wanted->subsystem,
        .forward = (char *)wanted->forward,
        .env = (char **)wanted->env,
        .cwd = (char *)wanted->cwd,
        .user = (char *)wanted->user,
        .env_if_allowed = (char **)wanted->env_if_allowed,
        .home = wanted->home,
        .login = wanted->login,
        .leave = wanted->leave,
        .shell_of_user = wanted->shell_of_user,
        .stdin_stream = wanted->with_stdin,
        .pty = on_pty(wanted) ? &pty : NULL,
        .digest = wanted->with_digest,
        .timeout_ms = (uint64_t)wanted->timeout_ms,
        .start_within_ms = (uint64_t)wanted->start_within_ms,
        .keep = wanted->keep || wanted->key != NULL,
        .key = (char *)wanted->key,
        .when_full = wanted->keep || wanted->key != NULL ? WHEN_FULL_CUT : WHEN_FULL_BLOCK,
        .resume_ms = guest->asked_resume_ms,
        .window_max = guest->window_max};
    memcpy(request.holder, guest->holder, sizeof request.holder);
    return message_put_exec(&client->out, client->last_id + 1, &request, err);
}

/* Reads what the server has sent so far. That may include the connection's end: a server that has
 * gone, or is about to close, must be noticed before the request is sent. */
static enum afar_status settle(struct afar_client *client, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    uint64_t before = 0;
    int turns = 0;
    /* The server has sent nothing yet, and receiving would send the handshake's end on its own. */
    if (client->fresh) {
        client->fresh = false;
        return client_check(client, PROTOCOL_AFAR, err);
    }
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

/* The holder is random and secret: it is what allows a client to come back to the command. */
static enum afar_status open_guest(struct run_guest *guest, const struct afar_command *wanted,
                                   struct afar_error *err)
{
    char holder[2 * HOLDER_RANDOM_BYTES + 1];
    struct pty_request pty;
    enum afar_status status = take_terminal(&pty, wanted, err);
    if (status != AFAR_OK)
        return status;
    struct run_guest_setup setup = {.resume_ms = (uint64_t)wanted->resume_ms,
                                    .job = wanted->job,
                                    .watch = wanted->watch,
                                    .no_output = wanted->no_output,
                                    .no_follow = wanted->no_follow,
                                    .times = wanted->times,
                                    .first = wanted->first,
                                    .has_since = wanted->since_ms != 0,
                                    .since_ms =
                                        wanted->since_ms > 0 ? (uint64_t)wanted->since_ms : 0,
                                    .keep = wanted->keep || wanted->key != NULL,
                                    .stdin_again = wanted->key != NULL && !on_pty(wanted),
                                    .stdin_behind = wanted->key != NULL && on_pty(wanted),
                                    .screen = on_pty(wanted) ? &pty.size : NULL,
                                    .tail = SCREEN_BACK_BYTES,
                                    .stdin_stream = wanted->with_stdin,
                                    .window_max = CLIENT_WINDOW_GROWN_BYTES};
    if (wanted->resume_ms > 0 || wanted->keep || wanted->key != NULL || wanted->job != NULL) {
        status = random_hex(holder, HOLDER_RANDOM_BYTES, err);
        if (status != AFAR_OK)
            return status;
        setup.holder = holder;
    }
    run_guest_close(guest);
    return run_guest_open(guest, &setup, err);
}

static enum afar_status start(struct afar_client *client, const struct afar_command *command,
                              const struct afar_callbacks *callbacks, struct afar_error *err)
{
    struct afar_command wanted;
    struct afar_callbacks called = AFAR_CALLBACKS_INIT();
    if (client == NULL)
        return client_check(client, PROTOCOL_AFAR, err);
    struct command *current = &client->command;
    if (current->running)
        return afar_fail(err, AFAR_EINVAL, "a command is still running on this connection");
    /* The last command's: from now on neither must be reported. */
    current->has_receipt = false;
    client->lost.code = AFAR_OK;
    enum afar_status status = sized_take(&wanted, sizeof wanted, command, "afar_command", err);
    if (status == AFAR_OK && callbacks != NULL)
        status = sized_take(&called, sizeof called, callbacks, "afar_callbacks", err);
    if (status == AFAR_OK)
        status = check_kept(&wanted, err);
    if (status == AFAR_OK && wanted.job == NULL)
        status = check_command(&wanted, err);
    if (status != AFAR_OK)
        return status;
    status = settle(client, err);
    if (status == AFAR_OK)
        status = delivery_begin(&current->delivery, &called, wanted.with_digest, err);
    if (status == AFAR_OK)
        status = open_guest(&current->guest, &wanted, err);
    if (status == AFAR_OK)
        status = wanted.job != NULL
                     ? run_guest_connected(&current->guest, client->last_id + 1, &client->out, err)
                     : put_request(client, &wanted, err);
    if (status != AFAR_OK)
        return status;

    client->last_id++;
    buffer_clear(&current->last_header);
    if (wanted.job == NULL)
        run_guest_begin(&current->guest, client->last_id);
    current->running = true;
    client->complaint.code = AFAR_OK; /* about something earlier */
    current->detaching = current->answered = current->queued = current->started = current->ended =
        current->refused = current->has_receipt = current->attached = false;
    current->on_pty = on_pty(&wanted);
    client->heartbeat.paused = false;
    current->ack_by_ms = DEADLINE_NEVER;
    heartbeat_heard(&client->heartbeat);
    if ((!client->heard || client->by_another) && client->patience_ms > 0) {
        const int64_t within_ms = client_left_ms(client, client->patience_ms);
        heartbeat_want_message(&client->heartbeat, within_ms);
        client->meet_by_ms = clock_deadline_ms(within_ms);
    }
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
    return client != NULL && client->command.has_receipt ? &client->command.receipt : NULL;
}

/* ---- while it runs --------------------------------------------------------------------------- */

enum afar_status client_check_running(const struct afar_client *client, struct afar_error *err)
{
    enum afar_status status = client_check(client, PROTOCOL_AFAR, err);
    if (status == AFAR_OK && !client->command.running)
        status = afar_fail(err, AFAR_EINVAL, "no command is running");
    return status;
}

static enum afar_status write_stdin(struct afar_client *client, const void *data, size_t size,
                                    size_t *taken, struct afar_error *err)
{
    if (client == NULL)
        return client_check(client, PROTOCOL_AFAR, err);
    struct command *command = &client->command;
    if (!command->ended && command->guest.stdin_stream) {
        enum afar_status status = client_check(client, PROTOCOL_AFAR, err);
        if (status != AFAR_OK)
            return status;
    }
    if (command->ended && command->guest.stdin_stream) {
        *taken = size; /* the command has ended: drop the data */
        return AFAR_OK;
    }
    client_unpause(client);
    enum afar_status status =
        run_guest_write(&command->guest, &client->out, data, size, taken, err);
    if (status == AFAR_OK && *taken == 0 && size > 0)
        status = afar_fail(err, AFAR_EAGAIN, "the command has not read what it got before");
    return status;
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
    struct afar_error why = {0};
    if (client == NULL)
        return client_check(client, PROTOCOL_AFAR, err);
    struct command *command = &client->command;
    struct run_guest *guest = &command->guest;
    if (!command->running || command->ended || !guest->stdin_stream || guest->stdin_ended)
        return AFAR_OK;
    enum afar_status status = client_check(client, PROTOCOL_AFAR, &why);
    if (status == AFAR_OK)
        run_guest_close_stdin(guest, &client->out);
    return client_tell(status, &why, err);
}

enum afar_status afar_close_output(struct afar_client *client, int fd, struct afar_error *err)
{
    if (fd != 1 && fd != 2)
        return afar_fail(err, AFAR_EINVAL, "stream %d: 1 or 2 is meant", fd);
    struct afar_error why = {0};
    enum afar_status status = client_check_running(client, &why);
    if (status != AFAR_OK)
        return client_tell(status, &why, err);
    struct command *command = &client->command;
    if (command->ended)
        return AFAR_OK;
    enum stream stream = fd == 1 ? STREAM_STDOUT : STREAM_STDERR;
    run_guest_close_output(&command->guest, &client->out, stream);
    delivery_close_stream(&command->delivery, stream);
    return AFAR_OK;
}

enum afar_status afar_signal(struct afar_client *client, const char *name, struct afar_error *err)
{
    struct afar_error why = {0};
    enum afar_status status = client_check_running(client, &why);
    /* The server would answer with an error that belongs to no request, so the caller would not
     * hear it. */
    if (status == AFAR_OK && (name == NULL || client_signal_number(name) == 0))
        status = afar_fail(&why, AFAR_EINVAL, "'%.40s' is not a signal's name, such as TERM",
                           name != NULL ? name : "NULL");
    if (status == AFAR_OK)
        client_unpause(client);
    if (status == AFAR_OK && !client->command.ended)
        status = run_guest_signal(&client->command.guest, &client->out, name, &why);
    return client_tell(status, &why, err);
}

enum afar_status afar_detach(struct afar_client *client, struct afar_error *err)
{
    struct afar_error why = {0};
    enum afar_status status = client_check_running(client, &why);
    if (status != AFAR_OK)
        return client_tell(status, &why, err);
    struct command *command = &client->command;
    if (!command->ended && !command->detaching)
        run_guest_detach(&command->guest, &client->out);
    command->detaching = true;
    return AFAR_OK;
}
