/* Servers: which jobs they know, by id, holder and name; how they stop and start. */
#include "simulate/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRAIN_MS = 5000 };

struct run *run_of_fact(const struct fact *fact)
{
    for (size_t i = 0; i < RUNS_MAX; i++) {
        if (sim.run[i].used && sim.run[i].fact == fact)
            return &sim.run[i];
    }
    return NULL;
}

void server_free_run(struct run *run)
{
    if (run->server != NULL)
        run->server->places--;
    run_free(run);
}

/* ---- finding --------------------------------------------------------------------------------- */

static bool knows(const struct server *server, const struct fact *fact)
{
    if (fact->kept)
        return server->number == 0 && folder_of(fact) != NULL;
    const struct run *run = run_of_fact(fact);
    return run != NULL && run->server == server;
}

struct fact *server_find(const struct server *server, const char *job, const char *holder)
{
    for (size_t i = 0; i < sim.facts; i++) {
        struct fact *fact = &sim.fact[i];
        bool wanted = job[0] != '\0' ? strcmp(fact->job, job) == 0
                                     : strcmp(fact->holder, holder) == 0 ||
                                           strcmp(fact->last_holder, holder) == 0;
        if (wanted && knows(server, fact))
            return fact;
    }
    return NULL;
}

static struct fact *find_key(unsigned key)
{
    for (size_t i = 0; i < FOLDERS_MAX && key != 0; i++) {
        if (sim.folder[i].used && sim.folder[i].key == key)
            return sim.folder[i].fact;
    }
    return NULL;
}

bool server_ready(const struct fact *fact)
{
    struct folder *folder = fact->kept ? folder_of(fact) : NULL;
    if (folder == NULL)
        return run_of_fact(fact) != NULL;
    if (make_of(folder) != NULL)
        return false;
    if (keeper_of(folder) != NULL)
        return true;
    /* Its keeper is gone: whoever wants to read it needs another one. */
    return folder->receipt_synced && keeper_new(folder, true) != NULL;
}

/* ---- exec ------------------------------------------------------------------------------------ */

static void exec_in_memory(struct session *session, const struct message *message)
{
    const struct exec_request *request = message->exec;
    struct fact *fact = fact_new(request->holder, 0, false);
    struct run *run = fact != NULL ? run_new(fact) : NULL;
    if (run == NULL)
        return;
    const struct run_host_setup setup = {
        .holder = request->holder,
        .resume_ms = request->resume_ms < sim.resume_ms ? request->resume_ms : sim.resume_ms,
        .stdin_stream = request->stdin_stream,
        .stdin_credit = sim.more_credit,
        .window_bytes = sim.window_bytes,
        .window_max = request->window_max,
        .window_most = sim.window_most,
        .session = session,
        .id = message->id};
    if (run_host_open(&run->host, &setup, sim.now_ms, NULL) != AFAR_OK)
        problem("out of memory");
    run->server = session->server;
    memcpy(fact->server, session->server->name, sizeof fact->server);
    run->first_id = message->id;
    run->command.endless = strcmp(request->argv[0], "endless") == 0;
    session->server->places++;
    session->run = run;
    session->id = message->id;
    session->starting = true;
    session->attempt = 0;
    memcpy(session->holder, request->holder, sizeof session->holder);
    memcpy(fact->last_holder, request->holder, sizeof fact->last_holder);
    TRACE("session %u: job %u of %s", session->number, fact->number, request->holder);
}

bool server_exec(struct session *session, const struct message *message)
{
    const struct exec_request *request = message->exec;
    unsigned key = request->key != NULL ? (unsigned)strtoul(request->key, NULL, 10) : 0;
    session->id = message->id;
    session->answered = false;
    if (session->server->draining) {
        session_error(session, message->id, "draining");
        return true;
    }
    if (key == 0 && !request->keep) {
        exec_in_memory(session, message);
        return true;
    }
    struct fact *fact = find_key(key);
    if (fact != NULL && !server_ready(fact))
        return false;
    if (fact != NULL) {
        TRACE("session %u: key %u is job %u", session->number, key, fact->number);
        session_relay_exec(session, fact, message->id, request->holder);
        return true;
    }
    fact = fact_new(request->holder, key, true);
    if (fact != NULL)
        session->make = make_new(session, message->id, fact);
    return true;
}

/* ---- stopping and starting ------------------------------------------------------------------- */

void server_start(struct server *server)
{
    server->alive = true;
    server->listening = server->draining = false;
    server->recovered = 0;
    server->restart_ms = NEVER;
    server->instance++;
    (void)snprintf(server->name, sizeof server->name, "server-%u.%u", server->number,
                   server->instance);
    TRACE("%s starts", server->name);
}

void server_crash(struct server *server, int64_t restart_ms)
{
    TRACE("%s is gone", server->name);
    for (size_t i = 0; i < sim.sessions_high; i++) {
        struct session *session = &sim.session[i];
        if (session->used && session->server == server)
            session_die(session);
    }
    for (size_t i = 0; i < RUNS_MAX; i++) {
        struct run *run = &sim.run[i];
        if (!run->used || run->server != server)
            continue;
        run->fact->crashed = true;
        server_free_run(run);
    }
    for (size_t i = 0; i < MAKES_MAX; i++) {
        if (sim.make[i].used && sim.make[i].server == server)
            make_drop(&sim.make[i]);
    }
    if (server->places != 0)
        problem("%u places are taken, and nothing runs", server->places);
    server->alive = server->listening = false;
    server->restart_ms = restart_ms;
}

/* Those that are away have nobody to come back to: the server listens no more. */
void server_drain(struct server *server)
{
    TRACE("%s drains", server->name);
    server->draining = true;
    server->listening = false;
    server->drained_ms = sim.now_ms + DRAIN_MS;
}

static bool drain_step(struct server *server)
{
    for (size_t i = 0; i < RUNS_MAX; i++) {
        struct run *run = &sim.run[i];
        if (run->used && run->server == server && run->host.session == NULL &&
            run_host_deadline_ms(&run->host) != NEVER &&
            run_host_deadline_ms(&run->host) > sim.now_ms) {
            run_host_hurry(&run->host, sim.now_ms);
            run->fact->expired = true;
            return true;
        }
    }
    if (server->places > 0 && sim.now_ms < server->drained_ms)
        return false;
    server_crash(server, sim.now_ms + (int64_t)some(4096));
    return true;
}

bool server_step(struct server *server)
{
    if (!server->alive) {
        if (sim.now_ms < server->restart_ms)
            return false;
        server_start(server);
        return true;
    }
    if (server->draining)
        return drain_step(server);
    if (!server->listening) {
        if (server->number == 0 && server->recovered < FOLDERS_MAX) {
            recover_folder(server, &sim.folder[server->recovered++]);
            return true;
        }
        server->listening = true;
        return true;
    }
    for (size_t i = 0; i < FOLDERS_MAX && server->number == 0; i++) {
        struct folder *folder = &sim.folder[i];
        bool orphan = folder->used && folder->renamed && !folder->receipt_synced &&
                      folder->lockers == 0 && make_of(folder) == NULL && keeper_of(folder) == NULL;
        if (orphan) {
            recover_folder(server, folder);
            return true;
        }
        if (audit_step(server, folder))
            return true;
    }
    return false;
}

int64_t server_deadline_ms(const struct server *server)
{
    if (!server->alive)
        return server->restart_ms;
    return server->draining ? server->drained_ms : NEVER;
}
