/* A connection on the server's side: where the run is here, frames to and from the real run_host;
 * else a relay to where it is. */
#include "simulate/sim.h"

#include <string.h>

struct session *session_new(struct link *link, struct server *server, struct keeper *keeper)
{
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &sim.session[i];
        if (session->used)
            continue;
        if (i >= sim.sessions_high)
            sim.sessions_high = (unsigned)i + 1;
        *session = (struct session){.used = true,
                                    .number = ++sim.sessions_made,
                                    .link = link,
                                    .server = server,
                                    .keeper = keeper};
        buffer_init(&session->in, (size_t)4 << 20);
        buffer_init(&session->out, (size_t)4 << 20);
        buffer_init(&session->back, (size_t)4 << 20);
        decoder_init(&session->decoder);
        decoder_init(&session->back_decoder);
        return session;
    }
    problem("no room for another session");
    return NULL;
}

static void free_session(struct session *session)
{
    for (size_t i = 0; i < MAKES_MAX; i++) {
        if (sim.make[i].used && sim.make[i].session == session)
            sim.make[i].session = NULL;
    }
    buffer_close(&session->in);
    buffer_close(&session->out);
    buffer_close(&session->back);
    decoder_close(&session->decoder);
    decoder_close(&session->back_decoder);
    session->used = false;
}

void session_die(struct session *session)
{
    if (session->link != NULL)
        link_close_lower(session->link, chance(2));
    if (session->relay != NULL)
        link_close_upper(session->relay, chance(2));
    free_session(session);
}

void session_end(struct session *session)
{
    struct run *run = session->run;
    session->link = NULL;
    session->run = NULL;
    /* Also of one that is not attached any more, which must not matter. */
    if (run == NULL && session->former != NULL && session->former->used &&
        session->former->fact == session->former_fact)
        run = session->former;
    if (run != NULL) {
        enum run_host_after after = run_host_lost(&run->host, session, sim.now_ms);
        if (after == RUN_HOST_RELEASE)
            run->fact->expired = true;
        run_act(run, after);
    }
    if (session->relay != NULL)
        link_close_upper(session->relay, chance(3));
    free_session(session);
}

void session_close(struct session *session, bool reset)
{
    if (session->link != NULL)
        link_close_lower(session->link, reset);
    session_end(session);
}

void session_error(struct session *session, uint64_t id, const char *code)
{
    TRACE("session %u: error %s", session->number, code);
    (void)message_put_error(&session->out, true, id, code, "no", 0, NULL);
}

/* ---- the relay ------------------------------------------------------------------------------- */

void session_relay_to(struct session *session, struct fact *fact, uint64_t id, const void *frame,
                      size_t size)
{
    struct run *run = run_of_fact(fact);
    struct link *link = run != NULL ? link_new() : NULL;
    session->id = id;
    if (link == NULL) {
        session_error(session, id, "internal");
        return;
    }
    link->outer = session;
    link->session = session_new(link, run->server, run->keeper);
    if (link->session == NULL)
        return;
    link->session->inner = true;
    link->session->wanted = fact;
    session->relay = link;
    session->answered = session->has_exit = false;
    TRACE("session %u: relay by link %u to job %u", session->number, link->number, fact->number);
    link_send(&link->up, frame, size);
}

void session_relay_exec(struct session *session, struct fact *fact, uint64_t id, const char *holder)
{
    struct message_attach attach = {.output = true, .follow = true};
    struct buffer frame;
    buffer_init(&frame, 10000);
    memcpy(attach.holder, holder, sizeof attach.holder);
    (void)message_put_attach(&frame, id, fact->job, &attach, NULL);
    session_relay_to(session, fact, id, buffer_head(&frame), buffer_size(&frame));
    buffer_close(&frame);
}

bool session_relay_takes(const struct session *session)
{
    return buffer_size(&session->out) < RELAY_BYTES;
}

void session_relay_back(struct session *session, const void *data, size_t size)
{
    (void)buffer_append(&session->back, data, size, NULL);
    for (;;) {
        struct message message;
        const uint8_t *payload = NULL;
        size_t used = 0;
        enum afar_status status =
            decoder_next(&session->back_decoder, buffer_head(&session->back),
                         buffer_size(&session->back), &message, &payload, &used, NULL);
        if (status == AFAR_EAGAIN)
            return;
        if (status != AFAR_OK) {
            problem("what a relay gets is no frame");
            return;
        }
        (void)buffer_append(&session->out, buffer_head(&session->back), used, NULL);
        if (message.type == MESSAGE_EXIT) {
            session->has_exit = true;
            session->exit_seq = message.seq;
        }
        if (message.type == MESSAGE_EXIT || message.type == MESSAGE_DETACHED ||
            (message.type == MESSAGE_ERROR && message.has_id))
            session->answered = true;
        message_close(&message);
        buffer_consume(&session->back, used);
    }
}

