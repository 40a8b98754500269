#include "wire/message_run.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "wire/features.h"
#include "wire/json_field.h"

static const char *const state_names[] = {
    [MESSAGE_JOB_QUEUED] = "queued",           [MESSAGE_JOB_STARTING] = "starting",
    [MESSAGE_JOB_RUNNING] = "running",         [MESSAGE_JOB_ENDED] = "ended",
    [MESSAGE_JOB_UNREACHABLE] = "unreachable", [MESSAGE_JOB_UNREADABLE] = "unreadable",
};

const char *message_job_state_name(enum message_job_state state)
{
    return state_names[state];
}

bool message_is_holder(const char *holder)
{
    size_t length = strnlen(holder, MESSAGE_HOLDER_BYTES);
    for (size_t i = 0; i < length; i++) {
        if (holder[i] <= ' ' || holder[i] > '~')
            return false;
    }
    return length >= MESSAGE_HOLDER_MIN_BYTES && length < MESSAGE_HOLDER_BYTES;
}

static bool has(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key) != NULL;
}

enum afar_status message_get_holder(const struct cJSON *object, bool required,
                                    char holder[MESSAGE_HOLDER_BYTES], struct afar_error *err)
{
    enum afar_status status =
        json_get_string(object, "holder", required, holder, MESSAGE_HOLDER_BYTES, err);
    if (status == AFAR_OK && has(object, "holder") && !message_is_holder(holder))
        status = afar_fail(err, AFAR_EPEER, "\"holder\" must be %d to %d visible characters",
                           MESSAGE_HOLDER_MIN_BYTES, MESSAGE_HOLDER_BYTES - 1);
    return status;
}

enum afar_status message_get_window_max(const struct cJSON *object, uint64_t *window_max,
                                        struct afar_error *err)
{
    *window_max = 0;
    enum afar_status status = json_get_integer(object, "window_max", false, window_max, err);
    if (status == AFAR_OK && has(object, "window_max") && *window_max < MESSAGE_WINDOW_MIN_BYTES)
        status = afar_fail(err, AFAR_EPEER, "\"window_max\" must be at least %d",
                           MESSAGE_WINDOW_MIN_BYTES);
    return status;
}

static enum afar_status get_state(const cJSON *object, enum message_job_state *state,
                                  struct afar_error *err)
{
    char word[MESSAGE_WORD_BYTES];
    enum afar_status status = json_get_string(object, "state", true, word, sizeof word, err);
    if (status != AFAR_OK)
        return status;
    for (size_t i = 0; i < sizeof state_names / sizeof state_names[0]; i++) {
        if (strcmp(word, state_names[i]) == 0) {
            *state = (enum message_job_state)i;
            return AFAR_OK;
        }
    }
    return afar_fail(err, AFAR_EPEER, "\"state\" is \"%s\", which is not known", word);
}

static enum afar_status get_streams(const cJSON *object, uint64_t bytes[2], struct afar_error *err)
{
    enum afar_status status = json_get_integer(object, "stdout", false, &bytes[STREAM_STDOUT], err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "stderr", false, &bytes[STREAM_STDERR], err);
    return status;
}

enum afar_status message_decode_started(struct message *message, const struct cJSON *object,
                                        struct afar_error *err)
{
    enum afar_status status =
        json_get_job(object, "job", true, message->job, sizeof message->job, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "window", true, &message->window, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "credit", false, &message->credit, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "resume_ms", false, &message->resume_ms, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "kept", &message->kept, err);
    if (status == AFAR_OK)
        status =
            json_get_string(object, "server", false, message->server, sizeof message->server, err);
    if (status == AFAR_OK)
        status = json_get_line(object, "tty", message->tty, sizeof message->tty, err);
    if (status == AFAR_OK)
        status = features_decode(object, message->text, sizeof message->text, err);
    return status;
}

/* Reads the object `key` with its fields "stdout" and "stderr". */
static enum afar_status get_bytes(const cJSON *object, const char *key, uint64_t bytes[2],
                                  struct afar_error *err)
{
    const cJSON *group = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsObject(group))
        return afar_fail(err, AFAR_EPEER, "\"%s\" must be an object", key);
    return get_streams(group, bytes, err);
}

