/* Kept jobs on the disk: made step by step, so that one can die between any two; found again by
 * a server that starts; audited. */
#include "simulate/sim.h"

#include <string.h>

struct folder *folder_of(const struct fact *fact)
{
    for (size_t i = 0; i < FOLDERS_MAX; i++) {
        if (sim.folder[i].used && sim.folder[i].fact == fact)
            return &sim.folder[i];
    }
    return NULL;
}

struct make *make_of(const struct folder *folder)
{
    for (size_t i = 0; i < MAKES_MAX; i++) {
        if (sim.make[i].used && sim.make[i].folder == folder)
            return &sim.make[i];
    }
    return NULL;
}

static void remove_folder(struct folder *folder)
{
    folder->used = false;
}

/* ---- making ---------------------------------------------------------------------------------- */

static struct folder *new_folder(struct fact *fact)
{
    for (size_t i = 0; i < FOLDERS_MAX; i++) {
        struct folder *folder = &sim.folder[i];
        if (folder->used)
            continue;
        *folder = (struct folder){.used = true, .fact = fact, .key = fact->key, .boot = sim.boot};
        memcpy(folder->holder, fact->holder, sizeof folder->holder);
        folder->limit_bytes = 400 + any(8000);
        folder->blocks = chance(3);
        return folder;
    }
    problem("no room for another folder");
    return NULL;
}

struct make *make_new(struct session *session, uint64_t id, struct fact *fact)
{
    struct make *make = NULL;
    for (size_t i = 0; i < MAKES_MAX && make == NULL; i++) {
        if (!sim.make[i].used)
            make = &sim.make[i];
    }
    struct folder *folder = new_folder(fact);
    if (make == NULL || folder == NULL)
        return NULL;
    memcpy(fact->server, session->server->name, sizeof fact->server);
    memcpy(fact->last_holder, fact->holder, sizeof fact->last_holder);
    *make = (struct make){
        .used = true, .server = session->server, .session = session, .id = id, .folder = folder};
    TRACE("session %u: job %u is to be kept, key %u", session->number, fact->number, fact->key);
    return make;
}

static void unlock(struct make *make)
{
    if (make->locks)
        make->folder->lockers--;
    make->locks = false;
}

/* Its server has died. */
void make_drop(struct make *make)
{
    unlock(make);
    make->used = false;
}

static void made(struct make *make)
{
    struct session *session = make->session;
    struct fact *fact = make->folder->fact;
    unlock(make);
    make->used = false;
    if (session == NULL)
        return;
    session->make = NULL;
    session->made = fact;
    session->id = make->id;
}

bool make_step(struct make *make)
{
    struct folder *folder = make->folder;
    switch (make->step++) {
    case 0: /* mkdir, the lock, the request */
        make->locks = !fault_is(FAULT_LOCK_BY_KEEPER);
        folder->lockers += make->locks;
        return true;
    case 1: /* fdatasync of the request, fsync of the folder */
        return true;
    case 2:
        folder->renamed = true;
        return true;
    case 3: /* fsync of jobs/: the intent stands */
        folder->rename_synced = true;
        return true;
    case 4: /* vfork, execve */
        make->keeper = keeper_new(folder, false);
        if (make->keeper != NULL && make->locks) {
            make->keeper->locks = true;
            folder->lockers++;
        }
        return true;
    default:
        made(make);
        return true;
    }
}

/* ---- finding again --------------------------------------------------------------------------- */

static void never_started(struct folder *folder)
{
    struct fact *fact = folder->fact;
    TRACE("job %u never started", fact->number);
    fact->never = true;
    if (fact->starts > 0)
        problem("job %u was said never to have started, and has", fact->number);
    remove_folder(folder);
}

static void server_lost(struct folder *folder)
{
    struct fact *fact = folder->fact;
    TRACE("job %u is lost", fact->number);
    fact->lost = true;
    fact->receipt = (struct afar_receipt){.outcome = AFAR_OUTCOME_SERVER_LOST,
                                          .code = -1,
                                          .stdout_bytes = folder->bytes[0],
                                          .stderr_bytes = folder->bytes[1]};
    fact->receipted = true;
    folder->synced = folder->count;
    folder->receipt = folder->receipt_synced = true;
}

void recover_folder(struct server *server, struct folder *folder)
{
    (void)server;
    if (!folder->used || make_of(folder) != NULL)
        return;
    if (!folder->renamed) {
        never_started(folder);
        return;
    }
    folder->rename_synced = true;
    if (folder->receipt) {
        folder->receipt_synced = true;
        return;
    }
    if (folder->lockers > 0)
        return; /* its keeper is alive */
    if (!folder->begun && folder->boot == sim.boot)
        never_started(folder);
    else
        server_lost(folder);
}

/* What an instance of the server has done already is in its memory; `audited` is on the disk. */
static bool write_line(const struct server *server, struct folder *folder)
{
    folder->line_by = server->instance;
    folder->fact->end_lines++;
    return true;
}

static bool touch_audited(const struct server *server, struct folder *folder)
{
    folder->touched_by = server->instance;
    folder->audited = true;
    return true;
}

/* The end of a kept job, in the audit log; true: something was done. */
bool audit_step(struct server *server, struct folder *folder)
{
    bool written = folder->line_by == server->instance;
    bool touched = folder->touched_by == server->instance;
    if (!folder->used || !folder->receipt_synced)
        return false;
    if (fault_is(FAULT_END_LINE_LOST)) {
        if (!folder->audited)
            return touch_audited(server, folder);
        return touched && !written && write_line(server, folder);
    }
    if (folder->audited)
        return false;
    return written ? touch_audited(server, folder) : write_line(server, folder);
}

/* ---- power ----------------------------------------------------------------------------------- */

/* Of what was not synced, any part is there: each record to the last that is whole. */
static void tear(struct folder *folder)
{
    size_t kept = folder->synced + any((unsigned)(folder->count - folder->synced) + 1);
    if (kept < folder->count) {
        folder->fact->torn = true;
        folder->end = folder->records[kept].seq;
        memcpy(folder->bytes, folder->records[kept].before, sizeof folder->bytes);
    }
    folder->count = kept;
    if (folder->receipt && !folder->receipt_synced)
        folder->receipt = chance(2);
    folder->begun = folder->begun && chance(2);
    folder->audited = folder->audited && chance(2);
    if (!folder->rename_synced)
        folder->renamed = folder->renamed && chance(2);
    folder->lockers = 0;
    if (folder->receipt && (folder->bytes[0] != folder->fact->receipt.stdout_bytes ||
                            folder->bytes[1] != folder->fact->receipt.stderr_bytes))
        problem("job %u: its receipt is on the disk, and not all of its output",
                folder->fact->number);
}

void disk_power_loss(void)
{
    TRACE("the power fails");
    server_crash(&sim.server[0], sim.now_ms + (int64_t)some(1U << 14));
    for (size_t i = 0; i < KEEPERS_MAX; i++) {
        if (sim.keeper[i].used)
            keeper_end(&sim.keeper[i]);
    }
    sim.boot++;
    for (size_t i = 0; i < FOLDERS_MAX; i++) {
        if (sim.folder[i].used)
            tear(&sim.folder[i]);
    }
}
