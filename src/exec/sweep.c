#include "exec/sweep.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "exec/proc.h"
#include "exec/process.h"

enum {
    ROUNDS_MAX = 8, /* for one that forks faster than it can be found */
    /* 1, 2, 4, … 64, 64, … ms between the looks whether any is left: a killed process is gone after
     * the first or second; one in a disk wait is not waited for beyond a second. */
    WAIT_DOUBLINGS = 6,
    WAIT_MAX_MS = 1 << WAIT_DOUBLINGS,
    STALLED_MAX = 20,
    SPARED_LOOKS_MAX = 6,
    UNKNOWN_WAIT_MS = 1,
    /* 1, 2, 4, 8 ms: many programs close their output first, whose end we have seen, and then end.
     * Not for crowds. */
    GRACES = 4,
    GRACE_CROWD = 64
};

/* One look: in this order; ROOTS to WALK again while somebody is found. */
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
    /* What was found while the leader lived is not what it has left behind. */
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

/* The name of the group is the leader's as long as that has not been reaped. */
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
    /* Without a family the group gets its signal, and the rest falls to who asks again. */
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

/* Before a KILL they are stopped until no new ones are found: they might fork while we look. What
 * the kernel kills as a whole need not be; what has got out of that is there at the second look. */
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

/* All were found before any is signalled: the children of a dead parent are handed to another and
 * no longer recognised. The group comes first, so that a shell does not go on to its next command
 * because the one before was ended. */
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

/* Where memory is short there is no list, which says that nobody knows who stays. */
static enum sweep_progress end_look(struct sweep *sweep)
{
    struct sweep_result *result = &sweep->result;
    if (sweep->order.spares && sweep->order.until_none && sweep->family != NULL)
        (void)family_list(sweep->family, &result->spared, &result->spared_count);
    return SWEEP_DONE;
}

/* A process that no other search finds is still in the job's cgroup. */
static void leave_cgroup(struct sweep *sweep)
{
    const struct sweep_order *order = &sweep->order;
    if (!sweep->result.cgroup_left)
        return;
    cgroup_read_events(order->cgroups, order->cgroup, &sweep->result.events);
    sweep->result.cgroup_left = !cgroup_remove(order->cgroups, order->cgroup);
}

/* Who was found may have started others since; what stays may do so for ever. */
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
