/* All of a job's processes: signals, and the certainty that none is left. */
#include "server/job_internal.h"

#include <signal.h>

#include "base/clock.h"
#include "exec/orphans.h"

/* 1, 2, 4, … ms between the looks: a killed process is gone after the first or second; one in a
 * disk wait is not waited for beyond a second in all. */
enum { SWEEPS_MAX = 10 };

static size_t signal_orphans(const struct job *job, int number)
{
    const struct family_mark mark = {.session = job->process.pid, .variable = job->variable};
    return orphans_signal(job->worker->shared->orphans, &mark, number);
}

bool job_signal_all(const struct job *job, int number)
{
    bool reached = process_signal_tree(job->process.pid, number);
    if (job->has_cgroup && number == SIGKILL)
        reached = cgroup_kill(job->cgroups, job->entry.id) || reached;
    (void)signal_orphans(job, number);
    return reached;
}

/* Whoever has hidden from all else is still in the job's cgroup. 1: somebody was. */
static size_t leave_cgroup(struct job *job)
{
    if (!job->has_cgroup)
        return 0;
    (void)cgroup_kill(job->cgroups, job->entry.id);
    job->has_cgroup = !cgroup_remove(job->cgroups, job->entry.id);
    return job->has_cgroup;
}

bool job_sweep(struct job *job)
{
    (void)process_signal_group(job->process.pid, SIGKILL);
    size_t left = signal_orphans(job, SIGKILL) + leave_cgroup(job);
    if (left == 0)
        return true;
    if (job->sweeps == SWEEPS_MAX) {
        log_write(job->worker->shared->log, LOG_LEVEL_WARN,
                  "%s: job %s: %zu of its processes have been killed but do not end", job->label,
                  job->entry.id, left);
        return true;
    }
    job->sweep_at_ms = clock_now_ms() + (1 << job->sweeps);
    job->sweeps++;
    return false;
}
