#include "server/protocol/errand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/kept.h"
#include "server/protocol/native_internal.h"

enum { REPLY_BYTES = 1 << 16 };

struct errand {
    struct list link;      /* in native->errands */
    struct native *native; /* NULL: the conversation has ended */
    struct worker *worker;
    struct task task;
    enum message_type type;
    uint64_t id;
    char job[MESSAGE_JOB_ID_BYTES]; /* for MESSAGE_JOBS: list those after it */
    char name[AFAR_SIGNAL_NAME_BYTES];
    char owner[IDENTITY_OWNER_BYTES];
    bool anybodys;
    bool all;
    struct buffer reply;
    enum afar_status status;
    struct afar_error error;
};

static void destroy(struct errand *errand)
{
    list_remove(&errand->link);
    buffer_close(&errand->reply);
    free(errand);
}

static void list_jobs(struct errand *errand, struct kept *kept)
{
    struct message_job *jobs = calloc(MESSAGE_JOBS_MAX, sizeof *jobs);
    bool more = false;
    size_t put = 0;
    if (jobs == NULL) {
        errand->status = afar_fail(&errand->error, AFAR_ENOMEM, "out of memory for a list");
        return;
    }
    size_t count = kept_list(kept, errand->anybodys ? NULL : errand->owner, errand->job,
                             errand->all, jobs, MESSAGE_JOBS_MAX, &more);
    errand->status = message_put_jobs_answer(&errand->reply, errand->id, jobs, count, more, &put,
                                             &errand->error);
    free(jobs);
}

static void work(struct task *task)
{
    struct errand *errand = list_object(task, struct errand, task);
    struct kept *kept = errand->worker->shared->kept;
    if (errand->type == MESSAGE_JOBS) {
        list_jobs(errand, kept);
        return;
    }
    errand->status = errand->type == MESSAGE_KILL
                         ? kept_kill(kept, errand->job, errand->name, &errand->error)
                         : kept_forget(kept, errand->job, &errand->error);
    if (errand->status == AFAR_OK)
        errand->status = message_put_done(&errand->reply, errand->id, &errand->error);
}

static enum refusal_code code_of(enum afar_status status)
{
    if (status == AFAR_EINVAL)
        return REFUSAL_NOT_FOUND;
    return status == AFAR_EAGAIN ? REFUSAL_RUNNING : REFUSAL_INTERNAL;
}

static void done(struct mail *mail)
{
    struct errand *errand = list_object(mail, struct errand, task.done);
    struct native *native = errand->native;
    if (native != NULL) {
        native->errand_count--;
        if (errand->status == AFAR_OK) {
            native_check_queued(native,
                                buffer_append(&native->connection->out, buffer_head(&errand->reply),
                                              buffer_size(&errand->reply), NULL));
        } else {
            const struct message request = {.type = errand->type, .has_id = true, .id = errand->id};
            native_refuse(native, &request, code_of(errand->status), errand->error.message);
        }
    }
    destroy(errand);
}

void errand_run(struct native *native, const struct message *message, const char *owner,
                const char *job)
{
    struct errand *errand = native->errand_count < ERRANDS_MAX ? calloc(1, sizeof *errand) : NULL;
    if (errand == NULL) {
        native_refuse(native, message, REFUSAL_BUSY, "too many requests are under way");
        return;
    }
    errand->native = native;
    errand->worker = native->connection->worker;
    errand->type = message->type;
    errand->id = message->id;
    (void)snprintf(errand->job, sizeof errand->job, "%s", job);
    (void)snprintf(errand->name, sizeof errand->name, "%s", message->name);
    errand->anybodys = owner == NULL;
    if (owner != NULL)
        (void)snprintf(errand->owner, sizeof errand->owner, "%s", owner);
    errand->all = message->all;
    buffer_init(&errand->reply, REPLY_BYTES);
    list_append(&native->errands, &errand->link);
    native->errand_count++;
    errand->task.work = work;
    errand->task.done.deliver = done;
    companion_post(errand->worker->host.companion, &errand->task);
}

void errands_abandon(struct native *native)
{
    while (!list_empty(&native->errands)) {
        struct errand *errand = list_object(native->errands.next, struct errand, link);
        errand->native = NULL;
        list_remove(&errand->link);
    }
}
