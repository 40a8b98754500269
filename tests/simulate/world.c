/* A schedule: made from its seed, run until all is over, and looked at. */
#include "simulate/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct world sim;

void problem(const char *format, ...)
{
    va_list args;
    if (sim.problem[0] != '\0')
        return;
    va_start(args, format);
    (void)vsnprintf(sim.problem, sizeof sim.problem, format, args);
    va_end(args);
    TRACE("PROBLEM: %s", sim.problem);
}

void trace(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%6u %9lld ms  ", sim.steps, (long long)sim.now_ms);
    (void)vprintf(format, args);
    printf("\n");
    va_end(args);
}

unsigned any(unsigned below)
{
    return seeded_below(&sim.chance, below);
}

bool chance(unsigned of)
{
    return any(of) == 0;
}

size_t some(size_t most)
{
    if (most <= 1)
        return most;
    return chance(2) ? 1 + any((unsigned)most) : 1 + any((unsigned)(most < 8 ? most : 8));
}

struct fact *fact_new(const char *holder, unsigned key, bool kept)
{
    if (sim.facts == FACTS_MAX) {
        problem("more commands than expected");
        return NULL;
    }
    struct fact *fact = &sim.fact[sim.facts++];
    fact->number = sim.facts;
    fact->key = key;
    fact->kept = kept;
    fact->salt = (unsigned)(sim.seed * 13 + sim.facts * 5) & 0xffff;
    (void)snprintf(fact->job, sizeof fact->job, "job%llxn%u",
                   (unsigned long long)(sim.seed & 0xffffff), fact->number);
    (void)snprintf(fact->holder, sizeof fact->holder, "%s", holder);
    return fact;
}

/* ---- how it begins --------------------------------------------------------------------------- */

static void begin_client(void)
{
    struct client *client = client_new();
    client->key = sim.kept && chance(2) ? 1 + any(2) : 0;
    client->keep = sim.kept && (client->key != 0 || chance(2));
    client->input_total = chance(3) ? 0 : some(2048);
    client->begins_ms = (int64_t)any(100);
    client->stalled = chance(6);
    for (int s = 0; s < 2; s++) {
        if (chance(8))
            client->close_at[s] = any(600);
    }
    /* All processes of one name bring the same input. */
    if (client->key != 0)
        client->input_total = client->key * 300;
    client->again = client->key == 0 && !client->keep && chance(4);
}

static void settle(uint64_t seed)
{
    sim.seed = seed;
    sim.chance.state = seed * 0x9e3779b97f4a7c15U + 1;
    sim.kept = any(10) < 4;
    sim.balanced = !sim.kept && chance(8);
    sim.resends_more = chance(4);
    sim.delicate = sim.kept && chance(3);
    sim.window_bytes = 450 + any(1200);
    sim.window_most = chance(2) ? 4 * sim.window_bytes : 0;
    sim.credit = 50 + any(400);
    sim.more_credit = chance(2) ? sim.credit : sim.credit * 2;
    sim.resume_ms = chance(6) ? 2000 : 60000;
    sim.storm_steps = 100 + any(600);
    /* Of each kind much in one schedule, and nothing in another. */
    for (size_t i = 0; i < sizeof sim.weight / sizeof sim.weight[0]; i++)
        sim.weight[i] = chance(2) ? 0 : any(4);
    sim.weight[0] += 2; /* links are cut in all */
    for (unsigned i = 0; i < SERVERS; i++) {
        sim.server[i].number = i;
        server_start(&sim.server[i]);
    }
    begin_client();
    if (chance(3))
        begin_client();
}

/* ---- steps ----------------------------------------------------------------------------------- */

static bool step_links(void)
{
    bool did = false;
    if (sim.links_high == 0)
        return false;
    unsigned first = any(sim.links_high);
    for (unsigned i = 0; i < sim.links_high; i++) {
        struct link *link = &sim.link[(first + i) % sim.links_high];
        if (link->used && (sim.calm || chance(2)))
            did = link_deliver(link) || did;
    }
    return did;
}

static bool step_sessions(void)
{
    bool did = false;
    for (unsigned i = 0; i < sim.sessions_high; i++) {
        if (sim.session[i].used && (sim.calm || chance(2)))
            did = session_step(&sim.session[i]) || did;
    }
    return did;
}

