#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "client/client.h"
#include "client/sized.h"

static enum afar_status check_idle(const struct afar_client *client, struct afar_error *err)
{
    enum afar_status status = client_check(client, PROTOCOL_AFAR, err);
    if (status == AFAR_OK && client->command.running)
        status = afar_fail(err, AFAR_EINVAL, "a command is running on this connection");
    return status;
}

/* Drives the connection until the request with id last_id is answered. A late answer to an earlier
 * request is ignored. */
static enum afar_status await_answer(struct afar_client *client, enum message_type expected,
                                     int64_t deadline_ms, struct afar_error *err)
{
    struct control *control = &client->control;
    *control =
        (struct control){.id = client->last_id, .on_job = control->on_job, .user = control->user};
    enum afar_status status = AFAR_OK;
    while (status == AFAR_OK) {
        status = afar_process(client, err);
        if (status != AFAR_OK || control->answered)
            break;
        status = client_wait_ready(client, afar_events(client), deadline_ms, err);
        if (status == AFAR_ETIMEDOUT && !client->met)
            (void)afar_fail(err, status, "no answer in time; %s", client_doubt(client));
        if (status != AFAR_OK)
            (void)afar_prefix(err, "%s", client->name);
    }
    control->id = 0;
    /* The answer counts even if the connection ended right after it. */
    if (!control->answered)
        return status;
    if (control->answer == expected)
        return AFAR_OK;
    if (control->answer != MESSAGE_ERROR)
        return afar_fail(err, AFAR_EPEER, "%s answered with a message of the wrong kind",
                         client->name);
    *err = control->refusal;
    return AFAR_EREFUSED;
}

static enum afar_status ping(struct afar_client *client, int64_t timeout_ms, struct afar_pong *pong,
                             struct afar_error *err)
{
    struct afar_pong answer = AFAR_PONG_INIT();
    enum afar_status status = sized_clear(pong, "afar_pong", err);
    if (status == AFAR_OK)
        status = check_idle(client, err);
    if (status != AFAR_OK)
        return status;
    int64_t start_us = clock_now_us();
    client->last_id++;
    status = message_put_ping(&client->out, client->last_id, err);
    if (status == AFAR_OK)
        status = await_answer(client, MESSAGE_PONG, clock_deadline_ms(timeout_ms), err);
    if (status != AFAR_OK)
        return status;
    answer.round_trip_us = (uint64_t)(clock_now_us() - start_us);
    (void)snprintf(answer.server_version, sizeof answer.server_version, "%s",
                   client->control.version);
    sized_give(pong, &answer, sizeof answer);
    return AFAR_OK;
}

enum afar_status afar_ping(struct afar_client *client, int64_t timeout_ms, struct afar_pong *pong,
                           struct afar_error *err)
{
    struct afar_error why = {0};
    return client_tell(ping(client, timeout_ms, pong, &why), &why, err);
}

const char *afar_features(const struct afar_client *client)
{
    return client != NULL ? client->features : "";
}

bool afar_offers(const struct afar_client *client, const char *feature)
{
    if (feature == NULL)
        return false;
    const size_t length = strlen(feature);
    for (const char *at = afar_features(client); at[0] != '\0'; at += strspn(at, " ")) {
        const size_t word = strcspn(at, " ");
        if (word == length && memcmp(at, feature, length) == 0)
            return true;
        at += word;
    }
    return false;
}

enum afar_status afar_kill(struct afar_client *client, const char *job, const char *name,
                           int64_t timeout_ms, struct afar_error *err)
{
    struct afar_error why = {0};
    enum afar_status status = check_idle(client, &why);
    if (status == AFAR_OK && (job == NULL || name == NULL))
        status = afar_fail(&why, AFAR_EINVAL, "there is no %s: it is NULL",
                           job == NULL ? "job" : "signal's name");
    if (status != AFAR_OK)
        return client_tell(status, &why, err);
    client->last_id++;
    status = message_put_kill(&client->out, client->last_id, job, name, &why);
    if (status == AFAR_OK)
        status = await_answer(client, MESSAGE_DONE, clock_deadline_ms(timeout_ms), &why);
    return client_tell(status, &why, err);
}