/* Reads the fields that say from which frame on the client wants the output. */
static enum afar_status get_next(struct message_attach *attach, const cJSON *object,
                                 struct afar_error *err)
{
    attach->has_next = has(object, "next");
    if (attach->has_next != has(object, "ack"))
        return afar_fail(err, AFAR_EPEER, "\"next\" and \"ack\" go together");
    attach->has_next_bytes = has(object, "next_bytes");
    attach->has_since = has(object, "since_ms");
    if (attach->has_since && (attach->has_next || attach->resume))
        return afar_fail(err, AFAR_EPEER, "\"since_ms\" does not go with \"next\" and \"resume\"");
    if (attach->resume && !(attach->has_next && attach->has_next_bytes))
        return afar_fail(err, AFAR_EPEER, "\"resume\" needs \"next\", \"ack\" and \"next_bytes\"");
    enum afar_status status = json_get_integer(object, "next", false, &attach->next, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "ack", false, &attach->ack, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "since_ms", false, &attach->since_ms, err);
    if (status == AFAR_OK && attach->has_next_bytes && !attach->has_next)
        status = afar_fail(err, AFAR_EPEER, "\"next_bytes\" needs \"next\"");
    if (status == AFAR_OK && attach->has_next_bytes)
        status = get_bytes(object, "next_bytes", attach->next_bytes, err);
    if (status == AFAR_OK && attach->ack > attach->next)
        status = afar_fail(err, AFAR_EPEER, "\"ack\" is beyond \"next\"");
    return status;
}

static enum afar_status get_reading(struct message_attach *attach, const cJSON *object,
                                    struct afar_error *err)
{
    attach->output = attach->follow = true;
    enum afar_status status = json_get_bool(object, "watch", &attach->watch, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "output", &attach->output, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "follow", &attach->follow, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "times", &attach->times, err);
    if (status == AFAR_OK && attach->watch && attach->resume)
        status = afar_fail(err, AFAR_EPEER, "\"watch\" and \"resume\" exclude each other");
    if (status == AFAR_OK && !attach->watch &&
        !(attach->output && attach->follow && !attach->times))
        status =
            afar_fail(err, AFAR_EPEER, "\"output\", \"follow\" and \"times\" are for \"watch\"");
    return status;
}

/* Reads the terminal's size, if the message has one. */
static enum afar_status get_screen(const cJSON *object, bool *there, struct screen_size *screen,
                                   struct afar_error *err)
{
    const cJSON *pty = cJSON_GetObjectItemCaseSensitive(object, "pty");
    *there = pty != NULL;
    if (pty == NULL)
        return AFAR_OK;
    if (!cJSON_IsObject(pty))
        return afar_fail(err, AFAR_EPEER, "\"pty\" must be an object");
    return screen_size_decode(screen, pty, "pty.", false, err);
}

enum afar_status message_decode_attach(struct message *message, const struct cJSON *object,
                                       struct afar_error *err)
{
    struct message_attach *attach = &message->attach;
    *attach = (struct message_attach){0};
    enum afar_status status =
        json_get_string(object, "job", false, message->job, sizeof message->job, err);
    if (status == AFAR_OK)
        status = message_get_holder(object, true, attach->holder, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "attempt", true, &attach->attempt, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "resume", &attach->resume, err);
    if (status == AFAR_OK)
        status = get_next(attach, object, err);
    if (status == AFAR_OK)
        status = get_reading(attach, object, err);
    if (status == AFAR_OK)
        status = message_get_window_max(object, &attach->window_max, err);
    if (status == AFAR_OK)
        status = get_screen(object, &attach->has_pty, &attach->screen, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "tail", false, &attach->tail, err);
    if (status == AFAR_OK && attach->watch && attach->has_pty)
        status = afar_fail(err, AFAR_EPEER, "\"watch\" and \"pty\" exclude each other");
    return status;
}

/* Reads what brings a terminal up to date that has not seen the command's output. */
static enum afar_status get_modes(struct message_attached *attached, const cJSON *object,
                                  struct afar_error *err)
{
    attached->has_modes = has(object, "modes");
    enum afar_status status =
        json_get_string(object, "modes", false, attached->modes, sizeof attached->modes, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "replay", false, &attached->replay, err);
    return status;
}

enum afar_status message_decode_attached(struct message *message, const struct cJSON *object,
                                         struct afar_error *err)
{
    struct message_attached *attached = &message->attached;
    *attached = (struct message_attached){0};
    enum afar_status status = message_decode_started(message, object, err);
    if (status == AFAR_OK)
        status = get_state(object, &attached->state, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "first", true, &attached->first, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "end", true, &attached->end, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "stdin", false, &attached->stdin_received, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "taken", false, &attached->stdin_taken, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "stdin_eof", &attached->stdin_eof, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "window_max", false, &attached->window_max, err);
    if (status == AFAR_OK)
        status = get_bytes(object, "first_bytes", attached->first_bytes, err);
    if (status == AFAR_OK)
        status = get_screen(object, &attached->has_pty, &attached->screen, err);
    if (status == AFAR_OK)
        status = get_modes(attached, object, err);
    if (status == AFAR_OK &&
        (attached->first > attached->end || attached->stdin_taken > attached->stdin_received))
        status = afar_fail(err, AFAR_EPEER,
                           "\"first\" is beyond \"end\", or \"taken\" beyond "
                           "\"stdin\"");
    return status;
}

