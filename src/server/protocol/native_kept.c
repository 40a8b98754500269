/* A request for a command to be kept. */
#include "server/protocol/native_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "policy/decide.h"

/* How much of its last output is shown to a client that opens it again by its name. */
enum { SCREEN_BACK_BYTES = 65536 };

/* Fills in what the folder of a kept command says about it, and the hash that requests of its name
 * are compared by. */
static enum afar_status describe_kept(const struct native *native,
                                      const struct exec_request *request,
                                      struct jobdir_request *kept, struct afar_error *err)
{
    const struct connection *connection = native->connection;
    const struct config *config = connection->worker->config;
    const char *word = request->argv != NULL ? request->argv[0] : request->shell;
    if (word == NULL)
        word = "(login)";
    *kept = (struct jobdir_request){.created_us = jobdir_now_us(),
                                    .window_bytes = config->output_log_bytes,
                                    .resume_ms = config->resume_ms,
                                    .spool_bytes = config->spool_bytes,
                                    .when_full = request->when_full,
                                    .digest = request->digest,
                                    .pty = request->pty != NULL};
    utf8_copy(kept->owner, sizeof kept->owner, connection->owner);
    utf8_copy(kept->identity, sizeof kept->identity, connection->identity);
    utf8_copy(kept->holder, sizeof kept->holder, request->holder);
    if (request->key != NULL)
        (void)snprintf(kept->key, sizeof kept->key, "%s", request->key);
    utf8_copy(kept->command, sizeof kept->command, word);
    for (size_t i = 1; request->argv != NULL && request->argv[i] != NULL; i++) {
        size_t used = strlen(kept->command);
        if (used + 2 >= sizeof kept->command)
            break;
        kept->command[used] = ' ';
        utf8_copy(kept->command + used + 1, sizeof kept->command - used - 1, request->argv[i]);
    }
    return kept_describe(connection->worker->shared->kept, request, kept->asked, err);
}

bool native_claim_kept(struct native *native, const struct message *message,
                       const struct policy_client *client, struct kept_entry **entry)
{
    struct connection *connection = native->connection;
    struct server_shared *shared = connection->worker->shared;
    const struct exec_request *request = message->exec;
    struct jobdir_request kept;
    struct afar_error err;
    const char *limit = NULL;
    char doubt[MESSAGE_JOB_ID_BYTES] = "";
    char text[MESSAGE_TEXT_BYTES];
    if (!policy_may(connection->worker->config->rules, client, POLICY_KEEP)) {
        counters_count(&shared->counters, COUNTER_DENIED);
        audit_note_refused(connection, "denied", "no rule lets this client keep commands",
                           message->exec);
        native_refuse(native, message, REFUSAL_DENIED, "no rule lets this client keep commands");
        return false;
    }
    if (describe_kept(native, request, &kept, &err) != AFAR_OK) {
        native_refuse(native, message, REFUSAL_INTERNAL, err.message);
        return false;
    }
    switch (kept_claim(shared->kept, &kept, entry, &limit, doubt)) {
    case KEPT_FRESH:
        return true;
    case KEPT_OTHER:
        native_refuse(native, message, REFUSAL_CONFLICT,
                      "its key was used for another command: the words, environment, directory and "
                      "user count, and whether it reads input or has a terminal");
        return false;
    case KEPT_DOUBT:
        (void)snprintf(
            text, sizeof text,
            "nothing is begun by a key now: that of job %s cannot be read and may be the "
            "same; its folder, jobs/%s in the state_directory, must be mended or removed",
            doubt, doubt);
        native_refuse(native, message, REFUSAL_INTERNAL, text);
        return false;
    case KEPT_FULL:
        (void)snprintf(
            text, sizeof text,
            "too many commands are kept (%s), those that have ended included: see 'afar rm'",
            limit);
        native_refuse(native, message, REFUSAL_BUSY, text);
        return false;
    case KEPT_KNOWN:
        break;
    }
    struct message_attach attach = {
        .output = true, .follow = true, .window_max = request->window_max};
    memcpy(attach.holder, request->holder, sizeof attach.holder);
    if (request->pty != NULL) {
        attach.has_pty = true;
        attach.screen = request->pty->size;
        attach.tail = SCREEN_BACK_BYTES;
    }
    native_attach_kept(native, message->id, "", kept.key, &attach);
    return false;
}

void native_follow_kept(struct native *native, struct run *run)
{
    struct message_attach attach = {
        .output = true, .follow = true, .window_max = run->host.window_max};
    char job[MESSAGE_JOB_ID_BYTES];
    const uint64_t id = run->host.id;
    const bool leaves = run->detaching;
    struct connection *connection = native->connection;
    memcpy(attach.holder, run->host.holder, sizeof attach.holder);
    memcpy(job, run->kept_job, sizeof job);
    native_end_request(native);
    if (leaves)
        kept_leave(native->connection->worker->shared->kept, job, attach.holder);
    if (leaves)
        native_check_queued(native, message_put_detached(&native->connection->out, id, NULL));
    else
        native_attach_kept(native, id, job, "", &attach);
    if (connection->worker->draining) /* it began meanwhile, and has passed over this */
        connection_drain(connection);
}
