#include "support/keeper_client.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "keep/keeper.h"

enum { DEADLINE_MS = 30000 };

const char keeper_client_holder[] = "0123456789abcdef0123";
static char folder[64];
int keeper_client_jobs_fd = -1;
static unsigned made;

int keeper_client_set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-keep-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    keeper_client_jobs_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return keeper_client_jobs_fd >= 0 ? 0 : -1;
}

int keeper_client_tear_down(void **state)
{
    char command[128];
    (void)state;
    (void)close(keeper_client_jobs_fd);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Starts a shell line; its folder. */
int keeper_client_start(struct jobdir_request *request, const char *line, enum when_full when_full,
                        uint64_t spool_bytes)
{
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, (char *)(uintptr_t)line, NULL};
    char *env[] = {(char[]){"PATH=/usr/bin:/bin"}, NULL};
    int fd = -1;
    *request = (struct jobdir_request){.owner = "uid=0",
                                       .command = "a test",
                                       .created_us = jobdir_now_us(),
                                       .window_bytes = 1 << 18,
                                       .resume_ms = 60000,
                                       .spool_bytes = spool_bytes,
                                       .when_full = when_full,
                                       .digest = true};
    (void)snprintf(request->job, sizeof request->job, "%032x", ++made);
    (void)snprintf(request->holder, sizeof request->holder, "%s", keeper_client_holder);
    struct keep_order order = {.label = "test",
                               .argv = argv,
                               .env = env,
                               .limits = {.stdin_bytes = 1 << 20,
                                          .spawn_timeout_ms = 10000,
                                          .kill_grace_ms = 10000,
                                          .linger_ms = 100,
                                          .linger_max_ms = 1000},
                               .stdin_stream = true,
                               .stdin_credit = MESSAGE_STDIN_CREDIT_BYTES};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &order.base.descriptors), 0);
    assert_int_equal(getrlimit(RLIMIT_CORE, &order.base.core), 0);
    struct afar_error err = {0};
    if (keep_start(keeper_client_jobs_fd, request, &order, 0, 0, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(jobdir_open(keeper_client_jobs_fd, request->job, &fd, NULL), AFAR_OK);
    return fd;
}

void keeper_client_send(int fd, const struct buffer *out)
{
    assert_int_equal(send(fd, buffer_head(out), buffer_size(out), MSG_NOSIGNAL),
                     (ssize_t)buffer_size(out));
}

void keeper_client_open(struct keeper_client *client, int folder_fd)
{
    char token[JOBDIR_TOKEN_BYTES];
    *client = (struct keeper_client){.fd = -1};
    buffer_init(&client->in, 4 << 20);
    decoder_init(&client->decoder);
    if (jobdir_connect(folder_fd, &client->fd, NULL) != AFAR_OK) {
        assert_int_equal(keep_read(folder_fd, 0, NULL), AFAR_OK);
        assert_int_equal(jobdir_connect(folder_fd, &client->fd, NULL), AFAR_OK);
    }
    assert_int_equal(jobdir_read_token(folder_fd, token, NULL), AFAR_OK);
    assert_int_equal(send(client->fd, token, JOBDIR_TOKEN_BYTES - 1, MSG_NOSIGNAL),
                     JOBDIR_TOKEN_BYTES - 1);
}

void keeper_client_close(struct keeper_client *client)
{
    (void)close(client->fd);
    buffer_close(&client->in);
    decoder_close(&client->decoder);
}

void keeper_client_attach(struct keeper_client *client, const struct message_attach *attach)
{
    struct buffer out;
    buffer_init(&out, 65536);
    assert_int_equal(message_put_attach(&out, 7, NULL, attach, NULL), AFAR_OK);
    keeper_client_send(client->fd, &out);
    buffer_close(&out);
}

void keeper_client_ack(const struct keeper_client *client)
{
    struct buffer out;
    buffer_init(&out, 65536);
    assert_int_equal(message_put_ack(&out, 7, client->next, NULL), AFAR_OK);
    (void)send(client->fd, buffer_head(&out), buffer_size(&out), MSG_NOSIGNAL);
    buffer_close(&out);
}

void keeper_client_take(struct keeper_client *client, const struct message *message,
                        const uint8_t *payload)
{
    client->last = *message;
    if (message->type == MESSAGE_ATTACHED) {
        client->next = message->attached.first;
        memcpy(client->bytes, message->attached.first_bytes, sizeof client->bytes);
    }
    if (message->type == MESSAGE_CUT || message->type == MESSAGE_EXIT ||
        message->type == MESSAGE_STDOUT || message->type == MESSAGE_STDERR) {
        assert_int_equal(message->seq, client->next);
        client->next++;
    }
    if (message->type == MESSAGE_CUT) {
        client->next = message->cut.next;
        client->bytes[0] += message->cut.lost[0];
        client->bytes[1] += message->cut.lost[1];
        client->cut += message->cut.lost[0] + message->cut.lost[1];
    } else if (message->type == MESSAGE_STDOUT) {
        size_t room = sizeof client->text - 1 - strlen(client->text);
        (void)strncat(client->text, (const char *)payload,
                      message->size < room ? message->size : room);
        client->bytes[0] += message->size;
    } else if (message->type == MESSAGE_STDERR) {
        client->bytes[1] += message->size;
    }
    client->ended = message->type == MESSAGE_EXIT || message->type == MESSAGE_ERROR ||
                    message->type == MESSAGE_DETACHED;
}

/* Until a message of this type has come, or the end. */
void keeper_client_until(struct keeper_client *client, enum message_type type)
{
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    while (!client->ended) {
        struct message message;
        const uint8_t *payload = NULL;
        size_t used = 0;
        enum afar_status status =
            decoder_next(&client->decoder, buffer_head(&client->in), buffer_size(&client->in),
                         &message, &payload, &used, NULL);
        if (status == AFAR_OK) {
            keeper_client_take(client, &message, payload);
            message_close(&message);
            buffer_consume(&client->in, used);
            keeper_client_ack(client);
            if (client->last.type == type)
                return;
            continue;
        }
        assert_int_equal(status, AFAR_EAGAIN);
        struct pollfd waiting = {.fd = client->fd, .events = POLLIN};
        uint8_t *room = NULL;
        assert_true(poll(&waiting, 1, clock_poll_timeout(deadline_ms)) == 1);
        assert_int_equal(buffer_reserve(&client->in, 65536, &room, NULL), AFAR_OK);
        ssize_t got = recv(client->fd, room, 65536, 0);
        buffer_commit(&client->in, got > 0 ? (size_t)got : 0);
        if (got <= 0)
            fail_msg("the keeper has closed the connection");
    }
}

struct message_attach keeper_client_driver(uint64_t attempt)
{
    struct message_attach attach = {.attempt = attempt, .output = true, .follow = true};
    (void)snprintf(attach.holder, sizeof attach.holder, "%s", keeper_client_holder);
    return attach;
}
