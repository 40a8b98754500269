#include "exec/sweep.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "exec/proc.h"
#include "exec/process.h"

enum {
    ROUNDS_MAX = 8, /* in case processes fork faster than they can be found */
    /* 1, 2, 4, … 64, 64, … ms between the looks whether any are left: a killed process is usually
     * gone after the first or second; for one in a disk wait, the sweep gives up after a second. */
    WAIT_DOUBLINGS = 6,
    WAIT_MAX_MS = 1 << WAIT_DOUBLINGS,
    STALLED_MAX = 20,
    SPARED_LOOKS_MAX = 6,
    UNKNOWN_WAIT_MS = 1,
    /* Waits of 1, 2, 4, 8 ms for processes to end: many programs close their output, whose end we
     * have seen, just before they exit. Not if there are more than GRACE_CROWD. */
    GRACES = 4,
    GRACE_CROWD = 64
};

/* The phases of one look, in this order; ROOTS to WALK are repeated while processes are found. */
enum phase { BEGIN, ROOTS, ORPHANS, WALK, GRACE, HOLDERS, COUNT, SIGNAL, LEFT };

static bool is_kill(const struct sweep *sweep)
{
    return sweep->order.signals[0] == SIGKILL;
}

void sweep_init(struct sweep *sweep)
{
    *sweep = (struct sweep){.family = NULL};
    (void)pthread_mutex_init(&sweep->lock, NULL);
}

void sweep_close(struct sweep *sweep)
{
    family_free(sweep->family);
    sweep->family = NULL;
    free(sweep->result.spared);
    (void)pthread_mutex_destroy(&sweep->lock);
}

void sweep_begin(struct sweep *sweep, const struct sweep_order *order)
{
    /* The result must list only processes that the leader has left behind, so forget those that
     * were found while it lived. */
    if (!sweep->order.leader_ended) {
        family_free(sweep->family);
        sweep->family = NULL;
    }
    free(sweep->result.spared);
    sweep->order = *order;
    sweep->result = (struct sweep_result){.cgroup_left = order->cgroup != NULL};
    sweep->state =
        (struct sweep_state){.phase = BEGIN, .give_up_ms = clock_deadline_ms(SWEEP_MAX_MS)};
}

void sweep_condemn(struct sweep *sweep, const struct family_member *member)
{
    if (sweep->family != NULL)
        family_condemn(sweep->family, member->pid, member->start);
}

void sweep_cancel(struct sweep *sweep)
{
    (void)pthread_mutex_lock(&sweep->lock);
    sweep->cancelled = true;
    (void)pthread_mutex_unlock(&sweep->lock);
}

/* The group is the leader's only as long as the leader has not been reaped: see sweep_cancel. */
static void signal_group(struct sweep *sweep, int number)
{
    (void)pthread_mutex_lock(&sweep->lock);
    if (!sweep->cancelled)
        (void)process_signal_group(sweep->order.leader, number);
    (void)pthread_mutex_unlock(&sweep->lock);
}

/* ---- the phases ------------------------------------------------------------------------------ */

static void begin_look(struct sweep *sweep)
{
    struct proc_stat stat;
    if (sweep->family == NULL)
        sweep->family = family_new();
    if (sweep->family != NULL)
        family_spare(sweep->family, sweep->order.spares);
    sweep->state.rounds = 0;
    sweep->state.found = 0;
    sweep->state.signal = 0;
    sweep->state.search.since = proc_read_stat(sweep->order.leader, &stat) ? stat.start : 0;
    /* Without a family, only the process group is signalled. */
    sweep->state.phase = sweep->family == NULL ? SIGNAL : ROOTS;
}

static void propose_roots(struct sweep *sweep)
{
    const struct sweep_order *order = &sweep->order;
    struct proc_numbers pids = {0};
    family_begin_round(sweep->family);
    sweep->state.search.begun = false;
    sweep->state.search.rereads = 0;
    if (!order->leader_ended)
        family_propose_children(sweep->family, order->leader);
    if (order->cgroup != NULL)
        cgroup_list(order->cgroups, order->cgroup, &pids);
    for (size_t i = 0; i < pids.count; i++) {
        if (pids.at[i] != order->leader)
            family_propose(sweep->family, pids.at[i], FAMILY_SURE);
    }
    free(pids.at);
    sweep->state.phase = ORPHANS;
}

