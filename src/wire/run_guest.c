#include "wire/run_guest.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "wire/run_guest_internal.h"

#define NEVER INT64_MAX

enum afar_status run_guest_open(struct run_guest *guest, const struct run_guest_setup *setup,
                                struct afar_error *err)
{
    *guest = (struct run_guest){.asked_resume_ms = setup->resume_ms,
                                .window_max = setup->window_max,
                                .keep = setup->keep,
                                .takes_over = setup->job != NULL,
                                .watch = setup->watch,
                                .no_output = setup->no_output,
                                .no_follow = setup->no_follow,
                                .times = setup->times,
                                .first = setup->first,
                                .has_since = setup->has_since,
                                .since_ms = setup->since_ms,
                                .stdin_stream = setup->stdin_stream,
                                .stdin_again = setup->stdin_again,
                                .stdin_behind = setup->stdin_behind,
                                .stdin_credit = setup->stdin_credit,
                                .give_up_ms = NEVER,
                                .try_at_ms = NEVER};
    if (guest->stdin_credit == 0)
        guest->stdin_credit = MESSAGE_STDIN_CREDIT_BYTES;
    buffer_init(&guest->ring, (size_t)guest->stdin_credit);
    guest->has_screen = setup->screen != NULL;
    if (setup->screen != NULL)
        guest->screen = *setup->screen;
    guest->tail = setup->tail;
    if (setup->holder != NULL)
        (void)snprintf(guest->holder, sizeof guest->holder, "%s", setup->holder);
    if (setup->job != NULL)
        (void)snprintf(guest->job, sizeof guest->job, "%s", setup->job);
    bool needs = setup->resume_ms > 0 || setup->job != NULL;
    if (needs && !message_is_holder(guest->holder))
        return afar_fail(err, AFAR_EINVAL, "a holder must be %d to %d visible characters",
                         MESSAGE_HOLDER_MIN_BYTES, MESSAGE_HOLDER_BYTES - 1);
    return AFAR_OK;
}

bool run_guest_is_named(const struct run_guest *guest)
{
    return guest->stdin_again || guest->stdin_behind;
}

void run_guest_close(struct run_guest *guest)
{
    buffer_close(&guest->ring);
}

/* ---- the connection -------------------------------------------------------------------------- */

/* Resets what is counted per connection: nothing has been put on the new one. */
static void connect(struct run_guest *guest, uint64_t id)
{
    guest->id = id;
    guest->connected = true;
    guest->connecting = false;
    guest->progress = false;
    guest->door = RUN_GUEST_WELCOME;
    guest->stdin_put = guest->stdin_sent - buffer_size(&guest->ring);
    guest->eof_put = guest->leave_put = false;
    guest->close_put[0] = guest->close_put[1] = false;
}

void run_guest_begin(struct run_guest *guest, uint64_t id)
{
    connect(guest, id);
}

void run_guest_sent(struct run_guest *guest)
{
    if (guest->state == RUN_GUEST_NEW && guest->connected && !guest->takes_over)
        guest->state = RUN_GUEST_ASKED;
}

enum afar_status run_guest_connected(struct run_guest *guest, uint64_t id, struct buffer *out,
                                     struct afar_error *err)
{
    connect(guest, id);
    guest->state = RUN_GUEST_ATTACH;
    guest->attempt++;
    /* A run that this guest started by an exec is resumed, even if the server never answered. */
    const bool again = guest->confirmed || !guest->takes_over;
    struct message_attach attach = {.attempt = guest->attempt,
                                    .resume = again && !guest->watch,
                                    .has_next = again,
                                    .next = guest->next_seq,
                                    .ack = guest->taken,
                                    .has_next_bytes = again,
                                    .watch = guest->watch,
                                    .output = !guest->no_output,
                                    .follow = !guest->no_follow,
                                    .times = guest->times,
                                    .window_max = guest->window_max};
    if (!again && guest->first > 0) {
        attach.has_next = true;
        attach.next = attach.ack = guest->first;
    } else if (!again) {
        attach.has_since = guest->has_since;
        attach.since_ms = guest->since_ms;
    }
    if (!again && guest->has_screen) {
        attach.has_pty = true;
        attach.screen = guest->screen;
        attach.tail = guest->tail;
    }
    memcpy(attach.holder, guest->holder, sizeof attach.holder);
    memcpy(attach.next_bytes, guest->bytes, sizeof attach.next_bytes);
    guest->acked = guest->taken;
    return message_put_attach(out, id, guest->job[0] != '\0' ? guest->job : NULL, &attach, err);
}