enum afar_status message_decode_cut(struct message *message, const struct cJSON *object,
                                    struct afar_error *err)
{
    message->cut = (struct message_cut){0};
    enum afar_status status = json_get_integer(object, "seq", true, &message->seq, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "next", true, &message->cut.next, err);
    if (status == AFAR_OK)
        status = get_streams(object, message->cut.lost, err);
    if (status == AFAR_OK && message->cut.next <= message->seq)
        status = afar_fail(err, AFAR_EPEER, "\"next\" must be beyond \"seq\"");
    return status;
}

/* Reads how the job ended, if it has ended. */
static enum afar_status get_outcome(struct message_job *job, const cJSON *object,
                                    struct afar_error *err)
{
    char word[MESSAGE_WORD_BYTES];
    uint64_t code = 0;
    job->has_outcome = has(object, "outcome");
    job->code = -1;
    enum afar_status status = json_get_string(object, "outcome", false, word, sizeof word, err);
    if (status == AFAR_OK && job->has_outcome && !message_outcome_parse(word, &job->outcome))
        status = afar_fail(err, AFAR_EPEER, "\"outcome\" is \"%s\", which is not known", word);
    if (status == AFAR_OK)
        status = json_get_integer(object, "code", false, &code, err);
    if (status == AFAR_OK && code > 255)
        status = afar_fail(err, AFAR_EPEER, "\"code\" must be 0 to 255");
    if (status == AFAR_OK && has(object, "code"))
        job->code = (int)code;
    if (status == AFAR_OK)
        status = json_get_string(object, "signal", false, job->signal, sizeof job->signal, err);
    if (status == AFAR_OK && job->code >= 0 && job->signal[0] != '\0')
        status = afar_fail(err, AFAR_EPEER, "\"code\" and \"signal\" exclude each other");
    return status;
}

static enum afar_status decode_job(struct message_job *job, const cJSON *object,
                                   struct afar_error *err)
{
    if (!cJSON_IsObject(object))
        return afar_fail(err, AFAR_EPEER, "an entry of \"jobs\" must be an object");
    *job = (struct message_job){0};
    enum afar_status status = json_get_job(object, "job", true, job->job, sizeof job->job, err);
    if (status == AFAR_OK)
        status = get_state(object, &job->state, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "kept", &job->kept, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "attached", &job->attached, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "pty", &job->pty, err);
    if (status == AFAR_OK)
        status = json_get_string(object, "key", false, job->key, sizeof job->key, err);
    if (status == AFAR_OK)
        status = json_get_line(object, "owner", job->owner, sizeof job->owner, err);
    if (status == AFAR_OK)
        status = json_get_line(object, "command", job->command, sizeof job->command, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "age_ms", false, &job->age_ms, err);
    if (status == AFAR_OK)
        status = json_get_integer(object, "ended_ms", false, &job->ended_ms, err);
    if (status == AFAR_OK)
        status = get_streams(object, job->bytes, err);
    if (status == AFAR_OK)
        status = get_outcome(job, object, err);
    return status;
}

static enum afar_status decode_answer(struct message *message, const cJSON *object,
                                      const cJSON *array, struct afar_error *err)
{
    if (!cJSON_IsArray(array))
        return afar_fail(err, AFAR_EPEER, "\"jobs\" must be an array");
    size_t count = (size_t)cJSON_GetArraySize(array);
    if (count > MESSAGE_JOBS_MAX)
        return afar_fail(err, AFAR_EPEER, "\"jobs\" has %zu entries, %d at most are allowed", count,
                         MESSAGE_JOBS_MAX);
    struct message_jobs *jobs = malloc(sizeof *jobs + count * sizeof jobs->job[0]);
    if (jobs == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a list of jobs");
    message->jobs = jobs;
    jobs->more = false;
    jobs->count = 0;
    enum afar_status status = json_get_bool(object, "more", &jobs->more, err);
    for (const cJSON *item = array->child; item != NULL && status == AFAR_OK; item = item->next)
        status = decode_job(&jobs->job[jobs->count++], item, err);
    return status;
}

enum afar_status message_decode_jobs(struct message *message, const struct cJSON *object,
                                     struct afar_error *err)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, "jobs");
    if (array != NULL)
        return decode_answer(message, object, array, err);
    enum afar_status status =
        json_get_string(object, "after", false, message->job, sizeof message->job, err);
    if (status == AFAR_OK)
        status = json_get_bool(object, "all", &message->all, err);
    return status;
}
