#include "server/audit_note.h"

#include <stdlib.h>
#include <string.h>

struct note {
    struct task task;
    struct worker *worker;
    struct audit_record record;
    struct afar_receipt receipt;
    struct words strings; /* what the record points to */
    struct words argv;
    struct words env;
};

static void note_free(struct note *note)
{
    words_close(&note->strings);
    words_close(&note->argv);
    words_close(&note->env);
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
    if (audit_write(note->worker->shared->audit, &note->record, &err) != AFAR_OK)
        audit_note_lost(note->worker->shared, note->record.event, err.message);
}

static void written(struct mail *mail)
{
    struct note *note = list_object(mail, struct note, task.done);
    struct worker *worker = note->worker;
    note_free(note);
    worker->audit_notes--;
    worker_check_ended(worker);
}

/* ---- copying ------------------------------------------------------------------------------------
 */

/* *string points to a copy from then on. */
static bool copy(struct note *note, const char **string)
{
    if (*string == NULL)
        return true;
    if (words_add(&note->strings, *string, strlen(*string), NULL) != AFAR_OK)
        return false;
    *string = note->strings.at[note->strings.count - 1];
    return true;
}

/* No more than can be written, as a client may send much of it. */
static bool copy_words(struct words *words, char *const **list)
{
    size_t left = AUDIT_ARGV_BYTES;
    if (*list == NULL)
        return true;
    for (char *const *word = *list; *word != NULL && left > 0; word++) {
        size_t size = strnlen(*word, left);
        if (words_add(words, *word, size, NULL) != AFAR_OK)
            return false;
        left -= size < left ? size + 1 : left;
    }
    *list = words->at;
    return true;
}

static bool fill(struct note *note, const struct audit_record *record)
{
    struct audit_record *own = &note->record;
    *own = *record;
    own->lazy = true; /* nobody waits for it, and strangers may cause many */
    if (record->receipt != NULL) {
        note->receipt = *record->receipt;
        own->receipt = &note->receipt;
    }
    return copy(note, &own->job) && copy(note, &own->identity) && copy(note, &own->address) &&
           copy(note, &own->rule) && copy(note, &own->reason) && copy(note, &own->cwd) &&
           copy(note, &own->user) && copy_words(&note->argv, &own->argv) &&
           copy_words(&note->env, &own->env);
}

/* ---- noting -------------------------------------------------------------------------------------
 */

void audit_note(struct worker *worker, const struct audit_record *record)
{
    if (worker->shared->audit == NULL)
        return;
    if (worker->audit_notes >= AUDIT_NOTES_MAX) {
        audit_note_lost(worker->shared, record->event, "the disk is too slow for them");
        return;
    }
    struct note *note = calloc(1, sizeof *note);
    if (note == NULL || !fill(note, record)) {
        if (note != NULL)
            note_free(note);
        audit_note_lost(worker->shared, record->event, "out of memory");
        return;
    }
    note->worker = worker;
    note->task.work = write_note;
    note->task.done.deliver = written;
    worker->audit_notes++;
    companion_post(worker->companion, &note->task);
}

void audit_note_refused(struct connection *connection, const char *event, const char *reason,
                        const struct exec_request *request)
{
    static char shell_option[] = "-c";
    static char shell[] = "/bin/sh";
    struct audit_record record = {.event = event,
                                  .connection = connection->number,
                                  .identity = connection->identity,
                                  .address = connection->peer,
                                  .reason = reason};
    char *line[] = {shell, shell_option, NULL, NULL};
    if (request != NULL) {
        line[2] = request->shell;
        record.argv = request->argv != NULL ? request->argv : line;
        record.env = request->env;
        record.cwd = request->cwd;
        record.user = request->user;
    }
    audit_note(connection->worker, &record);
}
