/* Valid-ish frames in any order, from several connections at once, to a live server. Whatever they
 * are, its answers keep to the protocol: each is well formed, numbered without a gap, one end to a
 * request and nothing after it, and the receipt counts what came. AFAR_SEEDS=n  so many sequences
 * instead of 300        AFAR_SEED=n  only this one */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "support/afard.h"
#include "support/raw.h"
#include "wire/frame.h"

enum {
    SEQUENCES = 300,
    ACTIONS_MAX = 60,
    LINES = 3,          /* connections at once */
    REQUESTS_MAX = 512, /* of a connection: ids from 1 */
    LAST_ID = REQUESTS_MAX - 1,
    IN_BYTES = 4 << 20
};

/* What a connection has asked, by id. */
struct request {
    enum { NOTHING, EXEC, PING, KILL, OTHER } kind;
    bool dirty; /* the fuzzer broke the rules with this id: anything may come */
    bool started;
    bool ended;
    uint64_t next_seq;
    uint64_t bytes[2];
    uint64_t stdin_sent;
};

struct line {
    int fd;
    bool doomed; /* framing was broken on purpose: the server closes it */
    bool closed;
    struct buffer in;
    struct decoder decoder;
    struct request requests[REQUESTS_MAX];
    uint64_t last_id;
    uint64_t current; /* the exec that was sent last */
    char job[MESSAGE_JOB_ID_BYTES];
};

static uint64_t seed;
static uint64_t random_state;

/* xorshift64*, so that a seed means the same everywhere. */
static unsigned any(unsigned below)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (unsigned)((random_state * UINT64_C(2685821657736338717)) >> 33) % below;
}

static void broken(const struct line *line, uint64_t id, const char *what)
{
    (void)line;
    fail_msg("AFAR_SEED=%llu: id %llu: %s", (unsigned long long)seed, (unsigned long long)id, what);
}

/* ---- what the server says -------------------------------------------------------------------- */

static void check_end(struct line *line, struct request *request, const struct message *message)
{
    if (request->ended)
        broken(line, message->id, "a second end");
    request->ended = true;
    if (message->type == MESSAGE_EXIT && (message->receipt.stdout_bytes != request->bytes[0] ||
                                          message->receipt.stderr_bytes != request->bytes[1]))
        broken(line, message->id, "the receipt counts other bytes than came");
}

static void check_output(struct line *line, struct request *request, const struct message *message)
{
    if (request->kind != EXEC || request->ended)
        broken(line, message->id, "output of no running command");
    if (message->seq != request->next_seq)
        broken(line, message->id, "a gap in seq");
    request->next_seq++;
    if (message->type == MESSAGE_EXIT) {
        check_end(line, request, message);
        return;
    }
    if (!request->started || message->size == 0)
        broken(line, message->id, "output before the start, or empty");
    request->bytes[message->type == MESSAGE_STDERR] += message->size;
}

static void check_answer(struct line *line, const struct message *message)
{
    static struct request nobody;
    struct request *request = &nobody;
    if (message->has_id && message->id < REQUESTS_MAX)
        request = &line->requests[message->id];
    if (request->dirty && message->type != MESSAGE_BAD)
        return;
    switch (message->type) {
    case MESSAGE_STARTED:
        if (request->kind != EXEC || request->started || request->ended)
            broken(line, message->id, "started out of turn");
        request->started = true;
        memcpy(line->job, message->job, sizeof line->job);
        break;
    case MESSAGE_STDOUT:
    case MESSAGE_STDERR:
    case MESSAGE_EXIT:
        check_output(line, request, message);
        break;
    case MESSAGE_ACK:
        if (request->kind != EXEC || request->ended || message->stdin_acked > request->stdin_sent)
            broken(line, message->id, "an ack out of turn");
        break;
    case MESSAGE_PONG:
    case MESSAGE_DONE:
        if (request->kind != (message->type == MESSAGE_PONG ? PING : KILL))
            broken(line, message->id, "the answer to another kind of request");
        check_end(line, request, message);
        break;
    case MESSAGE_DETACHED:
        if (request->kind != EXEC)
            broken(line, message->id, "detached from what is no command");
        check_end(line, request, message);
        break;
    case MESSAGE_ERROR:
        if (!message->has_id)
            break;
        if (request->kind == NOTHING)
            broken(line, message->id, "an error for what was not asked");
        check_end(line, request, message);
        break;
    case MESSAGE_PING:
        break;
    default:
        broken(line, message->id, "a frame that no server sends");
    }
}

