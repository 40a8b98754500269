// A keeper without a server: started, read by several, taken over, killed, and read when it is gone.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "keep/keeper.h"
#include "support/process_wait.h"
#include "wire/frame.h"

enum { DEADLINE_MS = 30000 };

static const char holder[] = "0123456789abcdef0123";
static char folder[64];
static int jobs_fd = -1;
static unsigned made;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-keep-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    jobs_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return jobs_fd >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    (void)close(jobs_fd);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Starts a shell line; its folder. */
static int start(struct jobdir_request *request, const char *line, enum when_full when_full)
{
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, (char *)(uintptr_t)line, NULL};
    char *env[] = {(char[]){"PATH=/usr/bin:/bin"}, NULL};
    int fd = -1;
    *request = (struct jobdir_request){.owner = "uid=0",
                                       .command = "a test",
                                       .created_us = jobdir_now_us(),
                                       .window_bytes = 1 << 18,
                                       .resume_ms = 60000,
                                       .spool_bytes = 4 << 20,
                                       .when_full = when_full,
                                       .digest = true};
    (void)snprintf(request->job, sizeof request->job, "%032x", ++made);
    (void)snprintf(request->holder, sizeof request->holder, "%s", holder);
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
    if (keep_start(jobs_fd, request, &order, 0, 0, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(jobdir_open(jobs_fd, request->job, &fd, NULL), AFAR_OK);
    return fd;
}

/* ---- a client -------------------------------------------------------------------------------- */

struct client {
    int fd;
    struct buffer in;
    struct decoder decoder;
    uint64_t next;     /* seq */
    uint64_t bytes[2]; /* that have come, or were cut */
    uint64_t cut;
    char text[256]; /* the beginning of stdout */
    bool ended;
    struct message last; /* without what it owns */
};

static void send_all(int fd, const struct buffer *out)
{
    assert_int_equal(send(fd, buffer_head(out), buffer_size(out), MSG_NOSIGNAL),
                     (ssize_t)buffer_size(out));
}

static void client_open(struct client *client, int folder_fd)
{
    char token[JOBDIR_TOKEN_BYTES];
    *client = (struct client){.fd = -1};
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

static void client_close(struct client *client)
{
    (void)close(client->fd);
    buffer_close(&client->in);
    decoder_close(&client->decoder);
}

static void client_attach(struct client *client, const struct message_attach *attach)
{
    struct buffer out;
    buffer_init(&out, 65536);
    assert_int_equal(message_put_attach(&out, 7, NULL, attach, NULL), AFAR_OK);
    send_all(client->fd, &out);
    buffer_close(&out);
}

static void client_ack(const struct client *client)
{
    struct buffer out;
    buffer_init(&out, 65536);
    assert_int_equal(message_put_ack(&out, 7, client->next, NULL), AFAR_OK);
    (void)send(client->fd, buffer_head(&out), buffer_size(&out), MSG_NOSIGNAL);
    buffer_close(&out);
}

static void client_take(struct client *client, const struct message *message,
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
static void client_until(struct client *client, enum message_type type)
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
            client_take(client, &message, payload);
            message_close(&message);
            buffer_consume(&client->in, used);
            client_ack(client);
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

static struct message_attach driver(uint64_t attempt)
{
    struct message_attach attach = {.attempt = attempt, .output = true, .follow = true};
    (void)snprintf(attach.holder, sizeof attach.holder, "%s", holder);
    return attach;
}

static void say(const struct client *client, const char *text, bool eof)
{
    struct buffer out;
    buffer_init(&out, 65536);
    assert_int_equal(message_put_stdin(&out, 7, 0, text, strlen(text), eof, NULL), AFAR_OK);
    send_all(client->fd, &out);
    buffer_close(&out);
}

static void wait_for_end(int folder_fd, struct jobdir_end *end)
{
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    while (jobdir_read_end(folder_fd, end, NULL) != AFAR_OK) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(10000);
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void input_output_and_receipt(void **state)
{
    struct jobdir_request request;
    struct jobdir_end end;
    struct client client;
    (void)state;
    int fd = start(&request, "read x; echo got $x as $AFAR_JOB$PATH; echo oops >&2; exit 3",
                   WHEN_FULL_CUT);
    client_open(&client, fd);
    const struct message_attach attach = driver(0);
    client_attach(&client, &attach);
    client_until(&client, MESSAGE_ATTACHED);
    assert_true(client.last.kept);
    assert_string_equal(client.last.job, request.job);
    say(&client, "hello\n", true);
    client_until(&client, MESSAGE_EXIT);
    assert_int_equal(client.last.receipt.code, 3);
    assert_int_equal(client.last.receipt.stdout_bytes, client.bytes[0]);
    assert_int_equal(client.bytes[1], 5);
    assert_string_equal(client.text, "got hello as /usr/bin:/bin\n");
    client_close(&client);
    wait_for_end(fd, &end);
    assert_int_equal(end.receipt.code, 3);
    assert_string_equal(end.holder, holder);
    (void)close(fd);
}

static void several_read_and_one_takes_over(void **state)
{
    struct jobdir_request request;
    struct client first;
    struct client other;
    struct client readers[3];
    (void)state;
    int fd = start(&request, "seq 1 100000; cat; seq 1 5 >&2", WHEN_FULL_CUT);
    client_open(&first, fd);
    struct message_attach attach = driver(0);
    client_attach(&first, &attach);
    client_until(&first, MESSAGE_STDOUT);
    for (int i = 0; i < 3; i++) {
        client_open(&readers[i], fd);
        attach.watch = true;
        attach.output = i != 2;
        client_attach(&readers[i], &attach);
        client_until(&readers[i], MESSAGE_ATTACHED);
    }
    /* Nothing is sent in part then: else its connection would be cut without a word. */
    while (first.bytes[0] < 588895)
        client_until(&first, MESSAGE_STDOUT);
    client_open(&other, fd);
    attach = driver(0);
    attach.holder[0] = 'x';
    client_attach(&other, &attach);
    client_until(&other, MESSAGE_STDOUT);
    client_until(&first, MESSAGE_ERROR);
    assert_string_equal(first.last.word, "superseded");
    say(&other, "the end\n", true);
    client_until(&other, MESSAGE_EXIT);
    assert_int_equal(other.last.receipt.code, 0);
    assert_int_equal(other.bytes[0], 588895 + 8);
    assert_int_equal(other.cut, 0);
    for (int i = 0; i < 3; i++) {
        client_until(&readers[i], MESSAGE_EXIT);
        assert_int_equal(readers[i].bytes[0], 588895 + 8);
        assert_int_equal(readers[i].bytes[1], 10);
        client_close(&readers[i]);
    }
    client_close(&first);
    client_close(&other);
    (void)close(fd);
}

/* More than the spool holds, with nobody there; then read, twice. */
static void nobody_reads(void **state)
{
    struct jobdir_request request;
    struct jobdir_end end;
    struct client client;
    (void)state;
    int fd = start(&request, "head -c 20000000 /dev/zero; echo done >&2", WHEN_FULL_CUT);
    wait_for_end(fd, &end);
    for (int i = 0; i < 2; i++) {
        client_open(&client, fd);
        struct message_attach attach = driver(0);
        attach.watch = true;
        client_attach(&client, &attach);
        client_until(&client, MESSAGE_EXIT);
        assert_int_equal(client.bytes[0], 20000000);
        assert_int_equal(client.bytes[1], 5);
        assert_true(client.cut > 15000000 && client.cut < 18000000);
        client_close(&client);
    }
    (void)close(fd);
}

static void what_blocks_loses_nothing(void **state)
{
    struct jobdir_request request;
    struct client client;
    (void)state;
    int fd = start(&request, "head -c 20000000 /dev/zero", WHEN_FULL_BLOCK);
    client_open(&client, fd);
    const struct message_attach attach = driver(0);
    client_attach(&client, &attach);
    client_until(&client, MESSAGE_EXIT);
    assert_int_equal(client.bytes[0], 20000000);
    assert_int_equal(client.cut, 0);
    client_close(&client);
    (void)close(fd);
}

/* The keeper is killed: its command goes with it, and the folder says that it is lost. */
static void killed(void **state)
{
    struct jobdir_request request;
    struct jobdir_end end;
    struct client client;
    int lock_fd = -1;
    (void)state;
    int fd = start(&request, "echo $$ $PPID; exec sleep 1000", WHEN_FULL_CUT);
    client_open(&client, fd);
    const struct message_attach attach = driver(0);
    client_attach(&client, &attach);
    while (!client.ended && strchr(client.text, '\n') == NULL)
        client_until(&client, MESSAGE_STDOUT);
    int command = atoi(client.text);
    int keeper = atoi(strchr(client.text, ' '));
    assert_int_equal(jobdir_lock(fd, &lock_fd, NULL), AFAR_EAGAIN);
    assert_int_equal(kill(keeper, SIGKILL), 0);
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    while (kill(command, 0) == 0 || jobdir_lock(fd, &lock_fd, NULL) != AFAR_OK) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(10000);
    }
    assert_true(jobdir_has_begun(fd));
    assert_int_equal(jobdir_read_end(fd, &end, NULL), AFAR_EAGAIN);
    (void)close(lock_fd);
    client_close(&client);
    (void)close(fd);
}

/* A keeper that cannot accept waits, which costs nothing, and then accepts. */
static void out_of_descriptors(void **state)
{
    struct jobdir_request request;
    struct client first;
    struct client second;
    struct rlimit was;
    (void)state;
    int fd = start(&request, "echo $PPID; exec sleep 1000", WHEN_FULL_CUT);
    client_open(&first, fd);
    struct message_attach attach = driver(0);
    client_attach(&first, &attach);
    while (!first.ended && strchr(first.text, '\n') == NULL)
        client_until(&first, MESSAGE_STDOUT);
    pid_t keeper = (pid_t)atoi(first.text);
    assert_int_equal(prlimit(keeper, RLIMIT_NOFILE, NULL, &was), 0);
    const struct rlimit none = {.rlim_cur = 1, .rlim_max = was.rlim_max};
    assert_int_equal(prlimit(keeper, RLIMIT_NOFILE, &none, NULL), 0);
    client_open(&second, fd);
    attach.watch = true;
    client_attach(&second, &attach);
    expect_process_rests(keeper);
    struct pollfd answer = {.fd = second.fd, .events = POLLIN};
    assert_int_equal(poll(&answer, 1, 0), 0);
    assert_int_equal(prlimit(keeper, RLIMIT_NOFILE, &was, NULL), 0);
    client_until(&second, MESSAGE_ATTACHED);
    assert_int_equal(kill(keeper, SIGKILL), 0);
    client_close(&first);
    client_close(&second);
    (void)close(fd);
}

static void not_to_be_started(void **state)
{
    struct jobdir_request request;
    struct client client;
    (void)state;
    char token[JOBDIR_TOKEN_BYTES] = "";
    int fd = start(&request, "exec /no/such/program", WHEN_FULL_CUT);
    struct jobdir_end end;
    wait_for_end(fd, &end);
    assert_int_equal(end.receipt.code, 127);
    /* Without the token nobody is heard. */
    int door = -1;
    char byte = 0;
    assert_int_equal(jobdir_connect(fd, &door, NULL), AFAR_OK);
    memset(token, 'a', sizeof token);
    assert_int_equal(send(door, token, sizeof token - 1, MSG_NOSIGNAL), sizeof token - 1);
    struct pollfd waiting = {.fd = door, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, DEADLINE_MS), 1);
    assert_true(recv(door, &byte, 1, 0) <= 0);
    (void)close(door);
    client_open(&client, fd);
    client_close(&client);
    assert_int_equal(jobdir_remove(jobs_fd, request.job, NULL), AFAR_OK);
    (void)close(fd);
}

int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], KEEPER_NAME) == 0)
        return keeper_main(argc, argv);
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: as a keeper valgrind would be started, and not this\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(input_output_and_receipt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(several_read_and_one_takes_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_reads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_blocks_loses_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_to_be_started, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