static bool step_runs(void)
{
    bool did = false;
    for (unsigned i = 0; i < RUNS_MAX; i++) {
        if (sim.run[i].used && (sim.calm || chance(2)))
            did = run_step(&sim.run[i]) || did;
    }
    for (unsigned i = 0; i < MAKES_MAX; i++) {
        if (sim.make[i].used && (sim.calm || chance(2)))
            did = make_step(&sim.make[i]) || did;
    }
    for (unsigned i = 0; i < KEEPERS_MAX; i++) {
        if (sim.keeper[i].used && (sim.calm || chance(2)))
            did = keeper_step(&sim.keeper[i]) || did;
    }
    return did;
}

static bool step_all(void)
{
    bool did = false;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (sim.client[i].used && (sim.calm || chance(2)))
            did = client_step(&sim.client[i]) || did;
    }
    did = step_links() || did;
    did = step_sessions() || did;
    did = step_runs() || did;
    for (unsigned i = 0; i < SERVERS; i++) {
        if (sim.calm || chance(2))
            did = server_step(&sim.server[i]) || did;
    }
    return did;
}

/* ---- time ------------------------------------------------------------------------------------ */

static void earlier(int64_t *deadline_ms, int64_t other_ms)
{
    if (other_ms > sim.now_ms && other_ms < *deadline_ms)
        *deadline_ms = other_ms;
}

static int64_t next_deadline_ms(void)
{
    int64_t deadline_ms = NEVER;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (sim.client[i].used)
            earlier(&deadline_ms, client_deadline_ms(&sim.client[i]));
    }
    for (unsigned i = 0; i < sim.links_high; i++) {
        if (sim.link[i].used)
            earlier(&deadline_ms, link_deadline_ms(&sim.link[i]));
    }
    for (unsigned i = 0; i < RUNS_MAX; i++) {
        const struct run *run = &sim.run[i];
        if (!run->used)
            continue;
        earlier(&deadline_ms, run_host_deadline_ms(&run->host));
        earlier(&deadline_ms, run->host.stdin_ack_by_ms);
    }
    for (unsigned i = 0; i < KEEPERS_MAX; i++) {
        if (sim.keeper[i].used)
            earlier(&deadline_ms, keeper_deadline_ms(&sim.keeper[i]));
    }
    for (unsigned i = 0; i < SERVERS; i++)
        earlier(&deadline_ms, server_deadline_ms(&sim.server[i]));
    return deadline_ms;
}

/* Commands that are kept and wait for input of nobody: an operator ends them. */
static bool end_what_waits(void)
{
    bool did = false;
    for (unsigned i = 0; i < RUNS_MAX; i++) {
        struct run *run = &sim.run[i];
        if (!run->used || run->keeper == NULL || !run->command.runs || run->host.session != NULL)
            continue;
        run_kill(run, AFAR_OUTCOME_KILLED);
        did = true;
    }
    return did;
}

static bool clients_done(void)
{
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (sim.client[i].used && sim.client[i].outcome == OUTCOME_NONE)
            return false;
    }
    return true;
}

static bool all_done(void)
{
    if (!clients_done())
        return false;
    for (unsigned i = 0; i < RUNS_MAX; i++) {
        if (sim.run[i].used)
            return false;
    }
    return true;
}

static void calm_down(void)
{
    TRACE("nothing goes wrong any more");
    sim.calm = true;
    sim.disk_full = false;
    for (unsigned i = 0; i < sim.links_high; i++) {
        struct link *link = &sim.link[i];
        int64_t soon_ms = sim.now_ms + 1000;
        if (link->used && link->up.not_before_ms > soon_ms)
            link->up.not_before_ms = soon_ms;
        if (link->used && link->down.not_before_ms > soon_ms)
            link->down.not_before_ms = soon_ms;
    }
}

static void stuck(void)
{
    char who[300] = "";
    size_t used = 0;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        const struct client *client = &sim.client[i];
        if (client->used && client->outcome == OUTCOME_NONE && used < sizeof who)
            used += (size_t)snprintf(who + used, sizeof who - used, " client %u (state %d)",
                                     client->number, (int)client->guest.state);
    }
    for (unsigned i = 0; i < RUNS_MAX; i++) {
        if (sim.run[i].used && used < sizeof who)
            used +=
                (size_t)snprintf(who + used, sizeof who - used, " job %u", sim.run[i].fact->number);
    }
    problem("nothing happens any more, but there is still:%s", who);
}