/* Takes what has come. */
static void take(struct line *line)
{
    for (;;) {
        struct message message;
        const uint8_t *payload = NULL;
        size_t used = 0;
        enum afar_status status =
            decoder_next(&line->decoder, buffer_head(&line->in), buffer_size(&line->in), &message,
                         &payload, &used, NULL);
        if (status == AFAR_EAGAIN)
            return;
        if (status != AFAR_OK)
            broken(line, 0, "the server's framing is broken");
        check_answer(line, &message);
        message_close(&message);
        buffer_consume(&line->in, used);
    }
}

/* Reads for `timeout_ms` or until something has come. False: nothing. */
static bool listen_to(struct line *line, int timeout_ms)
{
    struct pollfd waiting = {.fd = line->fd, .events = POLLIN};
    uint8_t *room = NULL;
    if (line->closed || poll(&waiting, 1, timeout_ms) <= 0)
        return false;
    assert_int_equal(buffer_reserve(&line->in, 65536, &room, NULL), AFAR_OK);
    ssize_t got = recv(line->fd, room, 65536, 0);
    buffer_commit(&line->in, got > 0 ? (size_t)got : 0);
    if (got <= 0) {
        if (!line->doomed)
            broken(line, 0, "the server has closed");
        line->closed = true;
    }
    take(line);
    return true;
}

/* ---- what the fuzzer says -------------------------------------------------------------------- */

static void say(struct line *line, const char *header, size_t payload_bytes)
{
    static const uint8_t payload[65536];
    if (line->closed)
        return;
    raw_send_frame_with(line->fd, header, payload, payload_bytes);
    (void)listen_to(line, 0);
}

static uint64_t new_request(struct line *line, int kind)
{
    if (line->last_id + 1 < LAST_ID)
        line->last_id++;
    struct request *request = &line->requests[line->last_id];
    if (request->kind != NOTHING)
        request->dirty = true; /* ids have run out */
    request->kind = kind;
    return line->last_id;
}

static void say_exec(struct line *line)
{
    static const char *const commands[] = {
        "\"argv\":[\"true\"]",
        "\"argv\":[\"sh\",\"-c\",\"echo out; echo err >&2; exit 3\"]",
        "\"argv\":[\"cat\"],\"stdin\":\"stream\"",
        "\"argv\":[\"sleep\",\"1000\"]",
        "\"argv\":[\"head\",\"-c\",\"300000\",\"/dev/zero\"]",
        "\"shell\":\"cat >/dev/null; exit 4\",\"stdin\":\"stream\",\"digest\":\"sha256\"",
        "\"argv\":[\"no such program\"]",
        "\"argv\":[\"true\"],\"cwd\":\"/no such folder\"",
        "\"argv\":[\"true\"],\"pty\":true",
        "\"argv\":[\"true\"],\"must\":[\"wings\"]",
        "\"argv\":[\"sh\",\"-c\",\"kill -9 $$\"],\"timeout_ms\":10000",
        "\"argv\":[\"sleep\",\"1000\"],\"timeout_ms\":1,\"start_within_ms\":1000",
    };
    char header[512];
    uint64_t id = new_request(line, EXEC);
    line->current = id;
    (void)snprintf(header, sizeof header, "{\"type\":\"exec\",\"v\":1,\"id\":%llu,%s}",
                   (unsigned long long)id, commands[any(sizeof commands / sizeof commands[0])]);
    say(line, header, 0);
}

static void say_stdin(struct line *line)
{
    static const unsigned sizes[] = {0, 1, 1000, 65536};
    unsigned size = sizes[any(4)];
    struct request *request = &line->requests[line->current];
    uint64_t offset = request->stdin_sent;
    char header[256];
    if (any(10) == 0)
        offset += 1 + any(1000); /* a gap */
    else if (any(10) == 0 && offset > 0)
        offset -= 1; /* a resend */
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"stdin\",\"id\":%llu,\"offset\":%llu,\"size\":%u%s}",
                   (unsigned long long)line->current, (unsigned long long)offset, size,
                   any(4) == 0 ? ",\"eof\":true" : "");
    if (offset + size > request->stdin_sent)
        request->stdin_sent = offset + size;
    say(line, header, size);
}

