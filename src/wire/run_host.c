#include "wire/run_host.h"

#include <stdio.h>
#include <string.h>

#define NEVER INT64_MAX

/* An ack of stdin for each frame would cost as much as the frame. While less than this is
 * unacknowledged every client still has credit, even one with the smallest, so the ack can wait. */
enum { STDIN_ACK_BYTES = MESSAGE_STDIN_CREDIT_BYTES / 2, STDIN_ACK_WITHIN_MS = 20 };

/* The most to which windows may grow; 0: they do not. */
static size_t most_bytes(const struct run_host *host)
{
    return host->window_max < host->window_most ? (size_t)host->window_max : host->window_most;
}

/* A server that announces no credit has a fixed one, and a fixed limit of stdin frames. */
static size_t most_credit(const struct run_host *host)
{
    return host->windows.in.least_bytes > MESSAGE_STDIN_CREDIT_BYTES ? most_bytes(host) : 0;
}

static bool can_come_back(const struct run_host *host)
{
    return host->kept || host->resume_ms > 0;
}

static int64_t later(int64_t now_ms, uint64_t ms)
{
    return ms < (uint64_t)(NEVER - now_ms) ? now_ms + (int64_t)ms : NEVER;
}

/* A kept run: each client begins with the initial sizes, as the memory for more belongs to its
 * connection. Input that it has sent under a larger credit it may send again. */
static void let_windows_go(struct run_host *host)
{
    run_host_set_window(host, 0);
    run_host_set_credit(host, 0);
    host->windows.in_end = host->stdin_received; /* it sends nothing before `attached` has come */
}

/* The same while nobody is attached; what the log holds beyond them is in the spool. */
static void shed(struct run_host *host)
{
    const uint64_t first = output_log_first(host->log);
    uint64_t bytes[2];
    let_windows_go(host);
    if (output_log_held(host->log) <= host->windows.out.least_bytes ||
        !host->spool->bytes_before(host->spool, first, bytes))
        return;
    host->ended = false; /* until the log is filled up to the receipt again */
    output_log_restart(host->log, host->id, first, first, bytes);
}

/* No session is attached any more. */
static void go_away(struct run_host *host, int64_t now_ms)
{
    if (host->kept && host->session != NULL)
        shed(host);
    host->session = NULL;
    host->stdin_ack_by_ms = NEVER;
    host->away_until_ms = host->kept ? NEVER : later(now_ms, host->resume_ms);
}