static enum sweep_progress find_orphans(struct sweep *sweep, int64_t until_us, int64_t *wait_ms)
{
    switch (orphans_find(sweep->order.orphans, &sweep->state.search, sweep->family,
                         &sweep->order.mark, until_us)) {
    case ORPHANS_MORE:
        return SWEEP_MORE;
    case ORPHANS_WAIT:
        *wait_ms = UNKNOWN_WAIT_MS;
        return SWEEP_WAIT;
    case ORPHANS_FOUND:
        break;
    }
    sweep->state.phase = WALK;
    return SWEEP_DONE;
}

static bool has_grace(const struct sweep *sweep)
{
    return sweep->order.until_none && sweep->state.looks == 0 && sweep->state.graces < GRACES &&
           sweep->state.found <= GRACE_CROWD;
}

/* Before SIGKILL, processes are stopped until no new ones are found, as they might fork meanwhile.
 * Not at the first look if there is a cgroup, which the kernel kills in one step; processes that
 * have left it are found at the second look. */
static bool walk(struct sweep *sweep, int64_t until_us)
{
    bool at_once = sweep->order.cgroup != NULL && sweep->state.looks == 0;
    bool stop = is_kill(sweep) && !at_once && !sweep->order.spares && !has_grace(sweep);
    if (!family_walk(sweep->family, &sweep->order.mark, stop, until_us))
        return false;
    size_t denied = 0;
    size_t found = family_found(sweep->family);
    sweep->state.found += found;
    bool first = sweep->state.rounds == 0 && family_living(sweep->family, &denied) > 0;
    bool again = stop && (found > 0 || first) && sweep->state.rounds < ROUNDS_MAX;
    sweep->state.rounds += stop;
    sweep->state.phase = again ? ROOTS : GRACE;
    return true;
}

static enum sweep_progress grant_grace(struct sweep *sweep, int64_t until_us, int64_t *wait_ms)
{
    size_t denied = 0;
    sweep->state.phase = HOLDERS;
    if (!has_grace(sweep))
        return SWEEP_DONE;
    sweep->state.phase = GRACE;
    if (!family_look(sweep->family, false, until_us))
        return SWEEP_MORE;
    sweep->state.phase = ROOTS;
    if (family_living(sweep->family, &denied) == 0 && family_spared(sweep->family) == 0) {
        sweep->state.phase = HOLDERS;
        return SWEEP_DONE;
    }
    *wait_ms = INT64_C(1) << sweep->state.graces++;
    return SWEEP_WAIT;
}

static bool find_holders(struct sweep *sweep, int64_t until_us)
{
    const struct sweep_order *order = &sweep->order;
    const char *terminal = order->terminal[0] != '\0' ? order->terminal : NULL;
    if ((order->pipe_count > 0 || terminal != NULL) && (sweep->state.looks == 0 || order->spares) &&
        !family_find_holders(sweep->family, order->pipes, order->pipe_count, terminal,
                             &sweep->result.holders, until_us))
        return false;
    sweep->state.phase = COUNT;
    return true;
}

static bool count_living(struct sweep *sweep, int64_t until_us)
{
    if (sweep->order.leader_ended && !family_look(sweep->family, true, until_us))
        return false;
    sweep->state.phase = SIGNAL;
    return true;
}

/* Signals only after all were found: when a parent dies, its children get another parent and may
 * not be recognized any more. The process group is first, so that a shell does not go on to its
 * next command because the current one was killed. */