static void say_word(struct line *line)
{
    static const char *const words[] = {
        "\"type\":\"signal\",\"name\":\"INT\"",
        "\"type\":\"signal\",\"name\":\"KILL\"",
        "\"type\":\"signal\",\"name\":\"STOP\"",
        "\"type\":\"signal\",\"name\":\"CONT\"",
        "\"type\":\"signal\",\"name\":\"NOTHING\"",
        "\"type\":\"close\",\"stream\":\"stdout\"",
        "\"type\":\"close\",\"stream\":\"stderr\"",
        "\"type\":\"ack\",\"next\":1",
        "\"type\":\"ack\",\"next\":0",
        "\"type\":\"ack\",\"next\":1000000",
        "\"type\":\"pong\"",
        "\"type\":\"detach\"",
        "\"type\":\"resize\",\"rows\":24",
    };
    char header[256];
    (void)snprintf(header, sizeof header, "{\"id\":%llu,%s}", (unsigned long long)line->current,
                   words[any(sizeof words / sizeof words[0])]);
    say(line, header, 0);
}

static void say_request(struct line *line)
{
    static const struct {
        int kind;
        const char *fields;
    } requests[] = {
        {PING, "\"type\":\"ping\""},
        {PING, "\"type\":\"ping\",\"size\":100"},
        {KILL, "\"type\":\"kill\",\"name\":\"TERM\""},
        {KILL, "\"type\":\"kill\",\"name\":\"NOTHING\""},
        {OTHER, "\"type\":\"jobs\""},
        {OTHER, "\"type\":\"attach\",\"key\":\"x\""},
        {OTHER, "\"type\":\"exit\",\"seq\":0,\"outcome\":\"exited\",\"code\":0"},
        {OTHER, "\"type\":\"dance\",\"size\":10"},
        {OTHER, "\"type\":\"exec\",\"v\":2,\"argv\":[\"true\"]"},
        {OTHER, "\"type\":\"exec\",\"v\":1,\"argc\":2,\"size\":10"},
        {OTHER, "\"type\":\"exec\",\"v\":1"},
        {OTHER, "\"type\":7"},
    };
    char header[256];
    unsigned which = any(sizeof requests / sizeof requests[0]);
    uint64_t id = new_request(line, requests[which].kind);
    const char *size = strstr(requests[which].fields, "\"size\":");
    (void)snprintf(header, sizeof header, "{\"id\":%llu,\"job\":\"%s\",%s}", (unsigned long long)id,
                   any(2) == 0 && line->job[0] != '\0' ? line->job : "0123",
                   requests[which].fields);
    say(line, header, size == NULL ? 0 : (size_t)strtoul(size + 7, NULL, 10));
}

/* What no client may do: an id that was used before, or a malformed frame about the command. */
static void say_dirt(struct line *line)
{
    static const char *const dirt[] = {
        "\"type\":\"exec\",\"v\":1,\"argv\":[\"true\"]",
        "\"type\":\"stdin\"",
        "\"type\":\"signal\",\"name\":7",
        "\"type\":\"ack\",\"next\":-1",
        "\"type\":\"ping\"",
        "\"type\":\"close\",\"stream\":\"stdin\"",
        "\"type\":\"exec\",\"v\":1,\"argv\":[\"sleep\",\"1000\"],\"start_within_ms\":1",
    };
    char header[256];
    if (line->current == 0)
        return;
    line->requests[line->current].dirty = true;
    (void)snprintf(header, sizeof header, "{\"id\":%llu,%s}", (unsigned long long)line->current,
                   dirt[any(sizeof dirt / sizeof dirt[0])]);
    say(line, header, 0);
}

