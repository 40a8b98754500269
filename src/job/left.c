/* What a command leaves running (`leave`), if its rule allows that. Processes that no longer hold
 * the command's output or terminal stay; the others are killed. This applies only if the command
 * has exited: if it was ended, all of its processes are ended. */
#include "job/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* For a process that keeps creating more processes than may stay. */
enum { ROUNDS_MAX = 8 };

bool job_may_leave(const struct job *job)
{
    return job->launch.leaves && !job->left.given_up && !job->stopping && !job->unwatched &&
           !job->streams.output_lost && process_has_exited(&job->process);
}

static size_t ask(struct job *job)
{
    struct job_left *left = &job->left;
    return job->place->ops->may_stay(job->place, &job->launch, left->members, left->count,
                                     &left->limit);
}

static void forget(struct job *job)
{
    free(job->left.members);
    job->left.members = NULL;
    job->left.count = 0;
}

void job_left_give_up(struct job *job)
{
    forget(job);
    job->left.given_up = true;
    (void)ask(job); /* resets the count: none of them stays */
}

enum job_settlement job_left_settle(struct job *job, struct sweep *sweep)
{
    struct job_left *left = &job->left;
    forget(job);
    left->members = sweep->result.spared;
    left->count = sweep->result.spared_count;
    sweep->result.spared = NULL;
    if (left->members == NULL || left->rounds >= ROUNDS_MAX) {
        job_left_give_up(job);
        return JOB_LEFT_NONE;
    }
    size_t stay = ask(job);
    if (stay == left->count)
        return JOB_LEFT_SETTLED;
    left->limited = true;
    left->rounds++;
    for (size_t i = stay; i < left->count; i++)
        sweep_condemn(sweep, &left->members[i]);
    return JOB_LEFT_AGAIN;
}

void job_left_describe(const struct job *job, struct afar_receipt *receipt)
{
    const struct job_left *left = &job->left;
    const struct rule *rule = job->launch.decision.rule;
    receipt->left.count = left->count;
    for (size_t i = 0; i < left->count && i < AFAR_PROCESSES_NAMED; i++) {
        receipt->left.first[i].pid = (uint64_t)left->members[i].pid;
        utf8_copy(receipt->left.first[i].name, sizeof receipt->left.first[i].name,
                  left->members[i].name);
    }
    receipt->leave_denied = job->launch.leave_denied;
    if (job->launch.leave_denied && receipt->ended.count > 0 && receipt->message[0] == '\0')
        (void)snprintf(receipt->message, sizeof receipt->message,
                       "its rule '%.64s' does not let it leave anything running (may = leave)",
                       rule != NULL && rule->name != NULL ? rule->name : "");
    if (left->limited && receipt->limit.name[0] == '\0') {
        (void)snprintf(receipt->limit.name, sizeof receipt->limit.name, "%s",
                       left->limit.which == COUNTER_LEFT_MAX ? "left_max" : "left_identity");
        receipt->limit.by = AFAR_BY_SERVER;
        receipt->limit.count = left->limit.most;
    }
}

void job_left_note(struct job *job)
{
    const struct job_left *left = &job->left;
    if (left->count > 0)
        job->place->ops->note_left(job->place, &job->launch, left->members, left->count);
}