/* ---- kept jobs ------------------------------------------------------------------------------- */

static void give_job(const struct control *control, const struct message_job *entry)
{
    struct afar_job job =
        AFAR_JOB_INIT(.age_ms = entry->age_ms, .ended_ms = entry->ended_ms,
                      .stdout_bytes = entry->bytes[0], .stderr_bytes = entry->bytes[1],
                      .kept = entry->kept, .attached = entry->attached,
                      .has_outcome = entry->has_outcome, .outcome = entry->outcome,
                      .code = entry->code, .pty = entry->pty);
    (void)snprintf(job.job, sizeof job.job, "%s", entry->job);
    (void)snprintf(job.state, sizeof job.state, "%s", message_job_state_name(entry->state));
    (void)snprintf(job.key, sizeof job.key, "%s", entry->key);
    (void)snprintf(job.owner, sizeof job.owner, "%s", entry->owner);
    (void)snprintf(job.command, sizeof job.command, "%s", entry->command);
    (void)snprintf(job.signal, sizeof job.signal, "%s", entry->signal);
    control->on_job(control->user, &job);
}

void control_take_jobs(struct afar_client *client, const struct message *message)
{
    struct control *control = &client->control;
    if (control->id == 0 || message->id != control->id || control->on_job == NULL)
        return;
    for (size_t i = 0; i < message->jobs->count; i++) {
        give_job(control, &message->jobs->job[i]);
        memcpy(control->last_job, message->jobs->job[i].job, sizeof control->last_job);
    }
    control->more = message->jobs->more && message->jobs->count > 0;
}

static enum afar_status list_jobs(struct afar_client *client, bool all, int64_t deadline_ms,
                                  struct afar_error *err)
{
    char after[MESSAGE_JOB_ID_BYTES] = "";
    enum afar_status status = check_idle(client, err);
    bool more = true;
    while (status == AFAR_OK && more) {
        client->last_id++;
        status = message_put_jobs(&client->out, client->last_id, after[0] != '\0' ? after : NULL,
                                  all, err);
        if (status == AFAR_OK)
            status = await_answer(client, MESSAGE_JOBS, deadline_ms, err);
        /* Each answer must begin after the one before, or this loop might never end. */
        more = client->control.more && strcmp(client->control.last_job, after) > 0;
        memcpy(after, client->control.last_job, sizeof after);
    }
    return status;
}

enum afar_status afar_jobs(struct afar_client *client, bool all,
                           void (*on_job)(void *user, const struct afar_job *job), void *user,
                           int64_t timeout_ms, struct afar_error *err)
{
    struct afar_error why = {0};
    if (client == NULL)
        return client_check(client, PROTOCOL_AFAR, err);
    client->control.on_job = on_job;
    client->control.user = user;
    enum afar_status status = list_jobs(client, all, clock_deadline_ms(timeout_ms), &why);
    client->control.on_job = NULL;
    return client_tell(status, &why, err);
}

enum afar_status afar_forget(struct afar_client *client, const char *job, int64_t timeout_ms,
                             struct afar_error *err)
{
    struct afar_error why = {0};
    enum afar_status status = check_idle(client, &why);
    if (status == AFAR_OK && job == NULL)
        status = afar_fail(&why, AFAR_EINVAL, "there is no job: it is NULL");
    if (status != AFAR_OK)
        return client_tell(status, &why, err);
    client->last_id++;
    status = message_put_forget(&client->out, client->last_id, job, &why);
    if (status == AFAR_OK)
        status = await_answer(client, MESSAGE_DONE, clock_deadline_ms(timeout_ms), &why);
    return client_tell(status, &why, err);
}
