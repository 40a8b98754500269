/* The windows of a keeper's clients: they grow if the way is long, and as far as the server allows.
 * The test is that server. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "keep/keeper.h"
#include "support/keeper_client.h"

enum { OWN_BYTES = 1 << 18, FAR_MS = 40 };

/* All that comes until nothing more does, so that all of a window is on its way for FAR_MS. */
struct burst {
    size_t bytes; /* of output */
    unsigned pings;
    uint64_t ping; /* the last one's id */
    unsigned rooms;
    uint64_t room;       /* the last one's window … */
    uint64_t least_room; /* … and the least */
};

static void note(struct burst *burst, const struct message *message)
{
    if (message->type == MESSAGE_STDOUT)
        burst->bytes += message->size;
    if (message->type == MESSAGE_PING) {
        burst->pings++;
        burst->ping = message->id;
    }
    if (message->type == MESSAGE_ROOM) {
        burst->rooms++;
        burst->room = message->window;
        if (burst->room < burst->least_room)
            burst->least_room = burst->room;
    }
}

static void pong(const struct keeper_client *client, uint64_t id)
{
    struct buffer out;
    buffer_init(&out, 65536);
    assert_int_equal(message_put_pong(&out, id, "1", 0, NULL), AFAR_OK);
    keeper_client_send(client->fd, &out);
    buffer_close(&out);
}

static void note_all(struct keeper_client *client, struct burst *burst, bool near)
{
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    while (buffer_size(&client->in) > 0 &&
           decoder_next(&client->decoder, buffer_head(&client->in), buffer_size(&client->in),
                        &message, &payload, &used, NULL) == AFAR_OK) {
        keeper_client_take(client, &message, payload);
        note(burst, &message);
        if (near && message.type == MESSAGE_PING)
            pong(client, message.id);
        message_close(&message);
        buffer_consume(&client->in, used);
    }
}

/* `near`: pings are answered at once. */
static struct burst take(struct keeper_client *client, bool near)
{
    struct burst burst = {.least_room = UINT64_MAX};
    struct pollfd waiting = {.fd = client->fd, .events = POLLIN};
    note_all(client, &burst, near);
    while (poll(&waiting, 1, FAR_MS) == 1) {
        uint8_t *room = NULL;
        assert_int_equal(buffer_reserve(&client->in, 65536, &room, NULL), AFAR_OK);
        ssize_t got = recv(client->fd, room, 65536, 0);
        assert_true(got > 0);
        buffer_commit(&client->in, (size_t)got);
        note_all(client, &burst, near);
    }
    return burst;
}

static void allow(const struct keeper_client *client, uint64_t window)
{
    struct buffer out;
    buffer_init(&out, 65536);
    assert_int_equal(message_put_room(&out, 7, window, 0, NULL), AFAR_OK);
    keeper_client_send(client->fd, &out);
    buffer_close(&out);
}

/* Acknowledges what has come, and takes what follows, so many times or until it asks for room. The
 * largest burst is added up in *most. */
static struct burst go_on(struct keeper_client *client, int times, size_t *most)
{
    struct burst burst = {0};
    for (int i = 0; i < times && burst.rooms == 0; i++) {
        keeper_client_ack(client);
        burst = take(client, false);
        *most = burst.bytes > *most ? burst.bytes : *most;
    }
    return burst;
}

/* Attaches to a job that writes more than is taken here. */
static int open_much(struct keeper_client *client, bool watches, uint64_t window_max)
{
    struct jobdir_request request;
    int fd =
        keeper_client_start(&request, "exec head -c 40000000 /dev/zero", WHEN_FULL_CUT, 64 << 20);
    keeper_client_open(client, fd);
    struct message_attach attach = keeper_client_driver(0);
    attach.watch = watches;
    attach.window_max = window_max;
    keeper_client_attach(client, &attach);
    keeper_client_until(client, MESSAGE_ATTACHED);
    assert_int_equal(client->last.window, OWN_BYTES);
    assert_int_equal(client->last.attached.window_max, window_max);
    return fd;
}