static enum run_guest_after end(struct run_guest *guest, struct afar_error *err, const char *why)
{
    guest->state = RUN_GUEST_ENDED;
    (void)afar_fail(err, AFAR_ECLOSED, "%s", why);
    return RUN_GUEST_OVER;
}

const char *run_guest_fate(const struct run_guest *guest)
{
    if (guest->kept)
        return "the command is kept, and may run on";
    if (guest->takes_over)
        return "the command may run on";
    if (guest->confirmed)
        return "whether the command finished is unknown";
    return "whether the command ran is unknown";
}

/* Doubles the wait with each try, and spreads it by ±20 % so that clients that lost their
 * connections together do not return together. */
static int64_t retry_ms(unsigned tries, uint32_t random)
{
    if (tries == 0)
        return 0;
    int64_t wait_ms = RUN_GUEST_RETRY_MAX_MS;
    if (tries <= 6)
        wait_ms = (int64_t)RUN_GUEST_RETRY_MS << (tries - 1);
    if (wait_ms > RUN_GUEST_RETRY_MAX_MS)
        wait_ms = RUN_GUEST_RETRY_MAX_MS;
    return wait_ms * 4 / 5 + wait_ms * 2 / 5 * (int64_t)(random >> 8) / (1 << 24);
}

/* Sets the time of the next try; not before the time that the server asked for
 * (run_guest_message). */
static void set_retry(struct run_guest *guest, int64_t now_ms, uint32_t random)
{
    int64_t wait_ms = retry_ms(guest->tries, random);
    if (guest->try_at_ms == NEVER || guest->try_at_ms < now_ms + wait_ms)
        guest->try_at_ms = now_ms + wait_ms;
    if (guest->try_at_ms > guest->give_up_ms)
        guest->try_at_ms = guest->give_up_ms; /* one last try */
    guest->tries++;
    guest->state = RUN_GUEST_AWAY;
}

/* The end of the wait: a little longer than the server's, so that the client is not the first to
 * give up. */
static int64_t patience(int64_t now_ms, uint64_t resume_ms)
{
    uint64_t most = (uint64_t)(NEVER - now_ms) / 2;
    return now_ms + (int64_t)(resume_ms < most ? resume_ms + resume_ms / 10 : most);
}

static enum run_guest_after lose_run(struct run_guest *guest, int64_t now_ms, uint32_t random,
                                     struct afar_error *err)
{
    uint64_t resume_ms = guest->asked_resume_ms;
    if (guest->confirmed && !guest->kept && guest->resume_ms < resume_ms)
        resume_ms = guest->resume_ms;
    if (resume_ms == 0)
        return end(guest, err, run_guest_fate(guest));
    /* After a connection with progress, retry immediately. After one on which the server answered
     * but nothing more arrived, retry soon: the server is there, and the connection may break
     * inside a large frame each time. */
    if (guest->progress)
        guest->tries = 0;
    else if (guest->state == RUN_GUEST_RUN && guest->tries > 1)
        guest->tries = 1;
    guest->give_up_ms = patience(now_ms, resume_ms);
    guest->believe_at_ms = guest->confirmed ? now_ms : now_ms + RUN_GUEST_PATIENCE_MS;
    guest->try_at_ms = NEVER;
    set_retry(guest, now_ms, random);
    return RUN_GUEST_RETRY;
}

