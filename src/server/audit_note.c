#include "server/audit_note.h"

#include <stdlib.h>

/* Holds the whole line, as the client may be gone when it is written. */
struct note {
    struct task task;
    struct worker *worker;
    const char *event;
    struct buffer body;
};

static void note_free(struct note *note)
{
    buffer_close(&note->body);
    free(note);
}

void audit_note_lost(struct server_shared *shared, const char *event, const char *why)
{
    counters_count(&shared->counters, COUNTER_AUDIT_LOST);
    if (summary_count(shared->summary, SUMMARY_AUDIT_LOST, ""))
        log_write(shared->log, LOG_LEVEL_ERROR, "audit: a line (%s) is lost: %s", event, why);
    audit_lost(shared->audit);
}

/* In the companion. */
static void write_note(struct task *task)
{
    struct note *note = list_object(task, struct note, task);
    struct afar_error err;
    /* Not synced to disk: no request waits for it, and unauthenticated peers may cause many. */
    if (audit_write_body(note->worker->shared->audit, &note->body, true, &err) != AFAR_OK)
        audit_note_lost(note->worker->shared, note->event, err.message);
}

static void written(struct mail *mail)
{
    struct note *note = list_object(mail, struct note, task.done);
    struct worker *worker = note->worker;
    worker->audit_note_bytes -= buffer_size(&note->body);
    note_free(note);
    worker->audit_notes--;
    worker_check_ended(worker);
}

/* ---- noting ---------------------------------------------------------------------------------- */

void audit_note(struct worker *worker, const struct audit_record *record)
{
    if (worker->shared->audit == NULL)
        return;
    if (worker->audit_notes >= AUDIT_NOTES_MAX || worker->audit_note_bytes >= AUDIT_NOTES_BYTES) {
        audit_note_lost(worker->shared, record->event, "the disk is too slow for them");
        return;
    }
    struct note *note = calloc(1, sizeof *note);
    if (note != NULL)
        buffer_init(&note->body, AUDIT_LINE_BYTES);
    if (note == NULL || audit_render(&note->body, record, NULL) != AFAR_OK) {
        if (note != NULL)
            note_free(note);
        audit_note_lost(worker->shared, record->event, "out of memory");
        return;
    }
    note->worker = worker;
    note->event = record->event;
    note->task.work = write_note;
    note->task.done.deliver = written;
    worker->audit_notes++;
    worker->audit_note_bytes += buffer_size(&note->body);
    companion_post(worker->host.companion, &note->task);
}

void audit_note_refused(struct connection *connection, const char *event, const char *reason,
                        const struct exec_request *request)
{
    static char shell_option[] = "-c";
    static char shell[] = "/bin/sh";
    struct audit_record record = {.event = event,
                                  .connection = connection->number,
                                  .identity = connection->identity,
                                  .owner = connection->owner,
                                  .names = connection->who != NULL ? connection->who->names : NULL,
                                  .address = connection->peer,
                                  .reason = reason};
    char *line[] = {shell, shell_option, NULL, NULL};
    if (request != NULL) {
        line[2] = request->shell;
        record.subsystem = request->subsystem;
        record.forward = request->forward;
        if (request->subsystem == NULL && request->forward == NULL)
            record.argv = request->argv != NULL ? request->argv : line;
        record.env = request->env;
        record.cwd = request->cwd;
        record.user = request->user;
    }
    audit_note(connection->worker, &record);
}
