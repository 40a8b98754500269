/* A run: the real run_host, and a command that writes, reads and ends. */
#include "simulate/sim.h"

#include <string.h>

uint8_t output_byte(unsigned salt, unsigned stream, uint64_t offset)
{
    return (uint8_t)(salt * 31 + stream * 101 + offset * 7 + (offset >> 7) * 13);
}

uint8_t input_byte(uint64_t offset)
{
    return (uint8_t)(offset * 11 + (offset >> 6) * 29 + 5);
}

struct run *run_of_host(const struct run_host *host)
{
    for (size_t i = 0; i < RUNS_MAX; i++) {
        if (sim.run[i].used && &sim.run[i].host == host)
            return &sim.run[i];
    }
    return NULL;
}

struct run *run_of_log(const struct output_log *log)
{
    for (size_t i = 0; i < RUNS_MAX; i++) {
        if (sim.run[i].used && sim.run[i].host.log == log)
            return &sim.run[i];
    }
    return NULL;
}

struct run *run_new(struct fact *fact)
{
    for (size_t i = 0; i < RUNS_MAX; i++) {
        struct run *run = &sim.run[i];
        if (run->used)
            continue;
        *run = (struct run){.used = true, .fact = fact};
        struct command *command = &run->command;
        /* The same for a second start of one key: only the bytes tell them apart. */
        struct seeded seeded = {sim.seed * 77 + fact->key + (fact->key == 0 ? fact->number : 100)};
        command->total[0] = seeded_below(&seeded, 4) == 0 ? 0 : seeded_size(&seeded, 4096);
        command->total[1] = seeded_below(&seeded, 2) == 0 ? 0 : seeded_size(&seeded, 1024);
        command->needs_eof = seeded_below(&seeded, 2) == 0;
        buffer_init(&command->input, (size_t)1 << 20);
        return run;
    }
    problem("no room for another run");
    return NULL;
}

void run_free(struct run *run)
{
    buffer_close(&run->command.input);
    run_host_close(&run->host);
    run->used = false;
}

/* ---- what the owner does about what the core decides ----------------------------------------- */

static void detach_session(struct run *run)
{
    for (size_t i = 0; i < sim.sessions_high; i++) {
        struct session *session = &sim.session[i];
        if (!session->used || session->run != run)
            continue;
        session->run = NULL;
        if (session->inner)
            session->finishing = true;
    }
}

void run_act(struct run *run, enum run_host_after after)
{
    switch (after) {
    case RUN_HOST_GOES_ON:
        return;
    case RUN_HOST_STOP:
        TRACE("job %u: nobody came back", run->fact->number);
        run->fact->expired = true;
        run->stopping = true;
        return;
    case RUN_HOST_FREE:
        detach_session(run);
        return;
    case RUN_HOST_RELEASE:
        TRACE("job %u: released", run->fact->number);
        if (output_log_acknowledged(run->host.log))
            run->fact->acked = true;
        if (!run->fact->acked && !run->fact->expired && !run->fact->left)
            problem("job %u was released, and nobody had its receipt", run->fact->number);
        detach_session(run);
        server_free_run(run);
        return;
    }
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool write_memory(struct run *run, unsigned stream, size_t size)
{
    struct command *command = &run->command;
    uint8_t *room = NULL;
    size_t space = 0;
    if (output_log_reserve(run->host.log, &room, &space, NULL) != AFAR_OK)
        return false;
    if (size > space)
        size = space;
    for (size_t i = 0; i < size; i++)
        room[i] = output_byte(run->fact->salt, stream, command->written[stream] + i);
    output_log_commit(run->host.log, (enum stream)stream, size);
    command->written[stream] += size;
    if (output_log_held(run->host.log) > output_log_capacity(run->host.log))
        problem("job %u: more is held than the capacity", run->fact->number);
    return true;
}

static bool write_some(struct run *run)
{
    struct command *command = &run->command;
    unsigned stream = any(2);
    for (int i = 0; i < 2; i++, stream ^= 1) {
        uint64_t left = command->total[stream] - command->written[stream];
        if (command->endless && stream == 0)
            left = 200;
        if (command->closed[stream] || left == 0)
            continue;
        size_t size = some(left < 256 ? (size_t)left : 256);
        return run->keeper != NULL ? keeper_write(run->keeper, stream, size)
                                   : write_memory(run, stream, size);
    }
    return false;
}

uint64_t run_most_credit(const struct run *run)
{
    return run_host_wants_clock(&run->host) || run->host.credit_changed
               ? sim.more_credit * CREDIT_GROWS
               : run->host.stdin_credit;
}

static bool read_some(struct run *run)
{
    struct command *command = &run->command;
    size_t size = buffer_size(&command->input);
    if (size > run_most_credit(run))
        problem("job %u: %zu bytes of input wait, the credit is %llu", run->fact->number, size,
                (unsigned long long)run_most_credit(run));
    if (size == 0) {
        bool news = command->input_eof && !command->eof_read;
        command->eof_read = command->input_eof;
        return news;
    }
    size = some(size);
    const uint8_t *bytes = buffer_head(&command->input);
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != input_byte(command->read + i)) {
            problem("job %u: byte %llu of its input is not what was sent", run->fact->number,
                    (unsigned long long)(command->read + i));
            return false;
        }
    }
    buffer_consume(&command->input, size);
    command->read += size;
    run_host_stdin_taken(&run->host, command->read);
    return true;
}