static enum run_guest_after lose_attempt(struct run_guest *guest, int64_t now_ms, uint32_t random,
                                         struct afar_error *err)
{
    if (guest->door == RUN_GUEST_DENIED)
        return end(guest, err, run_guest_fate(guest));
    /* A run that starts with an attach has no deadline yet. */
    if (guest->give_up_ms == NEVER && guest->asked_resume_ms > 0)
        guest->give_up_ms = patience(now_ms, guest->asked_resume_ms);
    if (guest->give_up_ms == NEVER || now_ms >= guest->give_up_ms)
        return end(guest, err, run_guest_fate(guest));
    set_retry(guest, now_ms, random);
    return RUN_GUEST_RETRY;
}

enum run_guest_after run_guest_lost(struct run_guest *guest, enum run_guest_loss loss,
                                    int64_t now_ms, uint32_t random, struct afar_error *err)
{
    const bool turned_away = loss == RUN_GUEST_TURNED_AWAY || guest->door != RUN_GUEST_WELCOME;
    guest->connected = guest->connecting = false;
    switch (guest->state) {
    case RUN_GUEST_NEW:
        return RUN_GUEST_NOT_SENT;
    case RUN_GUEST_ASKED:
        if (!guest->heard && turned_away) {
            guest->state = RUN_GUEST_NEW;
            return RUN_GUEST_NOT_SENT;
        }
        return lose_run(guest, now_ms, random, err);
    case RUN_GUEST_RUN:
        if (!guest->exit_seen)
            return lose_run(guest, now_ms, random, err);
        guest->state = RUN_GUEST_ENDED;
        return RUN_GUEST_COMPLETE;
    case RUN_GUEST_AWAY:
    case RUN_GUEST_ATTACH:
        return lose_attempt(guest, now_ms, random, err);
    case RUN_GUEST_ENDED:
        break;
    }
    return guest->exit_seen ? RUN_GUEST_COMPLETE : end(guest, err, run_guest_fate(guest));
}

int64_t run_guest_deadline_ms(const struct run_guest *guest)
{
    return guest->state == RUN_GUEST_AWAY && !guest->connecting ? guest->try_at_ms : NEVER;
}

bool run_guest_connect_now(struct run_guest *guest, int64_t now_ms)
{
    if (now_ms < run_guest_deadline_ms(guest))
        return false;
    guest->connecting = true;
    guest->try_at_ms = NEVER;
    return true;
}

void run_guest_hurry(struct run_guest *guest, int64_t now_ms, int64_t within_ms)
{
    if (guest->give_up_ms - now_ms > within_ms)
        guest->give_up_ms = now_ms + within_ms;
    if (guest->try_at_ms > guest->give_up_ms && guest->try_at_ms != NEVER)
        guest->try_at_ms = guest->give_up_ms;
}

/* ---- what goes ------------------------------------------------------------------------------- */

enum {
    /* Every server accepts frames of this size; a server that grants more credit accepts more. */
    STDIN_FRAME_BYTES = 65536,
    /* While this much is unsent, more input waits: otherwise small writes would pile up as frames
     * whose headers are larger than their payloads. */
    OUT_ENOUGH_BYTES = 1 << 20
};

static bool resumable(const struct run_guest *guest)
{
    return guest->asked_resume_ms > 0;
}

/* True if frames of the run may be put now. */
static bool may_put(const struct run_guest *guest)
{
    return guest->connected && !guest->exit_seen &&
           (guest->state == RUN_GUEST_ASKED || guest->state == RUN_GUEST_RUN ||
            (guest->state == RUN_GUEST_NEW && !guest->takes_over));
}

/* The server handles frames in order, so a detach may follow an attach that is not answered yet. */
static bool may_leave(const struct run_guest *guest)
{
    return may_put(guest) || (guest->connected && guest->state == RUN_GUEST_ATTACH);
}

