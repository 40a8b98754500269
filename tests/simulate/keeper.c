/* A keeper: the process of a kept job. It writes the spool, reads from there what its holder
 * wants, and leaves the receipt. */
#include "simulate/sim.h"

#include <string.h>

enum {
    RECORD_HEAD_BYTES = 32,
    RECORD_MOST_BYTES = 150, /* less than the smallest window, whole frames */
    SERVES_MS = 10000        /* after the end, while nobody is attached */
};

struct keeper *keeper_of(const struct folder *folder)
{
    for (size_t i = 0; i < KEEPERS_MAX; i++) {
        if (sim.keeper[i].used && sim.keeper[i].folder == folder)
            return &sim.keeper[i];
    }
    return NULL;
}

static const struct record *find_record(const struct folder *folder, uint64_t seq)
{
    size_t low = 0;
    size_t high = folder->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (folder->records[middle].next <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < folder->count ? &folder->records[low] : NULL;
}

/* How much lies before frame `seq`; false: that was in what is gone. */
static bool bytes_before(const struct folder *folder, uint64_t seq, uint64_t bytes[2])
{
    const struct record *record = find_record(folder, seq);
    if (record == NULL || seq == folder->end) {
        memcpy(bytes, folder->bytes, sizeof folder->bytes);
        return true;
    }
    memcpy(bytes, record->before, sizeof record->before);
    return !record->evicted || seq == 0;
}

static bool spool_bytes_before(const struct run_spool *spool, uint64_t seq, uint64_t bytes[2])
{
    const char *at = (const char *)spool - offsetof(struct folder, spool);
    return bytes_before((const struct folder *)(const void *)at, seq, bytes);
}

struct keeper *keeper_new(struct folder *folder, bool reader)
{
    struct keeper *keeper = NULL;
    for (size_t i = 0; i < KEEPERS_MAX && keeper == NULL; i++) {
        if (!sim.keeper[i].used)
            keeper = &sim.keeper[i];
    }
    struct run *run = keeper != NULL ? run_new(folder->fact) : NULL;
    if (run == NULL)
        return NULL;
    const struct run_host_setup setup = {.holder = folder->holder,
                                         .spool = &folder->spool,
                                         .resume_ms = sim.resume_ms,
                                         .stdin_stream = true,
                                         .stdin_credit = sim.more_credit,
                                         .window_bytes = sim.window_bytes,
                                         .window_most = sim.window_most};
    folder->spool.bytes_before = spool_bytes_before;
    if (run_host_open(&run->host, &setup, sim.now_ms, NULL) != AFAR_OK)
        problem("out of memory");
    *keeper = (struct keeper){.used = true,
                              .folder = folder,
                              .fact = folder->fact,
                              .run = run,
                              .reader = reader,
                              .asleep = chance(4) ? any(30) : 0,
                              .exit_ms = NEVER};
    run->keeper = keeper;
    if (reader) {
        keeper->step = 3;
        run->command.ended = true;
        run_host_spooled(&run->host, folder->end + 1);
    }
    TRACE("job %u: %s", folder->fact->number, reader ? "a reader" : "a keeper");
    return keeper;
}

void keeper_end(struct keeper *keeper)
{
    TRACE("job %u: its keeper is gone", keeper->fact->number);
    for (size_t i = 0; i < sim.sessions_high; i++) {
        struct session *session = &sim.session[i];
        if (session->used && session->keeper == keeper)
            session_die(session);
    }
    if (keeper->locks)
        keeper->folder->lockers--;
    run_free(keeper->run);
    keeper->used = false;
}

/* ---- the spool ------------------------------------------------------------------------------- */

static void append(struct folder *folder, unsigned stream, size_t size, const uint64_t lost[2])
{
    struct record *record = &folder->records[folder->count++];
    *record = (struct record){
        .seq = folder->end, .next = folder->end + 1, .stream = stream, .size = size};
    memcpy(record->before, folder->bytes, sizeof record->before);
    if (stream < 2)
        folder->bytes[stream] += size;
    for (int s = 0; s < 2 && stream == 2; s++) {
        record->lost[s] = lost[s];
        folder->bytes[s] += lost[s];
    }
    folder->end++;
    folder->held_bytes += size + RECORD_HEAD_BYTES;
}

/* The oldest record behind the head, which is a quarter; NULL: there is none. */
static struct record *oldest(struct folder *folder)
{
    size_t head_bytes = 0;
    for (size_t i = 0; i < folder->count; i++) {
        struct record *record = &folder->records[i];
        if (record->evicted)
            continue;
        head_bytes += record->size + RECORD_HEAD_BYTES;
        if (head_bytes > folder->limit_bytes / 4)
            return record;
    }
    return NULL;
}

static void evict(struct folder *folder, struct record *record)
{
    record->evicted = true;
    folder->held_bytes -= record->size + RECORD_HEAD_BYTES;
}

void folder_evict(struct folder *folder)
{
    TRACE("job %u: its output is removed", folder->fact->number);
    for (size_t i = 0; i < folder->count; i++) {
        if (!folder->records[i].evicted)
            evict(folder, &folder->records[i]);
    }
    if (fault_is(FAULT_KEY_EVICTED))
        folder->key = 0;
}

/* Makes room for a record; false: there is none, and the command has to wait. */
static bool make_room(struct keeper *keeper, size_t size)
{
    struct folder *folder = keeper->folder;
    while (folder->held_bytes + size + RECORD_HEAD_BYTES > folder->limit_bytes) {
        struct record *record = oldest(folder);
        bool taken = record != NULL && record->next <= output_log_first(keeper->run->host.log);
        if (record == NULL || (folder->blocks && !taken))
            return false;
        evict(folder, record);
    }
    return true;
}

bool keeper_write(struct keeper *keeper, unsigned stream, size_t size)
{
    struct folder *folder = keeper->folder;
    struct command *command = &keeper->run->command;
    if (size > RECORD_MOST_BYTES)
        size = RECORD_MOST_BYTES;
    if (folder->count + 2 > RECORDS_MAX) {
        command->total[stream] = command->written[stream];
        return true;
    }
    if (sim.disk_full && folder->blocks)
        return false;
    if (sim.disk_full) {
        keeper->dropped[stream] += size;
        command->written[stream] += size;
        return true;
    }
    if (!make_room(keeper, 2 * RECORD_HEAD_BYTES + size))
        return false;
    if (keeper->dropped[0] + keeper->dropped[1] > 0) {
        append(folder, 2, 0, keeper->dropped);
        keeper->dropped[0] = keeper->dropped[1] = 0;
    }
    append(folder, stream, size, NULL);
    command->written[stream] += size;
    run_host_spooled(&keeper->run->host, folder->end);
    return true;
}

/* All from `seq` on that is not there any more. */
static bool fill_cut(struct keeper *keeper, const struct record *record, uint64_t seq)
{
    const struct folder *folder = keeper->folder;
    const struct record *end = folder->records + folder->count;
    struct output_log *log = keeper->run->host.log;
    uint64_t have[2];
    uint64_t lost[2];
    uint64_t next = record->next;
    while (record < end && (record->evicted || record->stream == 2))
        next = record++->next;
    (void)bytes_before(folder, next, lost);
    output_log_bytes_before(log, seq, have);
    for (int s = 0; s < 2; s++)
        lost[s] -= have[s];
    return output_log_add_cut(log, next, lost, NULL) == AFAR_OK;
}

/* The next frame of the spool, into the window of whoever reads. */
static bool fill(struct keeper *keeper)
{
    struct run *run = keeper->run;
    struct output_log *log = run->host.log;
    const struct folder *folder = keeper->folder;
    uint64_t seq = output_log_end(log);
    const struct record *record = find_record(folder, seq);
    enum run_host_after after = RUN_HOST_GOES_ON;
    if (run->host.session == NULL || run->host.ended)
        return false;
    if (record == NULL) {
        if (!folder->receipt_synced || seq != folder->end)
            return false;
        return run_host_ended(&run->host, &keeper->fact->receipt, false, &after, NULL) == AFAR_OK;
    }
    if (record->evicted || record->stream == 2)
        return fill_cut(keeper, record, seq);
    uint8_t *room = NULL;
    size_t space = 0;
    if (output_log_reserve(log, &room, &space, NULL) != AFAR_OK)
        return false;
    bool fits = record->size <= space;
    for (size_t i = 0; i < record->size && fits; i++)
        room[i] =
            output_byte(keeper->fact->salt, record->stream, record->before[record->stream] + i);
    output_log_commit(log, (enum stream)record->stream, fits ? record->size : 0);
    return fits;
}

/* ---- the process ----------------------------------------------------------------------------- */

static void start_command(struct keeper *keeper)
{
    struct fact *fact = keeper->fact;
    TRACE("job %u: starts", fact->number);
    keeper->run->command.runs = true;
    fact->starts++;
    if (fact->never || fact->lost)
        problem("job %u starts after it was said that it %s", fact->number,
                fact->never ? "never did" : "is lost");
}

static bool begin_step(struct keeper *keeper)
{
    switch (keeper->step++) {
    case 0:
        if (fault_is(FAULT_LOCK_BY_KEEPER)) {
            keeper->locks = true;
            keeper->folder->lockers++;
        }
        return true;
    case 1:
        keeper->folder->begun = true;
        return true;
    default:
        start_command(keeper);
        return true;
    }
}

/* One step of leaving the receipt, each in its time. */
static bool receipt_step(struct keeper *keeper)
{
    struct folder *folder = keeper->folder;
    static const unsigned right[] = {0, 1, 2};
    static const unsigned wrong[] = {1, 2, 0};
    const unsigned *order = fault_is(FAULT_RECEIPT_BEFORE_SYNC) ? wrong : right;
    if (sim.disk_full && keeper->dropped[0] + keeper->dropped[1] > 0)
        return false;
    if (keeper->dropped[0] + keeper->dropped[1] > 0) {
        append(folder, 2, 0, keeper->dropped);
        keeper->dropped[0] = keeper->dropped[1] = 0;
        return true;
    }
    switch (order[keeper->receipt_step++]) {
    case 0:
        folder->synced = folder->count; /* fdatasync */
        break;
    case 1:
        folder->receipt = true; /* written, synced, renamed */
        break;
    default:
        folder->receipt_synced = true;
        run_host_spooled(&keeper->run->host, folder->end + 1);
        TRACE("job %u: the receipt stands", keeper->fact->number);
        break;
    }
    return true;
}

/* When it has nothing to do any more it goes, after a while. */
static bool leave(struct keeper *keeper)
{
    bool busy = keeper->run->host.session != NULL;
    for (size_t i = 0; i < sim.sessions_high && !busy; i++)
        busy = sim.session[i].used && sim.session[i].keeper == keeper;
    if (busy) {
        keeper->exit_ms = NEVER;
        return false;
    }
    if (keeper->exit_ms == NEVER) {
        keeper->exit_ms = sim.now_ms + SERVES_MS;
        return true;
    }
    if (sim.now_ms < keeper->exit_ms)
        return false;
    keeper_end(keeper);
    return true;
}

bool keeper_step(struct keeper *keeper)
{
    if (keeper->asleep > 0) {
        keeper->asleep--;
        return true;
    }
    if (keeper->step < 3)
        return begin_step(keeper);
    if (fill(keeper))
        return true;
    if (!keeper->run->command.ended)
        return false;
    if (!keeper->reader && keeper->receipt_step < 3)
        return receipt_step(keeper);
    return leave(keeper);
}

int64_t keeper_deadline_ms(const struct keeper *keeper)
{
    return keeper->exit_ms;
}