static bool output_done(const struct command *command)
{
    for (int s = 0; s < 2; s++) {
        bool more =
            command->written[s] < command->total[s] || (command->endless && s == STREAM_STDOUT);
        if (more && !command->closed[s])
            return false;
    }
    return true;
}

static void add_receipt(struct run *run)
{
    enum run_host_after after = RUN_HOST_GOES_ON;
    run->receipt_waits =
        run_host_ended(&run->host, &run->fact->receipt, false, &after, NULL) != AFAR_OK;
    run_act(run, after);
}

static void end_command(struct run *run, enum afar_outcome outcome)
{
    struct command *command = &run->command;
    struct fact *fact = run->fact;
    TRACE("job %u: the command ends", fact->number);
    command->runs = false;
    command->ended = true;
    buffer_clear(&command->input);
    fact->receipt =
        (struct afar_receipt){.outcome = outcome,
                              .code = outcome == AFAR_OUTCOME_EXITED ? (int)(fact->salt & 127) : -1,
                              .stdin_bytes = command->read,
                              .stdout_bytes = command->written[0],
                              .stderr_bytes = command->written[1]};
    fact->receipted = true;
    run_host_stdin_taken(&run->host, run->host.stdin_received);
    if (run->keeper == NULL)
        add_receipt(run);
}

void run_kill(struct run *run, enum afar_outcome outcome)
{
    if (run->command.runs)
        end_command(run, outcome);
}

bool run_step(struct run *run)
{
    struct command *command = &run->command;
    if (run->server != NULL && !command->runs && !command->ended) {
        command->runs = true;
        run->fact->starts++;
        TRACE("job %u: starts", run->fact->number);
        return true;
    }
    if (run->server != NULL) {
        enum run_host_after after = run_host_time(&run->host, sim.now_ms);
        if (after == RUN_HOST_RELEASE)
            run->fact->expired = true;
        run_act(run, after);
        if (!run->used)
            return true;
    }
    if (!command->runs)
        return false;
    if (run->stopping && (sim.calm || chance(3))) {
        end_command(run, AFAR_OUTCOME_DISCONNECTED);
        return true;
    }
    bool did = chance(2) ? write_some(run) : read_some(run);
    if (!did)
        did = write_some(run) || read_some(run);
    bool input_done = !command->needs_eof || command->eof_read;
    if (sim.problem[0] == '\0' && output_done(command) && input_done && !(did && chance(2))) {
        end_command(run, AFAR_OUTCOME_EXITED);
        return true;
    }
    return did;
}