static size_t frame_most(const struct run_guest *guest)
{
    return guest->stdin_credit > MESSAGE_STDIN_CREDIT_BYTES ? MESSAGE_STDIN_FRAME_BYTES
                                                            : STDIN_FRAME_BYTES;
}

static enum afar_status push_stdin(struct run_guest *guest, struct buffer *out,
                                   struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    while (guest->stdin_put < guest->stdin_sent && buffer_size(out) < OUT_ENOUGH_BYTES &&
           status == AFAR_OK) {
        uint64_t left = guest->stdin_sent - guest->stdin_put;
        size_t size = left < frame_most(guest) ? (size_t)left : frame_most(guest);
        const uint8_t *at = buffer_head(&guest->ring) + (buffer_size(&guest->ring) - left);
        status = message_put_stdin(out, guest->id, guest->stdin_put, at, size, false, err);
        if (status == AFAR_OK)
            guest->stdin_put += size;
    }
    if (status == AFAR_OK && guest->stdin_ended && !guest->eof_put &&
        guest->stdin_put == guest->stdin_sent) {
        status = message_put_stdin(out, guest->id, guest->stdin_sent, NULL, 0, true, err);
        guest->eof_put = status == AFAR_OK;
    }
    return status;
}

static enum afar_status push_closes(struct run_guest *guest, struct buffer *out,
                                    struct afar_error *err)
{
    for (int s = 0; s < 2; s++) {
        if (!guest->closed[s] || guest->close_put[s])
            continue;
        enum afar_status status = message_put_close(out, guest->id, (enum stream)s, err);
        if (status != AFAR_OK)
            return status;
        guest->close_put[s] = true;
    }
    return AFAR_OK;
}

/* Removes a signal from those that wait. */
static void forget_signal(struct run_guest *guest, size_t at)
{
    guest->signals--;
    memmove(guest->signal[at], guest->signal[at + 1],
            (guest->signals - at) * sizeof guest->signal[0]);
}

static enum afar_status push_signals(struct run_guest *guest, struct buffer *out,
                                     struct afar_error *err)
{
    while (guest->signals > 0) {
        enum afar_status status = message_put_signal(out, guest->id, guest->signal[0], err);
        if (status != AFAR_OK)
            return status;
        forget_signal(guest, 0);
    }
    return AFAR_OK;
}

enum afar_status run_guest_push(struct run_guest *guest, struct buffer *out, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    if (guest->leaving && !guest->leave_put && may_leave(guest)) {
        status = message_put_detach(out, guest->id, err);
        guest->leave_put = status == AFAR_OK;
    }
    if (!may_put(guest))
        return status;
    if (status == AFAR_OK)
        status = push_closes(guest, out, err);
    if (status == AFAR_OK)
        status = push_signals(guest, out, err);
    if (status == AFAR_OK && guest->stdin_stream)
        status = push_stdin(guest, out, err);
    return status;
}

/* How many of `size` bytes there is credit for. */
static size_t stdin_room(const struct run_guest *guest, size_t size)
{
    uint64_t end = guest->stdin_acked + guest->stdin_credit;
    uint64_t room = end > guest->stdin_sent ? end - guest->stdin_sent : 0;
    return size < room ? size : (size_t)room;
}

static bool nobody_reads(const struct run_guest *guest)
{
    return guest->exit_seen || guest->stdin_over || guest->state == RUN_GUEST_ENDED;
}

/* For a run that cannot be resumed, without the ring: takes only what can be put now. */
static enum afar_status write_through(struct run_guest *guest, struct buffer *out,
                                      const uint8_t *bytes, size_t room, size_t *taken,
                                      struct afar_error *err)
{
    while (*taken < room) {
        size_t left = room - *taken;
        size_t size = left < frame_most(guest) ? left : frame_most(guest);
        enum afar_status status =
            message_put_stdin(out, guest->id, guest->stdin_sent, bytes + *taken, size, false, err);
        if (status != AFAR_OK)
            return *taken > 0 ? AFAR_OK : status;
        guest->stdin_sent += size;
        guest->stdin_put = guest->stdin_sent;
        *taken += size;
    }
    return AFAR_OK;
}

