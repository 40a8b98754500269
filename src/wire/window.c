#include "wire/window.h"

/* The growth factors. A window that comes back nearly in the shortest round trip, after a time in
 * which nothing came, is far too small: four times as large. Otherwise twice, so that it becomes at
 * most about four times what the peer takes in one round trip. */
enum { LEAP = 4, STEP = 2 };

/* A window that comes back only after SLOW times the shortest round trip is halved; and so is the
 * credit if the command has not waited for input for NEVER_WAITED times that. */
enum { SLOW = 8, NEVER_WAITED = 4 };

/* For a client that sends less than this no round trip is measured. */
enum { MUCH_INPUT_BYTES = 131072 };

void windows_open(struct windows *windows, size_t out_bytes, size_t in_bytes, size_t most_bytes)
{
    *windows = (struct windows){0};
    windows->out =
        (struct window){.bytes = out_bytes, .least_bytes = out_bytes, .most_bytes = most_bytes};
    windows->in =
        (struct window){.bytes = in_bytes, .least_bytes = in_bytes, .most_bytes = most_bytes};
    windows->in_end = in_bytes;
}

static void forget(struct window *window)
{
    window->marked = false;
    window->took_us = 0;
    window->slow = false;
}

void windows_begin(struct windows *windows, bool grow)
{
    windows->grow = grow;
    windows->best_us = 0;
    windows->path = WINDOWS_SILENT;
    windows->probing = false;
    windows->received_us = 0;
    windows->waited_us = windows->now_us;
    forget(&windows->out);
    forget(&windows->in);
}

static bool may_grow(const struct windows *windows, const struct window *window)
{
    return windows->grow && windows->now_us != 0 && window->bytes < window->most_bytes;
}

/* ---- the round trip -------------------------------------------------------------------------- */

static void saw(struct windows *windows, int64_t since_us)
{
    int64_t took_us = windows->now_us - since_us;
    if (took_us < 1)
        took_us = 1;
    if (windows->best_us == 0 || took_us < windows->best_us)
        windows->best_us = took_us;
}

static void want_ping(struct windows *windows)
{
    if (windows->path == WINDOWS_SILENT)
        windows->path = WINDOWS_WANT_PING;
}

void windows_expect_far(struct windows *windows)
{
    if (windows->grow && windows->now_us != 0)
        want_ping(windows);
}

bool windows_ask(struct windows *windows)
{
    if (windows->path != WINDOWS_WANT_PING)
        return false;
    windows->path = WINDOWS_ASKED;
    windows->asked_us = windows->now_us;
    return true;
}

void windows_answered(struct windows *windows)
{
    if (windows->path != WINDOWS_ASKED)
        return;
    windows->path = WINDOWS_ANSWERED;
    saw(windows, windows->asked_us);
}

bool windows_are_far(const struct windows *windows)
{
    return windows->grow && windows->path == WINDOWS_ANSWERED && windows->best_us >= WINDOW_NEAR_US;
}

/* ---- a full window --------------------------------------------------------------------------- */

static void mark(const struct windows *windows, struct window *window, uint64_t target)
{
    window->marked = true;
    window->target = target;
    window->since_us = windows->now_us;
    window->gap_us = 0;
}

static void reach(const struct windows *windows, struct window *window, uint64_t count)
{
    if (!window->marked || count < window->target)
        return;
    window->marked = false;
    window->took_us = windows->now_us > window->since_us ? windows->now_us - window->since_us : 1;
}

void windows_sent(struct windows *windows, uint64_t acked, uint64_t on_way, bool full)
{
    const struct window *out = &windows->out;
    if (!may_grow(windows, out) && (!windows->grow || out->bytes <= out->least_bytes))
        return;
    if (!windows->probing && on_way > 0) {
        windows->probing = true;
        windows->probe = acked + on_way;
        windows->probe_us = windows->now_us;
    }
    /* The client may delay the ack of the last quarter until more arrives or its time is over. */
    if (full && !windows->out.marked) {
        mark(windows, &windows->out, acked + on_way - on_way / 4);
        want_ping(windows);
    }
}

void windows_acked(struct windows *windows, uint64_t acked)
{
    if (windows->probing && acked >= windows->probe) {
        windows->probing = false;
        saw(windows, windows->probe_us);
    }
    if (windows->out.marked && windows->out.gap_us == 0)
        windows->out.gap_us = windows->now_us - windows->out.since_us;
    reach(windows, &windows->out, acked);
    const struct window *out = &windows->out;
    if (out->took_us > 0 && windows_are_far(windows) && out->bytes > out->least_bytes &&
        out->took_us > SLOW * windows->best_us)
        windows->out.slow = true;
}

void windows_granted(struct windows *windows, uint64_t taken, bool waits, uint64_t end)
{
    struct window *in = &windows->in;
    const uint64_t old_end = windows->in_end;
    if (end > old_end)
        windows->in_end = end;
    if (waits)
        windows->waited_us = windows->now_us;
    if (windows_are_far(windows) && in->bytes > in->least_bytes &&
        windows->now_us - windows->waited_us > NEVER_WAITED * windows->best_us) {
        windows->waited_us = windows->now_us;
        in->slow = true;
    }
    if (!may_grow(windows, in))
        return;
    if (taken >= MUCH_INPUT_BYTES)
        want_ping(windows);
    /* Input beyond the old end can only be sent after this grant has arrived. */
    if (waits && end > old_end && !in->marked)
        mark(windows, in, old_end + (end - old_end + 1) / 2);
}

void windows_received(struct windows *windows, bool waits)
{
    /* The first input comes when the client likes; measure from the first grant, if there is
     * one. */
    const int64_t since_us = windows->received_us != 0 ? windows->received_us
                             : windows->in.marked      ? windows->in.since_us
                                                       : windows->now_us;
    if (waits && windows->now_us - since_us > windows->in.gap_us)
        windows->in.gap_us = windows->now_us - since_us;
    windows->received_us = windows->now_us;
    if (waits)
        windows->waited_us = windows->now_us;
}

void windows_taken(struct windows *windows, uint64_t taken)
{
    reach(windows, &windows->in, taken);
}

/* ---- the size -------------------------------------------------------------------------------- */

size_t window_wants(const struct windows *windows, struct window *window)
{
    const int64_t took_us = window->took_us;
    const int64_t best_us = windows->best_us;
    const bool slow = window->slow;
    window->slow = false;
    if (slow && windows->grow)
        return window->bytes / 2 > window->least_bytes ? window->bytes / 2 : window->least_bytes;
    if (took_us == 0 || windows->path != WINDOWS_ANSWERED)
        return window->bytes;
    window->took_us = 0;
    if (!may_grow(windows, window) || best_us < WINDOW_NEAR_US || took_us > 2 * best_us)
        return window->bytes;
    /* `bare`: nothing came for at least half of the round trip, and then all of it. For input
     * without such a gap, the command may have had no use for more. */
    const bool bare = window->gap_us >= best_us / 2;
    if (!bare && window == &windows->in)
        return window->bytes;
    const size_t factor = bare && took_us <= best_us + best_us / 4 ? LEAP : STEP;
    return window->bytes < window->most_bytes / factor ? window->bytes * factor
                                                       : window->most_bytes;
}

void window_set(struct window *window, size_t bytes)
{
    window->bytes = bytes;
}