enum afar_status run_host_open(struct run_host *host, const struct run_host_setup *setup,
                               int64_t now_ms, struct afar_error *err)
{
    *host = (struct run_host){.session = setup->session,
                              .id = setup->id,
                              .resume_ms = setup->resume_ms,
                              .window_max = setup->window_max,
                              .window_most = setup->window_most,
                              .kept = setup->spool != NULL,
                              .spool = setup->spool,
                              .next_attempt = setup->session != NULL ? 1 : 0,
                              .away_until_ms = NEVER,
                              .stdin_stream = setup->stdin_stream,
                              .stdin_credit = setup->stdin_credit,
                              .stdin_end = setup->stdin_credit,
                              .stdin_ack_by_ms = NEVER};
    windows_open(&host->windows, setup->window_bytes, (size_t)setup->stdin_credit,
                 most_bytes(host));
    host->windows.in.most_bytes = most_credit(host);
    if (host->windows.in_end > MESSAGE_STDIN_CREDIT_BYTES)
        host->windows.in_end = MESSAGE_STDIN_CREDIT_BYTES; /* until the client is told more */
    windows_begin(&host->windows, most_bytes(host) > 0);
    if (setup->holder != NULL)
        (void)snprintf(host->holder, sizeof host->holder, "%s", setup->holder);
    if (host->session == NULL)
        go_away(host, now_ms);
    host->log = output_log_new(setup->id, setup->window_bytes);
    if (host->log == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a run");
    return AFAR_OK;
}

void run_host_close(struct run_host *host)
{
    output_log_free(host->log);
    host->log = NULL;
    host->session = NULL;
}

/* ---- who holds it ---------------------------------------------------------------------------- */

enum refusal_code run_host_refusal(enum run_host_verdict verdict)
{
    switch (verdict) {
    case RUN_HOST_SUPERSEDED:
        return REFUSAL_SUPERSEDED;
    case RUN_HOST_STALE:
        return REFUSAL_STALE;
    case RUN_HOST_GONE:
        return REFUSAL_GONE;
    case RUN_HOST_ATTACHED:
    case RUN_HOST_WATCH:
        break;
    }
    return REFUSAL_NONE;
}

const char *run_host_code(enum run_host_verdict verdict)
{
    const enum refusal_code code = run_host_refusal(verdict);
    return code != REFUSAL_NONE ? refusal_word(code) : NULL;
}

/* The frame from which the client reads, and the one below which it has taken all. */
static void find_start(const struct run_host *host, const struct message_attach *attach,
                       uint64_t *next, uint64_t *acked)
{
    *next = attach->next;
    *acked = attach->ack;
    if (!attach->has_next)
        *next = *acked = host->kept ? 0 : output_log_first(host->log);
}

static bool same_bytes(const struct message_attach *attach, const uint64_t bytes[2])
{
    return !attach->has_next_bytes ||
           (attach->next_bytes[0] == bytes[0] && attach->next_bytes[1] == bytes[1]);
}

/* Restarts the log at the wanted frame if the spool has it. */
static bool find_in_spool(struct run_host *host, uint64_t id, const struct message_attach *attach,
                          uint64_t next, uint64_t acked)
{
    uint64_t bytes[2];
    if (!host->kept || next > host->spooled || acked > next)
        return false;
    bool known = host->spool->bytes_before(host->spool, next, bytes);
    /* A spool that lost its end in a power failure may have other frames under the same numbers. */
    if (known ? !same_bytes(attach, bytes) : !attach->has_next_bytes)
        return false;
    host->ended = false; /* until the log is filled up to the receipt again */
    output_log_restart(host->log, id, next, acked, known ? bytes : attach->next_bytes);
    return true;
}

/* A kept run whose windows had grown: the log holds more than the next client may be sent at first.
 * The spool has it, too. */
static bool is_swollen(const struct run_host *host, uint64_t next)
{
    uint64_t bytes[2];
    return host->kept && output_log_held(host->log) > host->windows.out.least_bytes &&
           host->spool->bytes_before(host->spool, next, bytes);
}

/* Sets the log's cursor to the frame that the client wants. False: that frame is not available. */
static bool find_frame(struct run_host *host, uint64_t id, const struct message_attach *attach)
{
    uint64_t next = 0;
    uint64_t acked = 0;
    uint64_t bytes[2];
    find_start(host, attach, &next, &acked);
    const bool held = output_log_has(host->log, next);
    if ((!held || is_swollen(host, next)) && find_in_spool(host, id, attach, next, acked))
        return true;
    if (!held)
        return false;
    output_log_bytes_before(host->log, next, bytes);
    if (acked > next || !same_bytes(attach, bytes))
        return false;
    return output_log_rewind(host->log, id, next, NULL) == AFAR_OK &&
           output_log_ack(host->log, acked, NULL) == AFAR_OK;
}

/* Fits the windows to the client that is attached now. Those of a kept run begin anew. For a client
 * without growing windows they are final and stay; for others they shrink to what the client is
 * ready to hold, but not below the initial sizes. */
static void fit_windows(struct run_host *host)
{
    struct windows *windows = &host->windows;
    const size_t most = most_bytes(host);
    if (host->kept)
        let_windows_go(host);
    windows_begin(windows, most > 0);
    windows->out.most_bytes = most;
    windows->in.most_bytes = most_credit(host);
    if (most > 0 && windows->out.bytes > most)
        run_host_set_window(host, most);
    if (most > 0 && windows->in.bytes > most)
        run_host_set_credit(host, most);
}

/* It was on its way for so long that others have taken the run over since it was sent. */
static bool comes_late(const struct run_host *host, const struct message_attach *attach)
{
    for (size_t i = 0; i < RUN_HOST_PASTS; i++) {
        const struct run_host_past *past = &host->past[i];
        if (strcmp(attach->holder, past->holder) == 0 && attach->attempt < past->next_attempt)
            return true;
    }
    return false;
}

static void note_past(struct run_host *host)
{
    struct run_host_past *past = &host->past[host->past_at];
    memcpy(past->holder, host->holder, sizeof past->holder);
    past->next_attempt = host->next_attempt;
    host->past_at = (host->past_at + 1) % RUN_HOST_PASTS;
}

enum run_host_verdict run_host_attach(struct run_host *host, const void *session, uint64_t id,
                                      const struct message_attach *attach,
                                      struct run_host_displaced *displaced)
{
    const bool same = strcmp(attach->holder, host->holder) == 0;
    const bool nobodys = host->kept && host->holder[0] == '\0';
    *displaced = (struct run_host_displaced){0};
    if (attach->watch)
        return RUN_HOST_WATCH;
    if (!same && attach->resume && !nobodys)
        return RUN_HOST_SUPERSEDED;
    if (same && attach->attempt < host->next_attempt)
        return RUN_HOST_STALE;
    if (!same && comes_late(host, attach))
        return RUN_HOST_STALE;
    if (!find_frame(host, id, attach))
        return RUN_HOST_GONE;

    if (host->session != session && host->session != NULL) {
        displaced->session = host->session;
        displaced->code = run_host_code(same ? RUN_HOST_STALE : RUN_HOST_SUPERSEDED);
    }
    if (!same) {
        note_past(host);
        (void)snprintf(host->holder, sizeof host->holder, "%s", attach->holder);
    }
    host->next_attempt = attach->attempt + 1;
    host->session = session;
    host->id = id;
    host->away_until_ms = NEVER;
    host->expired = false;
    if (host->kept || attach->window_max < host->window_max)
        host->window_max = attach->window_max;
    fit_windows(host);
    return RUN_HOST_ATTACHED;
}

void run_host_spooled(struct run_host *host, uint64_t end)
{
    host->spooled = end;
}

void run_host_spool_waits(struct run_host *host, bool waits)
{
    host->spool_waits = waits;
}

void run_host_tell(struct run_host *host, struct message_attached *attached)
{
    uint64_t end = output_log_end(host->log);
    *attached = (struct message_attached){
        .first = output_log_cursor(host->log),
        .end = host->spooled > end ? host->spooled : end,
        .stdin_received = host->stdin_received,
        .stdin_taken = host->stdin_taken,
        .stdin_eof = host->stdin_eof || !host->stdin_stream,
        .window_max = host->windows.grow ? host->windows.out.most_bytes : 0};
    output_log_bytes_before(host->log, attached->first, attached->first_bytes);
    run_host_stdin_acked(host, host->stdin_taken);
}

enum run_host_after run_host_lost(struct run_host *host, const void *session, int64_t now_ms)
{
    if (session == NULL || session != host->session)
        return RUN_HOST_GOES_ON;
    go_away(host, now_ms);
    return can_come_back(host) ? RUN_HOST_GOES_ON : RUN_HOST_RELEASE;
}

enum run_host_after run_host_detach(struct run_host *host, const void *session)
{
    if (session == NULL || session != host->session)
        return RUN_HOST_GOES_ON;
    host->session = NULL;
    if (host->kept)
        shed(host);
    return host->kept ? RUN_HOST_FREE : RUN_HOST_RELEASE;
}

enum run_host_after run_host_next(struct run_host *host, const void *session)
{
    if (session != host->session || !host->ended || !output_log_finished(host->log))
        return RUN_HOST_GOES_ON;
    return run_host_detach(host, session);
}

enum run_host_after run_host_grant(struct run_host *host, uint64_t resume_ms, int64_t now_ms)
{
    if (resume_ms >= host->resume_ms)
        return RUN_HOST_GOES_ON;
    host->resume_ms = resume_ms;
    if (host->away_until_ms != NEVER && host->away_until_ms > later(now_ms, resume_ms))
        host->away_until_ms = later(now_ms, resume_ms);
    return host->session != NULL || can_come_back(host) ? RUN_HOST_GOES_ON : RUN_HOST_RELEASE;
}

void run_host_hurry(struct run_host *host, int64_t now_ms)
{
    if (host->away_until_ms != NEVER)
        host->away_until_ms = now_ms;
}

int64_t run_host_deadline_ms(const struct run_host *host)
{
    return host->away_until_ms;
}

enum run_host_after run_host_time(struct run_host *host, int64_t now_ms)
{
    if (now_ms < host->away_until_ms)
        return RUN_HOST_GOES_ON;
    host->away_until_ms = NEVER;
    host->expired = true;
    return host->ended ? RUN_HOST_RELEASE : RUN_HOST_STOP;
}

enum run_host_after run_host_over(struct run_host *host)
{
    bool over =
        can_come_back(host) ? output_log_acknowledged(host->log) : output_log_finished(host->log);
    if (!over)
        return RUN_HOST_GOES_ON;
    host->session = NULL;
    return host->kept ? RUN_HOST_FREE : RUN_HOST_RELEASE;
}

/* ---- input ----------------------------------------------------------------------------------- */

enum afar_status run_host_stdin(struct run_host *host, const void *session, uint64_t offset,
                                size_t size, bool eof, struct run_host_input *input,
                                struct afar_error *err)
{
    uint64_t end = offset + size;
    *input = (struct run_host_input){0};
    /* Input that arrives after the command's end has crossed its receipt, and is not counted. */
    if (session != host->session || host->ended)
        return AFAR_OK;
    /* A client that attaches cannot know how the command was begun, and older ones are not told. */
    if (!host->stdin_stream && size == 0 && eof)
        return AFAR_OK;
    if (!host->stdin_stream)
        return afar_fail(err, AFAR_EPEER, "stdin for a command without \"stdin\":\"stream\"");
    if (offset > host->stdin_received)
        return afar_fail(err, AFAR_EPEER, "a gap in stdin: \"offset\" is too high");
    if (host->stdin_eof && end > host->stdin_received)
        return afar_fail(err, AFAR_EPEER, "stdin after its end");
    if (end > host->stdin_end)
        return afar_fail(err, AFAR_EPEER, "stdin beyond its credit");
    if (end > host->stdin_received) {
        input->skip = (size_t)(host->stdin_received - offset); /* a resend */
        input->size = size - input->skip;
        windows_received(&host->windows, host->stdin_taken == host->stdin_received);
        host->stdin_received = end;
    }
    if (eof && !host->stdin_eof)
        host->stdin_eof = input->eof = true;
    return AFAR_OK;
}

void run_host_stdin_taken(struct run_host *host, uint64_t taken)
{
    if (taken <= host->stdin_taken)
        return;
    host->stdin_taken = taken;
    windows_taken(&host->windows, taken);
}

bool run_host_stdin_ack_due(struct run_host *host, int64_t now_ms, uint64_t *taken, int64_t *by_ms)
{
    uint64_t much = host->stdin_credit / 2;
    if (much > STDIN_ACK_BYTES)
        much = STDIN_ACK_BYTES;
    *taken = host->stdin_taken;
    *by_ms = NEVER;
    if (host->session == NULL || host->ended || host->stdin_taken == host->stdin_acked)
        return false;
    if (host->stdin_ack_by_ms == NEVER)
        host->stdin_ack_by_ms = now_ms + STDIN_ACK_WITHIN_MS;
    /* If the client is far away and the command waits for input, do not delay the ack. */
    if (host->stdin_taken - host->stdin_acked >= much || now_ms >= host->stdin_ack_by_ms ||
        (windows_are_far(&host->windows) && host->stdin_taken == host->stdin_received))
        return true;
    *by_ms = host->stdin_ack_by_ms;
    return false;
}

void run_host_stdin_acked(struct run_host *host, uint64_t taken)
{
    const uint64_t end = taken + host->stdin_credit;
    host->stdin_acked = taken;
    host->stdin_ack_by_ms = NEVER;
    windows_granted(&host->windows, taken, taken == host->stdin_received, end);
    if (end > host->stdin_end)
        host->stdin_end = end;
}

uint64_t run_host_told_credit(const struct run_host *host)
{
    /* Once changed, every ack contains the credit, even after it has shrunk. */
    return host->windows.grow && host->credit_changed ? host->stdin_credit : 0;
}

/* ---- output ---------------------------------------------------------------------------------- */

bool run_host_peek(struct run_host *host, const void *session, const uint8_t **data, size_t *size)
{
    return session == host->session && session != NULL && output_log_peek(host->log, data, size);
}

void run_host_sent(struct run_host *host, const void *session, size_t size)
{
    if (session != host->session || session == NULL)
        return;
    output_log_sent(host->log, size);
    if (!host->windows.grow || output_log_inside_frame(host->log))
        return;
    const size_t on_way = output_log_on_way(host->log);
    const bool full = host->kept ? host->spool_waits : output_log_is_full(host->log);
    windows_sent(&host->windows, output_log_released(host->log), on_way,
                 on_way == output_log_held(host->log) && full);
}

enum afar_status run_host_ack(struct run_host *host, const void *session, uint64_t next,
                              bool *resume, struct afar_error *err)
{
    *resume = false;
    if (session != host->session || session == NULL)
        return AFAR_OK;
    size_t held = output_log_held(host->log);
    enum afar_status status = output_log_ack(host->log, next, err);
    *resume = status == AFAR_OK && output_log_held(host->log) < held;
    windows_acked(&host->windows, output_log_released(host->log));
    return status;
}

/* ---- growing windows ------------------------------------------------------------------------- */

void run_host_clock(struct run_host *host, int64_t now_us)
{
    host->windows.now_us = now_us;
}

void run_host_started(struct run_host *host, bool far)
{
    if (!host->stdin_stream)
        return;
    windows_granted(&host->windows, host->stdin_taken, host->stdin_taken == host->stdin_received,
                    host->stdin_acked + host->stdin_credit);
    if (far)
        windows_expect_far(&host->windows);
}

bool run_host_ask(struct run_host *host)
{
    return windows_ask(&host->windows);
}

void run_host_answered(struct run_host *host)
{
    windows_answered(&host->windows);
}

size_t run_host_wants_window(struct run_host *host)
{
    return window_wants(&host->windows, &host->windows.out);
}

size_t run_host_wants_credit(struct run_host *host)
{
    return window_wants(&host->windows, &host->windows.in);
}

void run_host_set_window(struct run_host *host, size_t bytes)
{
    if (bytes < host->windows.out.least_bytes)
        bytes = host->windows.out.least_bytes;
    if (!host->windows.grow && bytes < host->windows.out.bytes)
        return;
    window_set(&host->windows.out, bytes);
    output_log_resize(host->log, bytes);
}

void run_host_set_credit(struct run_host *host, size_t bytes)
{
    if (bytes < host->windows.in.least_bytes)
        bytes = host->windows.in.least_bytes;
    if (!host->windows.grow && bytes < host->stdin_credit)
        return;
    host->credit_changed = host->credit_changed || bytes != host->stdin_credit;
    host->stdin_credit = bytes;
    window_set(&host->windows.in, bytes);
    if (host->stdin_end < host->stdin_acked + bytes)
        host->stdin_end = host->stdin_acked + bytes; /* as soon as the client has been told */
}

size_t run_host_told_window(const struct run_host *host)
{
    return host->windows.grow ? host->windows.out.least_bytes : host->windows.out.bytes;
}

size_t run_host_window_in_use(const struct run_host *host)
{
    const size_t held = output_log_held(host->log);
    const size_t bytes = output_log_capacity(host->log);
    return held > bytes ? held : bytes;
}

size_t run_host_credit_in_use(const struct run_host *host)
{
    const uint64_t told = host->stdin_end - host->stdin_acked;
    return (size_t)(told > host->stdin_credit ? told : host->stdin_credit);
}

enum afar_status run_host_ended(struct run_host *host, const struct afar_receipt *receipt,
                                bool digest, enum run_host_after *after, struct afar_error *err)
{
    *after = RUN_HOST_GOES_ON;
    enum afar_status status = output_log_finish(host->log, receipt, digest, err);
    if (status != AFAR_OK)
        return status;
    host->ended = true;
    if (host->expired && host->session == NULL)
        *after = RUN_HOST_RELEASE;
    return AFAR_OK;
}