static void run_to_end(void)
{
    unsigned idle = 0;
    while (sim.problem[0] == '\0' && !(sim.calm && all_done())) {
        if (++sim.steps > STEPS_MAX) {
            problem("it does not end");
            return;
        }
        if (sim.steps == sim.storm_steps)
            calm_down();
        if (!sim.calm)
            disturb();
        idle = step_all() ? 0 : idle + 1;
        if (idle < (sim.calm ? 2U : 8U))
            continue;
        idle = 0;
        int64_t next_ms = next_deadline_ms();
        if (next_ms != NEVER)
            sim.now_ms = next_ms;
        else if (!sim.calm)
            calm_down();
        else if (!all_done() && !end_what_waits())
            stuck();
    }
}

/* ---- what must hold at the end --------------------------------------------------------------- */

static void check_facts(void)
{
    unsigned of_key[8] = {0};
    for (size_t i = 0; i < sim.facts; i++) {
        const struct fact *fact = &sim.fact[i];
        if (fact->starts > 1)
            problem("job %u was started %u times", fact->number, fact->starts);
        if (fact->never && fact->starts > 0)
            problem("job %u never started, and has", fact->number);
        if (fact->key != 0)
            of_key[fact->key & 7] += fact->starts;
        if (fact->kept && fact->starts > 0 && fact->end_lines == 0)
            problem("the end of job %u is not in the audit log", fact->number);
    }
    for (size_t i = 0; i < 8; i++) {
        if (of_key[i] > 1)
            problem("name %zu was started %u times", i, of_key[i]);
    }
}

static unsigned starts_of(const char *holder)
{
    unsigned starts = 0;
    for (size_t i = 0; i < sim.facts; i++) {
        if (strcmp(sim.fact[i].holder, holder) == 0)
            starts += sim.fact[i].starts;
    }
    return starts;
}

static bool any_takeover(void)
{
    for (size_t i = 0; i < sim.facts; i++) {
        if (sim.fact[i].takeovers > 0)
            return true;
    }
    return false;
}

static void check_clients(void)
{
    unsigned raised = 0;
    unsigned arrived = 0;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        const struct client *client = &sim.client[i];
        if (!client->used)
            continue;
        if (client->key == 0 && starts_of(client->holder) > 1)
            problem("what client %u asked for once was started more than once", i);
        if (client->outcome == OUTCOME_NOT_SENT && client->takes_over == NULL && client->key == 0 &&
            starts_of(client->holder) > 0)
            problem("client %u says that nothing ran, and it has", i);
        bool taken = client->fact != NULL ? client->fact->takeovers > 0 : any_takeover();
        if (client->outcome == OUTCOME_SUPERSEDED && !taken)
            problem("client %u was superseded by nobody", i);
        raised += client->signals_raised;
    }
    for (size_t i = 0; i < sim.facts; i++)
        arrived += sim.fact[i].signals;
    if (arrived > raised)
        problem("%u signals were raised, and %u have arrived", raised, arrived);
}

static void check_end(void)
{
    check_facts();
    check_clients();
    for (unsigned i = 0; i < SERVERS; i++) {
        if (sim.server[i].places != 0)
            problem("%u places are still taken", sim.server[i].places);
    }
    for (unsigned i = 0; i < sim.links_high; i++) {
        if (sim.link[i].used && sim.link[i].outer != NULL)
            problem("link %u of a relay is left over", sim.link[i].number);
    }
}

/* The last of it: an exec that comes late, links without clients, audit lines. */
static void wind_up(void)
{
    while (sim.problem[0] == '\0' && sim.steps++ < STEPS_MAX) {
        if (step_all())
            continue;
        int64_t next_ms = next_deadline_ms();
        if (next_ms != NEVER)
            sim.now_ms = next_ms;
        else if (!end_what_waits())
            break;
    }
    if (!all_done())
        stuck();
}

static void clear(void)
{
    for (unsigned i = 0; i < sim.sessions_high; i++) {
        if (sim.session[i].used)
            session_die(&sim.session[i]);
    }
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (sim.client[i].used && sim.client[i].outcome == OUTCOME_NONE)
            client_crash(&sim.client[i]);
    }
    for (unsigned i = 0; i < RUNS_MAX; i++) {
        if (sim.run[i].used)
            run_free(&sim.run[i]);
    }
    for (unsigned i = 0; i < sim.links_high; i++) {
        if (!sim.link[i].used)
            continue;
        buffer_close(&sim.link[i].up.data);
        buffer_close(&sim.link[i].down.data);
    }
}

bool world_run(uint64_t seed, bool trace_it)
{
    memset(&sim, 0, sizeof sim);
    sim.trace = trace_it;
    settle(seed);
    run_to_end();
    if (sim.problem[0] == '\0')
        wind_up();
    if (sim.problem[0] == '\0')
        check_end();
    sim.trace = false;
    clear();
    return sim.problem[0] == '\0';
}