static void forget_relay(struct session *session)
{
    session->relay = NULL;
    buffer_clear(&session->back);
    decoder_close(&session->back_decoder);
    decoder_init(&session->back_decoder);
}

void session_relay_ended(struct session *session)
{
    forget_relay(session);
    /* Whoever is outside loses his connection too, and comes back. */
    if (!session->answered)
        session_close(session, true);
}

/* A new request says that the receipt of the one before has come. */
static void end_relay(struct session *session)
{
    struct buffer frame;
    buffer_init(&frame, 1000);
    if (session->has_exit) {
        (void)message_put_ack(&frame, session->id, session->exit_seq + 1, NULL);
        link_send(&session->relay->up, buffer_head(&frame), buffer_size(&frame));
    }
    link_close_upper(session->relay, false);
    forget_relay(session);
    buffer_close(&frame);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* False: another request is under way. */
static bool free_for_next(struct session *session)
{
    if (session->run != NULL) {
        enum run_host_after after = run_host_next(&session->run->host, session);
        if (after == RUN_HOST_GOES_ON)
            return false;
        session->run->fact->acked = true;
        run_act(session->run, after);
    }
    if (session->relay != NULL) {
        if (!session->answered)
            return false;
        end_relay(session);
    }
    return true;
}

static void displace(struct run *run, const struct run_host_displaced *displaced, bool inside)
{
    for (size_t i = 0; i < sim.sessions_high; i++) {
        struct session *old = &sim.session[i];
        if (!old->used || old != displaced->session)
            continue;
        TRACE("session %u: displaced from job %u: %s", old->number, run->fact->number,
              displaced->code);
        old->run = NULL;
        old->former = run;
        old->former_fact = run->fact;
        old->starting = old->detaching = false;
        if (inside) {
            session_close(old, true);
            return;
        }
        session_error(old, old->id, displaced->code);
        old->finishing = true;
    }
}

static struct message_started facts_of(const struct run *run)
{
    return (struct message_started){.job = run->fact->job,
                                    .window = run_host_told_window(&run->host),
                                    .credit = run->host.stdin_credit,
                                    .resume_ms = run->host.resume_ms,
                                    .kept = run->host.kept,
                                    .server = run->fact->server};
}

static void put_attached(struct session *session, struct run *run)
{
    const struct command *command = &run->command;
    struct message_attached attached;
    const struct message_started started = facts_of(run);
    run_host_tell(&run->host, &attached);
    attached.state = command->ended  ? MESSAGE_JOB_ENDED
                     : command->runs ? MESSAGE_JOB_RUNNING
                                     : MESSAGE_JOB_STARTING;
    session->starting = attached.state == MESSAGE_JOB_STARTING;
    (void)message_put_attached(&session->out, session->id, &started, &attached, NULL);
}

/* Whose attempt is the newest. A reader of what has ended knows nothing of those before it, and
 * need not: there is nothing left that an old attempt could disturb. */
static void note_attempt(struct session *session, const struct run *run,
                         const struct message_attach *attach)
{
    struct fact *fact = run->fact;
    bool forgets = run->keeper != NULL && run->keeper->reader;
    bool same = strcmp(fact->last_holder, attach->holder) == 0;
    if (fact->last_holder[0] != '\0' && !same)
        fact->takeovers++;
    if (same && attach->attempt < fact->last_attempt && !forgets)
        problem("job %u: attempt %llu is attached after attempt %llu", fact->number,
                (unsigned long long)attach->attempt, (unsigned long long)fact->last_attempt);
    if (!same || forgets || attach->attempt > fact->last_attempt)
        fact->last_attempt = attach->attempt;
    memcpy(fact->last_holder, attach->holder, sizeof fact->last_holder);
    session->attempt = attach->attempt;
    memcpy(session->holder, attach->holder, sizeof session->holder);
}

static void attach_here(struct session *session, const struct message *message)
{
    struct run *run = run_of_fact(session->wanted);
    struct run_host_displaced displaced;
    session->id = message->id;
    if (run == NULL) {
        const char *name = session->server != NULL ? session->server->name : "keeper";
        (void)message_put_not_found(&session->out, message->id, "no", name, NULL);
        session->finishing = true;
        return;
    }
    bool inside = output_log_inside_frame(run->host.log);
    enum run_host_verdict verdict =
        run_host_attach(&run->host, session, message->id, &message->attach, &displaced);
    TRACE("session %u: attach to job %u by %s attempt %llu next %llu ack %llu: %s", session->number,
          run->fact->number, message->attach.holder, (unsigned long long)message->attach.attempt,
          (unsigned long long)message->attach.next, (unsigned long long)message->attach.ack,
          verdict == RUN_HOST_ATTACHED ? "attached" : run_host_code(verdict));
    if (verdict != RUN_HOST_ATTACHED) {
        session_error(session, message->id, run_host_code(verdict));
        session->finishing = true;
        return;
    }
    note_attempt(session, run, &message->attach);
    displace(run, &displaced, inside);
    session->run = run;
    put_attached(session, run);
    run_act(run, run_host_over(&run->host));
}

/* False: it has to wait. */
static bool attach(struct session *session, const struct message *message, const uint8_t *frame,
                   size_t size)
{
    if (!free_for_next(session)) {
        problem("an attach while another request is under way");
        return true;
    }
    if (session->inner) {
        attach_here(session, message);
        return true;
    }
    struct fact *fact = server_find(session->server, message->job, message->attach.holder);
    if (fact != NULL && !server_ready(fact))
        return false;
    if (fact != NULL) {
        session_relay_to(session, fact, message->id, frame, size);
        return true;
    }
    TRACE("session %u: not found: %s, %s", session->number, message->job, message->attach.holder);
    (void)message_put_not_found(&session->out, message->id, "no", session->server->name, NULL);
    return true;
}

static void detach(struct session *session)
{
    struct run *run = session->run;
    session->detaching = false;
    (void)message_put_detached(&session->out, session->id, NULL);
    if (!run->host.kept)
        run->fact->left = true;
    enum run_host_after after = run_host_detach(&run->host, session);
    run_act(run, after);
}

/* ---- frames of the run that is here ---------------------------------------------------------- */

/* They grow and shrink as if the way were now long and now short. */
static void change_windows(struct run *run)
{
    if (!run_host_wants_clock(&run->host) || !chance(4))
        return;
    run_host_set_window(&run->host, some(sim.window_most));
    run_host_set_credit(&run->host, (size_t)sim.more_credit * some(CREDIT_GROWS));
}

static void on_stdin(struct session *session, struct run *run, const struct message *message,
                     const uint8_t *payload)
{
    struct run_host_input input;
    struct afar_error err;
    if (run_host_stdin(&run->host, session, message->offset, message->size, message->eof, &input,
                       &err) != AFAR_OK) {
        problem("job %u: %s", run->fact->number, err.message);
        return;
    }
    if (run->command.ended) { /* nobody reads it: it counts as taken */
        run_host_stdin_taken(&run->host, run->host.stdin_received);
        return;
    }
    (void)buffer_append(&run->command.input, payload + input.skip, input.size, NULL);
    run->command.input_eof = run->command.input_eof || input.eof;
    change_windows(run);
    if (buffer_size(&run->command.input) > run_most_credit(run))
        problem("job %u: more input waits than there is credit for", run->fact->number);
}

static void on_ack(struct session *session, struct run *run, const struct message *message)
{
    struct afar_error err;
    bool resume = false;
    if (run_host_ack(&run->host, session, message->next, &resume, &err) != AFAR_OK)
        problem("job %u: %s", run->fact->number, err.message);
    else {
        change_windows(run);
        run_act(run, run_host_over(&run->host));
    }
}

static void frame_of_run(struct session *session, const struct message *message,
                         const uint8_t *payload)
{
    struct run *run = session->run;
    /* A session that was displaced may speak for a while: it must not matter. */
    if (run == NULL && session->former != NULL && session->former->used &&
        session->former->fact == session->former_fact)
        run = session->former;
    if (run == NULL)
        return;
    if (message->type == MESSAGE_STDIN)
        on_stdin(session, run, message, payload);
    else if (message->type == MESSAGE_ACK)
        on_ack(session, run, message);
    else if (session->run == NULL)
        return;
    else if (message->type == MESSAGE_CLOSE)
        run->command.closed[message->stream] = true;
    else if (message->type == MESSAGE_SIGNAL)
        run->fact->signals++;
    else if (message->type == MESSAGE_DETACH && output_log_inside_frame(run->host.log))
        session->detaching = true;
    else if (message->type == MESSAGE_DETACH)
        detach(session);
}

/* False: the frame has to wait. */
static bool handle(struct session *session, const struct message *message, const uint8_t *payload,
                   const uint8_t *frame, size_t size)
{
    if (message->type == MESSAGE_EXEC) {
        if (free_for_next(session))
            return server_exec(session, message);
        problem("an exec while another request is under way");
    } else if (message->type == MESSAGE_ATTACH) {
        return attach(session, message, frame, size);
    } else if (message->id != session->id) {
        return true;
    } else if (session->relay != NULL) {
        link_send(&session->relay->up, frame, size);
    } else {
        frame_of_run(session, message, payload);
    }
    return true;
}

bool session_takes(const struct session *session)
{
    if (session->blocked || session->make != NULL || session->made != NULL)
        return false;
    if (session->keeper != NULL && session->keeper->step < 3)
        return false; /* it does not serve yet */
    return session->relay == NULL || link_room(&session->relay->up) > 0;
}

void session_receive(struct session *session, const void *data, size_t size)
{
    unsigned number = session->number;
    session->blocked = false;
    (void)buffer_append(&session->in, data, size, NULL);
    while (session->used && session->number == number && sim.problem[0] == '\0' &&
           !session->turned_away && session->make == NULL && session->made == NULL) {
        struct message message;
        struct afar_error err;
        const uint8_t *payload = NULL;
        size_t used = 0;
        enum afar_status status =
            decoder_next(&session->decoder, buffer_head(&session->in), buffer_size(&session->in),
                         &message, &payload, &used, &err);
        if (status == AFAR_EAGAIN)
            return;
        if (status != AFAR_OK || message.type == MESSAGE_BAD) {
            problem("session %u: what came is no frame: %s", session->number,
                    status != AFAR_OK ? err.message : message.problem.message);
            return;
        }
        bool done = handle(session, &message, payload, buffer_head(&session->in), used);
        message_close(&message);
        if (!session->used || session->number != number)
            return;
        session->blocked = !done;
        if (!done)
            return;
        buffer_consume(&session->in, used);
    }
}

/* ---- what it does by itself ------------------------------------------------------------------ */

static void put_started(struct session *session)
{
    const struct run *run = session->run;
    const struct message_started started = facts_of(run);
    session->starting = false;
    (void)message_put_started(&session->out, session->id, &started, NULL);
}

static bool prepare(struct session *session)
{
    struct run *run = session->run;
    uint64_t taken = 0;
    int64_t by_ms = NEVER;
    bool did = false;
    if (session->turned_away && !session->finishing) {
        (void)message_put_error(&session->out, false, 0, "busy", "no room", 0, NULL);
        session->finishing = did = true;
    }
    if (session->starting && run != NULL && (run->command.runs || run->command.ended)) {
        put_started(session);
        did = true;
    }
    if (run != NULL && run_host_stdin_ack_due(&run->host, sim.now_ms, &taken, &by_ms)) {
        (void)message_put_stdin_ack(&session->out, session->id, taken,
                                    run_host_told_credit(&run->host), NULL);
        run_host_stdin_acked(&run->host, taken);
        did = true;
    }
    return did;
}

static void check_sending(const struct session *session)
{
    const struct fact *fact = session->run->fact;
    if (strcmp(fact->last_holder, session->holder) != 0)
        problem("job %u: frames go to a holder that was superseded", fact->number);
    else if (session->attempt < fact->last_attempt)
        problem("job %u: frames go to an older attempt", fact->number);
}

static bool flush(struct session *session)
{
    struct pipe *down = &session->link->down;
    struct run *run = session->run;
    size_t room = link_room(down);
    const uint8_t *data = NULL;
    size_t size = 0;
    bool inside = run != NULL && output_log_inside_frame(run->host.log);
    if (room == 0)
        return false;
    if (!inside && buffer_size(&session->out) > 0) {
        size = buffer_size(&session->out);
        size = some(size < room ? size : room);
        link_send(down, buffer_head(&session->out), size);
        buffer_consume(&session->out, size);
        return true;
    }
    if (run == NULL || session->starting || session->finishing ||
        !run_host_peek(&run->host, session, &data, &size))
        return false;
    check_sending(session);
    size = some(size < room ? size : room);
    link_send(down, data, size);
    run_host_sent(&run->host, session, size);
    if (session->detaching && !output_log_inside_frame(run->host.log))
        detach(session);
    else
        run_act(run, run_host_over(&run->host));
    return true;
}

/* The job that the exec asked for has been made. Its keeper may have died since: then it is decided
 * first whether the command ever ran, because an error says that nothing did. */
static bool connect_to_made(struct session *session)
{
    struct fact *fact = session->made;
    if (!fact->never && !server_ready(fact))
        return false;
    session->made = NULL;
    session->blocked = true; /* look at what has come meanwhile */
    if (fact->never)
        session_error(session, session->id, "internal");
    else
        session_relay_exec(session, fact, session->id, fact->holder);
    return true;
}

bool session_step(struct session *session)
{
    unsigned number = session->number;
    bool did = session->made != NULL && connect_to_made(session);
    if (session->blocked) {
        session_receive(session, NULL, 0);
        did = !session->used || session->number != number || !session->blocked;
    }
    if (!session->used || session->number != number || session->link == NULL)
        return did;
    did = prepare(session) || did;
    did = flush(session) || did;
    if (session->used && session->number == number && session->finishing &&
        buffer_size(&session->out) == 0) {
        session_close(session, false);
        return true;
    }
    return did;
}
