// wrap: run_host_attach run_host_lost run_host_over run_host_stdin run_host_stdin_ack_due
// wrap: output_log_rewind output_log_ack output_log_reserve output_log_commit
// wrap: message_put_attach message_put_stdin message_put_close
/* The faults, planted into the real core from outside. */
#include "simulate/sim.h"

#include <string.h>

static enum fault planted;

static const char *const names[FAULTS] = {
    [FAULT_NONE] = "none",
    [FAULT_EPOCH] = "epoch",
    [FAULT_NO_ATTEMPT] = "no-attempt",
    [FAULT_NEXT_IS_ACK] = "next-is-ack",
    [FAULT_OFF_BY_ONE] = "off-by-one",
    [FAULT_LOST_ACK] = "lost-ack",
    [FAULT_SECOND_EXEC] = "second-exec",
    [FAULT_RELEASED_WHEN_SENT] = "released-when-sent",
    [FAULT_DROPPED_WHEN_FULL] = "dropped-when-full",
    [FAULT_OLD_END] = "old-end",
    [FAULT_STDIN_FORGOTTEN] = "stdin-forgotten",
    [FAULT_STDIN_UNTRIMMED] = "stdin-untrimmed",
    [FAULT_OLD_ID] = "old-id",
    [FAULT_HALF_FRAME] = "half-frame",
    [FAULT_EOF_ONCE] = "eof-once",
    [FAULT_CLOSE_ONCE] = "close-once",
    [FAULT_CREDIT_OF_RECEIVED] = "credit-of-received",
    [FAULT_LOCK_BY_KEEPER] = "lock-by-keeper",
    [FAULT_KEY_EVICTED] = "key-evicted",
    [FAULT_RECEIPT_BEFORE_SYNC] = "receipt-before-sync",
    [FAULT_END_LINE_LOST] = "end-line-lost",
};

const char *fault_name(enum fault fault)
{
    return names[fault];
}

void fault_plant(enum fault fault)
{
    planted = fault;
}

bool fault_is(enum fault fault)
{
    return planted == fault;
}

/* ---- run_host -------------------------------------------------------------------------------- */

enum run_host_verdict __real_run_host_attach(struct run_host *host, const void *session,
                                             uint64_t id, const struct message_attach *attach,
                                             struct run_host_displaced *displaced);
enum run_host_verdict __wrap_run_host_attach(struct run_host *host, const void *session,
                                             uint64_t id, const struct message_attach *attach,
                                             struct run_host_displaced *displaced);

/* A number that both sides count up at each attach, in the place of holder and attempt. */
static enum run_host_verdict attach_by_epoch(struct run_host *host, const void *session,
                                             uint64_t id, struct message_attach *attach,
                                             struct run_host_displaced *displaced)
{
    struct run *run = run_of_host(host);
    if (attach->resume && strcmp(attach->holder, host->holder) == 0) {
        if (attach->attempt != run->epoch + (run->host.kept ? 0 : 1))
            return RUN_HOST_SUPERSEDED;
        attach->attempt = host->next_attempt;
    }
    run->epoch++;
    return __real_run_host_attach(host, session, id, attach, displaced);
}

enum run_host_verdict __wrap_run_host_attach(struct run_host *host, const void *session,
                                             uint64_t id, const struct message_attach *attach,
                                             struct run_host_displaced *displaced)
{
    struct message_attach other = *attach;
    uint64_t next_attempt = host->next_attempt;
    if (fault_is(FAULT_EPOCH))
        return attach_by_epoch(host, session, id, &other, displaced);
    if (fault_is(FAULT_NEXT_IS_ACK))
        other.ack = other.next;
    if (fault_is(FAULT_NO_ATTEMPT))
        host->next_attempt = 0;
    enum run_host_verdict verdict = __real_run_host_attach(host, session, id, &other, displaced);
    if (fault_is(FAULT_NO_ATTEMPT) && verdict != RUN_HOST_ATTACHED)
        host->next_attempt = next_attempt;
    if (fault_is(FAULT_STDIN_FORGOTTEN) && verdict == RUN_HOST_ATTACHED)
        buffer_clear(&run_of_host(host)->command.input);
    return verdict;
}

enum run_host_after __real_run_host_lost(struct run_host *host, const void *session,
                                         int64_t now_ms);
enum run_host_after __wrap_run_host_lost(struct run_host *host, const void *session,
                                         int64_t now_ms);

enum run_host_after __wrap_run_host_lost(struct run_host *host, const void *session, int64_t now_ms)
{
    if (fault_is(FAULT_OLD_END))
        session = host->session;
    return __real_run_host_lost(host, session, now_ms);
}

enum run_host_after __real_run_host_over(struct run_host *host);
enum run_host_after __wrap_run_host_over(struct run_host *host);

enum run_host_after __wrap_run_host_over(struct run_host *host)
{
    if (fault_is(FAULT_RELEASED_WHEN_SENT) && output_log_finished(host->log)) {
        run_of_host(host)->fact->acked = true; /* as far as it knows */
        host->session = NULL;
        return host->kept ? RUN_HOST_FREE : RUN_HOST_RELEASE;
    }
    return __real_run_host_over(host);
}

enum afar_status __real_run_host_stdin(struct run_host *host, const void *session, uint64_t offset,
                                       size_t size, bool eof, struct run_host_input *input,
                                       struct afar_error *err);
enum afar_status __wrap_run_host_stdin(struct run_host *host, const void *session, uint64_t offset,
                                       size_t size, bool eof, struct run_host_input *input,
                                       struct afar_error *err);