static bool signal_all(struct sweep *sweep, int64_t until_us)
{
    const struct sweep_order *order = &sweep->order;
    while (sweep->state.signal < SWEEP_SIGNALS && order->signals[sweep->state.signal] != 0) {
        int number = order->signals[sweep->state.signal];
        if (!sweep->state.group_signalled && !order->spares) {
            sweep->state.group_signalled = true;
            if (number == SIGKILL && order->cgroup != NULL)
                (void)cgroup_kill(order->cgroups, order->cgroup);
            signal_group(sweep, number);
        }
        if (sweep->family != NULL && !family_signal(sweep->family, number, until_us))
            return false;
        sweep->state.group_signalled = false;
        sweep->state.signal++;
    }
    sweep->state.phase = LEFT;
    return true;
}

/* Without memory there is no list, which means that the spared processes are not known. */
static enum sweep_progress end_look(struct sweep *sweep)
{
    struct sweep_result *result = &sweep->result;
    if (sweep->order.spares && sweep->order.until_none && sweep->family != NULL)
        (void)family_list(sweep->family, &result->spared, &result->spared_count);
    return SWEEP_DONE;
}

/* Removes the cgroup. If that fails, it still has processes, perhaps some that are not found in
 * another way. */
static void leave_cgroup(struct sweep *sweep)
{
    const struct sweep_order *order = &sweep->order;
    if (!sweep->result.cgroup_left)
        return;
    cgroup_read_events(order->cgroups, order->cgroup, &sweep->result.events);
    sweep->result.cgroup_left = !cgroup_remove(order->cgroups, order->cgroup);
}

/* Whether no further look is needed. Processes that were found may have started others since;
 * spared ones can do so forever, so their number of looks is limited. */
static bool is_settled(const struct sweep *sweep)
{
    if (sweep->order.spares)
        return sweep->state.found == 0 || sweep->state.looks >= SPARED_LOOKS_MAX;
    return sweep->state.found == 0 && !sweep->result.cgroup_left;
}

static enum sweep_progress look_what_is_left(struct sweep *sweep, int64_t *wait_ms)
{
    struct sweep_result *result = &sweep->result;
    if (sweep->family != NULL) {
        result->left = family_living(sweep->family, &result->denied);
        family_describe(sweep->family, &result->found);
    }
    if (!sweep->order.until_none)
        return SWEEP_DONE;
    leave_cgroup(sweep);
    if (result->left == 0 && is_settled(sweep))
        return end_look(sweep);
    bool fewer =
        sweep->state.looks == 0 || sweep->state.found > 0 || result->left < sweep->state.before;
    sweep->state.stalled = fewer ? 0 : sweep->state.stalled + 1;
    sweep->state.before = result->left;
    if (sweep->state.stalled >= STALLED_MAX || clock_now_ms() >= sweep->state.give_up_ms)
        return end_look(sweep);
    *wait_ms = sweep->state.looks < WAIT_DOUBLINGS ? INT64_C(1) << sweep->state.looks : WAIT_MAX_MS;
    sweep->state.looks++;
    sweep->state.phase = BEGIN;
    return SWEEP_WAIT;
}

enum sweep_progress sweep_step(struct sweep *sweep, int64_t until_us, int64_t *wait_ms)
{
    enum sweep_progress progress = SWEEP_DONE;
    while (progress == SWEEP_DONE) {
        switch ((enum phase)sweep->state.phase) {
        case BEGIN:
            begin_look(sweep);
            break;
        case ROOTS:
            propose_roots(sweep);
            break;
        case ORPHANS:
            progress = find_orphans(sweep, until_us, wait_ms);
            break;
        case WALK:
            progress = walk(sweep, until_us) ? SWEEP_DONE : SWEEP_MORE;
            break;
        case GRACE:
            progress = grant_grace(sweep, until_us, wait_ms);
            break;
        case COUNT:
            progress = count_living(sweep, until_us) ? SWEEP_DONE : SWEEP_MORE;
            break;
        case HOLDERS:
            progress = find_holders(sweep, until_us) ? SWEEP_DONE : SWEEP_MORE;
            break;
        case SIGNAL:
            progress = signal_all(sweep, until_us) ? SWEEP_DONE : SWEEP_MORE;
            break;
        case LEFT:
            return look_what_is_left(sweep, wait_ms);
        }
    }
    return progress;
}