/* Until its ping comes. */
static uint64_t take_ping(struct keeper_client *client)
{
    struct burst burst = take(client, false);
    for (int i = 0; i < 50 && burst.pings == 0; i++) {
        keeper_client_ack(client);
        burst = take(client, false);
    }
    assert_int_equal(burst.pings, 1);
    return burst.ping;
}

/* Waits for the job's end, so that its folder can be removed. */
static void close_much(struct keeper_client *client, int fd)
{
    struct jobdir_end end;
    const int64_t deadline_ms = clock_deadline_ms(30000);
    while (jobdir_read_end(fd, &end, NULL) != AFAR_OK) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(10000);
    }
    keeper_client_close(client);
    (void)close(fd);
}

/* FEW times are enough to see that it does not grow, and MANY for it to grow on a busy machine. */
enum { FEW = 3, MANY = 30 };

static void grows(bool watches)
{
    struct keeper_client client;
    size_t most = 0;
    int fd = open_much(&client, watches, 4 << 20);
    const uint64_t ping = take_ping(&client);
    pong(&client, ping + 17); /* the answer to another's ping says nothing */
    assert_int_equal(go_on(&client, FEW, &most).rooms, 0);
    pong(&client, ping);
    struct burst burst = go_on(&client, MANY, &most);
    assert_true(burst.rooms == 1 && burst.room >= OWN_BYTES);

    /* It waits for the answer, and asks once; then it has what the answer says. */
    assert_int_equal(go_on(&client, FEW, &most).rooms, 0);
    assert_true(most <= OWN_BYTES);
    for (int i = 0; i < MANY && most <= OWN_BYTES; i++) {
        allow(&client, OWN_BYTES);
        (void)go_on(&client, 1, &most);
    }
    assert_true(most > OWN_BYTES && most <= 2 * OWN_BYTES);

    /* Others want room: it says when it has less; and what it asks for is refused. */
    bool told = false;
    for (int i = 0; i < MANY && !told; i++) {
        allow(&client, 0);
        told = go_on(&client, 1, &most).least_room == 0;
    }
    assert_true(told && most <= 2 * OWN_BYTES);
    most = 0;
    (void)go_on(&client, FEW, &most);
    assert_true(most <= OWN_BYTES);
    close_much(&client, fd);
}

static void windows_grow(void **state)
{
    (void)state;
    grows(false);
}

static void windows_of_watchers_grow(void **state)
{
    (void)state;
    grows(true);
}

/* One that rests and then takes all at once is not far away if it answers the ping at once. */
static void slow_readers_stay_small(void **state)
{
    struct keeper_client client;
    unsigned pings = 0;
    (void)state;
    int fd = open_much(&client, false, 4 << 20);
    for (int i = 0; i < 6; i++) {
        const struct burst burst = take(&client, true);
        pings += burst.pings;
        assert_true(burst.bytes <= OWN_BYTES && burst.rooms == 0);
        (void)usleep(150000);
        keeper_client_ack(&client);
    }
    assert_int_equal(pings, 1);
    close_much(&client, fd);
}

static void old_clients_are_asked_nothing(void **state)
{
    struct keeper_client client;
    (void)state;
    int fd = open_much(&client, false, 0);
    for (int i = 0; i < 10; i++) {
        const struct burst burst = take(&client, true);
        assert_true(burst.bytes <= OWN_BYTES && burst.rooms == 0 && burst.pings == 0);
        keeper_client_ack(&client);
    }
    close_much(&client, fd);
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
        cmocka_unit_test_setup_teardown(windows_grow, keeper_client_set_up,
                                        keeper_client_tear_down),
        cmocka_unit_test_setup_teardown(windows_of_watchers_grow, keeper_client_set_up,
                                        keeper_client_tear_down),
        cmocka_unit_test_setup_teardown(slow_readers_stay_small, keeper_client_set_up,
                                        keeper_client_tear_down),
        cmocka_unit_test_setup_teardown(old_clients_are_asked_nothing, keeper_client_set_up,
                                        keeper_client_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
