#include "simulate/runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "simulate/sim.h"

/* Shared by the processes, each of which writes its own. */
struct share {
    uint64_t seed; /* that is being run */
    uint64_t done;
    uint64_t failed; /* seed + 1; 0: none */
    char problem[400];
};

static void give_up(const char *what)
{
    perror(what);
    exit(2);
}

/* Every nth schedule, from `first` on, until one fails. */
static void run_share(const struct runner_options *options, unsigned number, struct share *shares)
{
    struct share *mine = &shares[number];
    for (uint64_t i = number; i < options->schedules; i += options->processes) {
        mine->seed = options->first + i;
        if (!world_run(mine->seed, false)) {
            memcpy(mine->problem, sim.problem, sizeof mine->problem);
            mine->failed = mine->seed + 1;
            return;
        }
        mine->done++;
        /* What would be found now is later than what has been found. */
        for (unsigned p = 0; p < options->processes; p++) {
            if (shares[p].failed != 0 && shares[p].failed <= mine->seed + 1)
                return;
        }
    }
}

static void wait_for(pid_t pid, struct share *share)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            give_up("waitpid");
    }
    if (status == 0 || share->failed != 0)
        return;
    share->failed = share->seed + 1;
    (void)snprintf(share->problem, sizeof share->problem,
                   WIFSIGNALED(status) ? "the process was ended by signal %d, as by an assertion"
                                       : "the process ended with wait status %d",
                   WIFSIGNALED(status) ? WTERMSIG(status) : status);
}

static void sum_up(const struct runner_options *options, const struct share *shares,
                   struct runner_result *result)
{
    *result = (struct runner_result){0};
    for (unsigned p = 0; p < options->processes; p++) {
        const struct share *share = &shares[p];
        result->done += share->done;
        if (share->failed == 0 || (result->failed && share->failed - 1 > result->seed))
            continue;
        result->failed = true;
        result->seed = share->failed - 1;
        memcpy(result->problem, share->problem, sizeof result->problem);
    }
}

void runner_run(const struct runner_options *options, struct runner_result *result)
{
    size_t size = options->processes * sizeof(struct share);
    pid_t pids[RUNNER_PROCESSES_MAX];
    struct share *shares =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shares == MAP_FAILED)
        give_up("mmap");
    fault_plant(options->fault);
    (void)fflush(NULL);
    for (unsigned p = 0; p < options->processes; p++) {
        pids[p] = fork();
        if (pids[p] < 0)
            give_up("fork");
        if (pids[p] == 0) {
            run_share(options, p, shares);
            _exit(0);
        }
    }
    for (unsigned p = 0; p < options->processes; p++)
        wait_for(pids[p], &shares[p]);
    sum_up(options, shares, result);
    (void)munmap(shares, size);
}

bool runner_trace(uint64_t seed, enum fault fault)
{
    fault_plant(fault);
    bool held = world_run(seed, true);
    printf("seed %llu: %s\n", (unsigned long long)seed, held ? "everything holds" : sim.problem);
    return held;
}