enum afar_status run_guest_write(struct run_guest *guest, struct buffer *out, const void *data,
                                 size_t size, size_t *taken, struct afar_error *err)
{
    *taken = 0;
    if (!guest->stdin_stream)
        return afar_fail(err, AFAR_EINVAL, "the command was started without stdin");
    if (nobody_reads(guest)) {
        *taken = size;
        return AFAR_OK;
    }
    if (guest->stdin_ended)
        return afar_fail(err, AFAR_EINVAL, "the command's stdin has been closed");
    if (!may_put(guest) || buffer_size(out) >= OUT_ENOUGH_BYTES)
        return AFAR_OK;
    if (guest->stdin_skip > 0) {
        *taken = size < guest->stdin_skip ? size : (size_t)guest->stdin_skip;
        guest->stdin_skip -= *taken;
        return AFAR_OK;
    }
    size_t room = stdin_room(guest, size);
    if (!resumable(guest))
        return write_through(guest, out, data, room, taken, err);
    enum afar_status status = buffer_append(&guest->ring, data, room, err);
    if (status != AFAR_OK)
        return status;
    guest->stdin_sent += room;
    *taken = room;
    (void)run_guest_push(guest, out, NULL);
    return AFAR_OK;
}

void run_guest_close_stdin(struct run_guest *guest, struct buffer *out)
{
    guest->stdin_ended = true;
    (void)run_guest_push(guest, out, NULL);
}

void run_guest_close_output(struct run_guest *guest, struct buffer *out, enum stream stream)
{
    guest->closed[stream] = true;
    (void)run_guest_push(guest, out, NULL);
}

void run_guest_detach(struct run_guest *guest, struct buffer *out)
{
    guest->leaving = true;
    (void)run_guest_push(guest, out, NULL);
}

enum afar_status run_guest_signal(struct run_guest *guest, struct buffer *out, const char *name,
                                  struct afar_error *err)
{
    size_t length = strlen(name);
    if (length == 0 || length >= AFAR_SIGNAL_NAME_BYTES || !utf8_valid(name, length))
        return afar_fail(err, AFAR_EINVAL, "a signal's name has 1 to %d bytes",
                         AFAR_SIGNAL_NAME_BYTES - 1);
    if (guest->exit_seen || guest->state == RUN_GUEST_ENDED)
        return AFAR_OK;
    for (size_t i = 0; i < guest->signals; i++) {
        if (strcmp(guest->signal[i], name) == 0) {
            forget_signal(guest, i);
            break;
        }
    }
    if (guest->signals == RUN_GUEST_SIGNALS_MAX)
        return afar_fail(err, AFAR_ELIMIT, "%d signals wait for the connection already",
                         RUN_GUEST_SIGNALS_MAX);
    memcpy(guest->signal[guest->signals++], name, length + 1);
    (void)run_guest_push(guest, out, NULL);
    return AFAR_OK;
}

/* ---- acknowledging --------------------------------------------------------------------------- */

void run_guest_taken(struct run_guest *guest, uint64_t next)
{
    if (next > guest->taken)
        guest->taken = next;
}

enum afar_status run_guest_put_ack(struct run_guest *guest, struct buffer *out,
                                   struct afar_error *err)
{
    if (guest->state != RUN_GUEST_RUN || !guest->connected || guest->taken <= guest->acked)
        return AFAR_OK;
    enum afar_status status = message_put_ack(out, guest->id, guest->taken, err);
    if (status == AFAR_OK)
        guest->acked = guest->taken;
    return status;
}

enum afar_status run_guest_finish(struct run_guest *guest, struct buffer *out,
                                  struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    if (out != NULL && resumable(guest))
        status = run_guest_put_ack(guest, out, err);
    if (status == AFAR_OK)
        guest->state = RUN_GUEST_ENDED;
    return status;
}