enum afar_status __wrap_run_host_stdin(struct run_host *host, const void *session, uint64_t offset,
                                       size_t size, bool eof, struct run_host_input *input,
                                       struct afar_error *err)
{
    enum afar_status status = __real_run_host_stdin(host, session, offset, size, eof, input, err);
    if (fault_is(FAULT_STDIN_UNTRIMMED) && status == AFAR_OK && session == host->session) {
        input->skip = 0;
        input->size = size;
    }
    return status;
}

bool __real_run_host_stdin_ack_due(struct run_host *host, int64_t now_ms, uint64_t *taken,
                                   int64_t *by_ms);
bool __wrap_run_host_stdin_ack_due(struct run_host *host, int64_t now_ms, uint64_t *taken,
                                   int64_t *by_ms);

bool __wrap_run_host_stdin_ack_due(struct run_host *host, int64_t now_ms, uint64_t *taken,
                                   int64_t *by_ms)
{
    if (fault_is(FAULT_CREDIT_OF_RECEIVED))
        host->stdin_taken = host->stdin_received;
    return __real_run_host_stdin_ack_due(host, now_ms, taken, by_ms);
}

/* ---- output_log ------------------------------------------------------------------------------ */

enum afar_status __real_output_log_rewind(struct output_log *log, uint64_t id, uint64_t next,
                                          struct afar_error *err);
enum afar_status __wrap_output_log_rewind(struct output_log *log, uint64_t id, uint64_t next,
                                          struct afar_error *err);

enum afar_status __wrap_output_log_rewind(struct output_log *log, uint64_t id, uint64_t next,
                                          struct afar_error *err)
{
    if (fault_is(FAULT_OFF_BY_ONE) && next < output_log_ever_sent(log))
        next++;
    if (fault_is(FAULT_OLD_ID))
        id = run_of_log(log)->first_id;
    return __real_output_log_rewind(log, id, next, err);
}

enum afar_status __real_output_log_ack(struct output_log *log, uint64_t next,
                                       struct afar_error *err);
enum afar_status __wrap_output_log_ack(struct output_log *log, uint64_t next,
                                       struct afar_error *err);

enum afar_status __wrap_output_log_ack(struct output_log *log, uint64_t next,
                                       struct afar_error *err)
{
    if (fault_is(FAULT_LOST_ACK) && next % 4 == 1)
        return AFAR_OK;
    return __real_output_log_ack(log, next, err);
}

static bool dropping;

enum afar_status __real_output_log_reserve(struct output_log *log, uint8_t **room, size_t *size,
                                           struct afar_error *err);
enum afar_status __wrap_output_log_reserve(struct output_log *log, uint8_t **room, size_t *size,
                                           struct afar_error *err);

enum afar_status __wrap_output_log_reserve(struct output_log *log, uint8_t **room, size_t *size,
                                           struct afar_error *err)
{
    static uint8_t nowhere[1024];
    enum afar_status status = __real_output_log_reserve(log, room, size, err);
    dropping = fault_is(FAULT_DROPPED_WHEN_FULL) && status == AFAR_EAGAIN;
    if (!dropping)
        return status;
    *room = nowhere;
    *size = sizeof nowhere;
    return AFAR_OK;
}

void __real_output_log_commit(struct output_log *log, enum stream stream, size_t size);
void __wrap_output_log_commit(struct output_log *log, enum stream stream, size_t size);

void __wrap_output_log_commit(struct output_log *log, enum stream stream, size_t size)
{
    if (!dropping)
        __real_output_log_commit(log, stream, size);
}

/* ---- what the guest puts --------------------------------------------------------------------- */

enum afar_status __real_message_put_attach(struct buffer *out, uint64_t id, const char *job,
                                           const struct message_attach *attach,
                                           struct afar_error *err);
enum afar_status __wrap_message_put_attach(struct buffer *out, uint64_t id, const char *job,
                                           const struct message_attach *attach,
                                           struct afar_error *err);

enum afar_status __wrap_message_put_attach(struct buffer *out, uint64_t id, const char *job,
                                           const struct message_attach *attach,
                                           struct afar_error *err)
{
    struct message_attach other = *attach;
    if (fault_is(FAULT_EPOCH) && client_current() != NULL)
        other.attempt = client_current()->epoch;
    return __real_message_put_attach(out, id, job, &other, err);
}

enum afar_status __real_message_put_stdin(struct buffer *out, uint64_t id, uint64_t offset,
                                          const void *data, size_t size, bool eof,
                                          struct afar_error *err);
enum afar_status __wrap_message_put_stdin(struct buffer *out, uint64_t id, uint64_t offset,
                                          const void *data, size_t size, bool eof,
                                          struct afar_error *err);

enum afar_status __wrap_message_put_stdin(struct buffer *out, uint64_t id, uint64_t offset,
                                          const void *data, size_t size, bool eof,
                                          struct afar_error *err)
{
    struct client *client = client_current();
    if (fault_is(FAULT_EOF_ONCE) && eof && client != NULL) {
        if (client->eof_was_put)
            return AFAR_OK;
        client->eof_was_put = true;
    }
    return __real_message_put_stdin(out, id, offset, data, size, eof, err);
}

enum afar_status __real_message_put_close(struct buffer *out, uint64_t id, enum stream stream,
                                          struct afar_error *err);
enum afar_status __wrap_message_put_close(struct buffer *out, uint64_t id, enum stream stream,
                                          struct afar_error *err);

enum afar_status __wrap_message_put_close(struct buffer *out, uint64_t id, enum stream stream,
                                          struct afar_error *err)
{
    struct client *client = client_current();
    if (fault_is(FAULT_CLOSE_ONCE) && client != NULL) {
        if (client->close_was_put[stream])
            return AFAR_OK;
        client->close_was_put[stream] = true;
    }
    return __real_message_put_close(out, id, stream, err);
}