static void say_junk(struct line *line)
{
    static const char *const junk[] = {"\xff\xff\xff\xff", "GET / HTTP/1.1\r\n\r\n",
                                       "\x02\x00\x00\x00[]", "\x10\x00\x00\x00{\"size\":2000000}"};
    static const size_t sizes[] = {4, 18, 6, 20};
    unsigned which = any(4);
    line->doomed = true;
    raw_send(line->fd, junk[which], sizes[which]);
    while (!line->closed) {
        if (!listen_to(line, (int)test_deadline_ms()))
            broken(line, 0, "the server does not close after junk");
    }
}

static void act(struct line *line)
{
    unsigned what = any(100);
    if (line->closed)
        return;
    if (what < 25)
        say_exec(line);
    else if (what < 50)
        say_stdin(line);
    else if (what < 70)
        say_word(line);
    else if (what < 90)
        say_request(line);
    else if (what < 96)
        say_dirt(line);
    else if (what < 97)
        say_junk(line);
    else
        (void)listen_to(line, 5);
}

/* ---- sequences ------------------------------------------------------------------------------- */

static void open_line(struct line *line, uint16_t port)
{
    memset(line, 0, sizeof *line);
    line->fd = raw_connect(port);
    buffer_init(&line->in, IN_BYTES);
    decoder_init(&line->decoder);
}

/* Ends the request, again and again, because a signal that comes before the start may be overtaken
 * by another; and sees that it has its end. */
static void await_end(struct line *line, uint64_t id)
{
    const struct request *request = &line->requests[id];
    char header[128];
    (void)snprintf(header, sizeof header, "{\"type\":\"signal\",\"id\":%llu,\"name\":\"KILL\"}",
                   (unsigned long long)id);
    while (!line->closed && !request->dirty && request->kind != NOTHING && !request->ended) {
        say(line, header, 0);
        if (!request->ended && !listen_to(line, (int)test_deadline_ms()))
            broken(line, id, "no end");
    }
}

/* Half of them go without a word, perhaps in the middle of one. The others end what runs, and see
 * that everything they asked has had its end. */
static void close_line(struct line *line)
{
    unsigned how = any(4);
    if (!line->closed && how == 0) {
        raw_send(line->fd, "\x40\x00\x00\x00{\"type\":\"exec\"", 18);
        raw_reset(line->fd);
    } else if (!line->closed && how >= 2) {
        for (uint64_t id = 1; id <= line->last_id; id++)
            await_end(line, id);
        (void)close(line->fd);
    } else {
        (void)close(line->fd);
    }
    decoder_close(&line->decoder);
    buffer_close(&line->in);
}

static void play(uint16_t port)
{
    static struct line lines[LINES];
    unsigned count = 1 + any(LINES);
    unsigned actions = 1 + any(ACTIONS_MAX);
    for (unsigned i = 0; i < count; i++)
        open_line(&lines[i], port);
    for (unsigned i = 0; i < actions; i++)
        act(&lines[any(count)]);
    for (unsigned i = 0; i < count; i++)
        close_line(&lines[i]);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value == NULL || value[0] == '\0' ? otherwise : strtoull(value, NULL, 10);
}

static void play_all(const char *workers)
{
    struct afard server;
    struct program client;
    const char *args[] = {"--listen",    "tcp://127.0.0.1:0",
                          "--workers",   workers,
                          "--log-level", "error",
                          "--set",       "kill_grace_ms=50",
                          "--set",       "linger_ms=50",
                          "--set",       "refusals_per_minute=0",
                          NULL};
    uint64_t only = number("AFAR_SEED", 0);
    uint64_t count = only > 0 ? only : number("AFAR_SEEDS", SEQUENCES) / 2;
    afard_start(&server, args);
    for (seed = only > 0 ? only : 1; seed <= count; seed++) {
        random_state = seed * UINT64_C(0x9E3779B97F4A7C15);
        play(afard_port(&server, 0));
    }
    const char *argv[] = {"afar", "run", server.url[0], "--", "echo", "well", NULL};
    assert_int_equal(program_run(&client, argv, NULL, 0), 0);
    assert_string_equal(client.stdout_data, "well\n");
    program_close(&client);
    afard_expect_calm(&server); /* nothing that was started is left */
    assert_int_equal(afard_stop(&server), 0);
}

static void one_worker(void **state)
{
    (void)state;
    play_all("1");
}

static void several_workers(void **state)
{
    (void)state;
    play_all("3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker),
        cmocka_unit_test(several_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
