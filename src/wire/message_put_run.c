/* The encoding half of message.h, for runs that outlive their connection. */
#include "wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/utf8.h"
#include "wire/features.h"
#include "wire/json_field.h"
#include "wire/put.h"

enum { FACTS_BYTES = 304 + FEATURES_BYTES }; /* what follows "window" in `started` */

/* Writes ,"credit":…,"features":[…],"resume_ms":…,"kept":true,"tty":"…","server":"…", of these what
 * is known. */
static void write_facts(char text[FACTS_BYTES], const struct message_started *started)
{
    size_t used = 0;
    text[0] = '\0';
    if (started->credit > 0)
        used += (size_t)snprintf(text + used, FACTS_BYTES - used, ",\"credit\":%" PRIu64,
                                 started->credit);
    if (started->features != 0) {
        char words[FEATURES_BYTES];
        features_write(words, started->features);
        used += (size_t)snprintf(text + used, FACTS_BYTES - used, ",\"features\":%s", words);
    }
    if (started->resume_ms > 0)
        used += (size_t)snprintf(text + used, FACTS_BYTES - used, ",\"resume_ms\":%" PRIu64,
                                 started->resume_ms);
    if (started->kept)
        used += (size_t)snprintf(text + used, FACTS_BYTES - used, ",\"kept\":true");
    if (started->tty != NULL)
        used += (size_t)snprintf(text + used, FACTS_BYTES - used, ",\"tty\":\"%.*s\"",
                                 MESSAGE_TTY_BYTES - 1, started->tty);
    if (started->server != NULL)
        (void)snprintf(text + used, FACTS_BYTES - used, ",\"server\":\"%.*s\"",
                       MESSAGE_SERVER_BYTES - 1, started->server);
}

enum afar_status message_put_started(struct buffer *out, uint64_t id,
                                     const struct message_started *started, struct afar_error *err)
{
    char facts[FACTS_BYTES];
    write_facts(facts, started);
    return put_plain(out, NULL, 0, err,
                     "{\"type\":\"started\",\"id\":%" PRIu64 ",\"job\":\"%s\",\"window\":%" PRIu64
                     "%s}",
                     id, started->job, started->window, facts);
}

static bool add_streams(cJSON *object, const uint64_t bytes[2])
{
    return json_add_integer(object, "stdout", bytes[STREAM_STDOUT]) &&
           json_add_integer(object, "stderr", bytes[STREAM_STDERR]);
}

static bool add_bytes(cJSON *object, const char *key, const uint64_t bytes[2])
{
    cJSON *group = cJSON_AddObjectToObject(object, key);
    return group != NULL && add_streams(group, bytes);
}

static bool add_screen(cJSON *object, const struct screen_size *screen)
{
    cJSON *pty = cJSON_AddObjectToObject(object, "pty");
    return pty != NULL && json_add_positive(pty, "rows", screen->rows) &&
           json_add_positive(pty, "cols", screen->cols) &&
           json_add_positive(pty, "xpixel", screen->xpixel) &&
           json_add_positive(pty, "ypixel", screen->ypixel);
}

/* Adds the fields of `attached` that are about a terminal. */
static bool add_terminal(cJSON *object, const struct message_started *started,
                         const struct message_attached *attached)
{
    bool ok = true;
    if (started->tty != NULL)
        ok = cJSON_AddStringToObject(object, "tty", started->tty) != NULL;
    if (attached->has_pty)
        ok = ok && add_screen(object, &attached->screen);
    if (attached->has_modes)
        ok = ok && json_add_integer(object, "replay", attached->replay) &&
             cJSON_AddStringToObject(object, "modes", attached->modes) != NULL;
    return ok;
}

enum afar_status message_put_attached(struct buffer *out, uint64_t id,
                                      const struct message_started *started,
                                      const struct message_attached *attached,
                                      struct afar_error *err)
{
    cJSON *object = put_new_object("attached", true, id);
    bool ok =
        object != NULL && cJSON_AddStringToObject(object, "job", started->job) != NULL &&
        cJSON_AddStringToObject(object, "state", message_job_state_name(attached->state)) != NULL &&
        json_add_integer(object, "window", started->window) &&
        json_add_positive(object, "window_max", attached->window_max) &&
        json_add_positive(object, "credit", started->credit) &&
        json_add_positive(object, "resume_ms", started->resume_ms) &&
        json_add_integer(object, "first", attached->first) &&
        json_add_integer(object, "end", attached->end);
    ok = ok && add_bytes(object, "first_bytes", attached->first_bytes) &&
         json_add_integer(object, "stdin", attached->stdin_received) &&
         json_add_integer(object, "taken", attached->stdin_taken);
    if (attached->stdin_eof)
        ok = ok && cJSON_AddTrueToObject(object, "stdin_eof");
    if (started->kept)
        ok = ok && cJSON_AddTrueToObject(object, "kept");
    ok = ok && add_terminal(object, started, attached);
    if (started->server != NULL)
        ok = ok && cJSON_AddStringToObject(object, "server", started->server);
    if (started->features != 0) {
        char words[FEATURES_BYTES];
        features_write(words, started->features);
        ok = ok && cJSON_AddRawToObject(object, "features", words) != NULL;
    }
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_attach(struct buffer *out, uint64_t id, const char *job,
                                    const struct message_attach *attach, struct afar_error *err)
{
    cJSON *object = put_new_object("attach", true, id);
    bool ok = object != NULL;
    if (job != NULL)
        ok = ok && cJSON_AddStringToObject(object, "job", job);
    ok = ok && cJSON_AddStringToObject(object, "holder", attach->holder) != NULL &&
         json_add_integer(object, "attempt", attach->attempt);
    if (attach->resume)
        ok = ok && cJSON_AddTrueToObject(object, "resume");
    if (attach->has_next)
        ok = ok && json_add_integer(object, "next", attach->next) &&
             json_add_integer(object, "ack", attach->ack);
    if (attach->has_since)
        ok = ok && json_add_integer(object, "since_ms", attach->since_ms);
    if (attach->has_next_bytes)
        ok = ok && add_bytes(object, "next_bytes", attach->next_bytes);
    if (attach->watch)
        ok = ok && cJSON_AddTrueToObject(object, "watch");
    if (attach->watch && !attach->output)
        ok = ok && cJSON_AddFalseToObject(object, "output");
    if (attach->watch && !attach->follow)
        ok = ok && cJSON_AddFalseToObject(object, "follow");
    if (attach->watch && attach->times)
        ok = ok && cJSON_AddTrueToObject(object, "times");
    if (attach->has_pty)
        ok = ok && add_screen(object, &attach->screen);
    ok = ok && json_add_positive(object, "window_max", attach->window_max) &&
         json_add_positive(object, "tail", attach->tail);
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_forget(struct buffer *out, uint64_t id, const char *job,
                                    struct afar_error *err)
{
    cJSON *object = put_new_object("forget", true, id);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "job", job) != NULL;
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_jobs(struct buffer *out, uint64_t id, const char *after, bool all,
                                  struct afar_error *err)
{
    cJSON *object = put_new_object("jobs", true, id);
    bool ok = object != NULL;
    if (after != NULL)
        ok = ok && cJSON_AddStringToObject(object, "after", after);
    if (all)
        ok = ok && cJSON_AddTrueToObject(object, "all");
    return put_object(out, object, ok, NULL, 0, err);
}

enum afar_status message_put_not_found(struct buffer *out, uint64_t id, const char *text,
                                       const char *server, struct afar_error *err)
{
    char clean[MESSAGE_TEXT_BYTES];
    utf8_copy(clean, sizeof clean, text);
    cJSON *object = put_new_object("error", true, id);
    bool ok = object != NULL && cJSON_AddStringToObject(object, "code", "not_found") != NULL &&
              cJSON_AddStringToObject(object, "message", clean) != NULL &&
              cJSON_AddStringToObject(object, "server", server) != NULL;
    return put_object(out, object, ok, NULL, 0, err);
}

/* ---- a list of jobs -------------------------------------------------------------------------- */

static bool add_clean(cJSON *object, const char *key, const char *text, size_t size)
{
    char clean[MESSAGE_TEXT_BYTES];
    if (text[0] == '\0')
        return true;
    utf8_copy(clean, size < sizeof clean ? size : sizeof clean, text);
    return cJSON_AddStringToObject(object, key, clean) != NULL;
}

static cJSON *new_entry(const struct message_job *job)
{
    cJSON *entry = cJSON_CreateObject();
    bool ok = entry != NULL && cJSON_AddStringToObject(entry, "job", job->job) != NULL &&
              cJSON_AddStringToObject(entry, "state", message_job_state_name(job->state)) != NULL &&
              add_clean(entry, "key", job->key, sizeof job->key) &&
              add_clean(entry, "owner", job->owner, sizeof job->owner) &&
              add_clean(entry, "command", job->command, sizeof job->command) &&
              json_add_integer(entry, "age_ms", job->age_ms) && add_streams(entry, job->bytes) &&
              json_add_positive(entry, "ended_ms", job->ended_ms);
    if (job->kept)
        ok = ok && cJSON_AddTrueToObject(entry, "kept");
    if (job->attached)
        ok = ok && cJSON_AddTrueToObject(entry, "attached");
    if (job->pty)
        ok = ok && cJSON_AddTrueToObject(entry, "pty");
    if (job->has_outcome)
        ok = ok && cJSON_AddStringToObject(entry, "outcome", message_outcome_name(job->outcome));
    if (job->has_outcome && job->code >= 0)
        ok = ok && cJSON_AddNumberToObject(entry, "code", job->code);
    if (job->has_outcome)
        ok = ok && add_clean(entry, "signal", job->signal, sizeof job->signal);
    if (ok)
        return entry;
    cJSON_Delete(entry);
    return NULL;
}

/* Adds the entry as text, unless that would make the list too long; *full says so. False: out of
 * memory. */
static bool add_entry(cJSON *array, const struct message_job *job, size_t *bytes, bool *full)
{
    cJSON *entry = new_entry(job);
    char *text = entry == NULL ? NULL : cJSON_PrintUnformatted(entry);
    cJSON_Delete(entry);
    if (text == NULL)
        return false;
    *bytes += strlen(text) + 1;
    *full = *bytes > MESSAGE_JOBS_BYTES && cJSON_GetArraySize(array) > 0;
    cJSON *item = *full ? NULL : cJSON_CreateRaw(text);
    cJSON_free(text);
    return *full || (item != NULL && cJSON_AddItemToArray(array, item));
}

enum afar_status message_put_jobs_answer(struct buffer *out, uint64_t id,
                                         const struct message_job *jobs, size_t count, bool more,
                                         size_t *put, struct afar_error *err)
{
    cJSON *object = put_new_object("jobs", true, id);
    cJSON *array = object == NULL ? NULL : cJSON_AddArrayToObject(object, "jobs");
    bool ok = array != NULL;
    bool full = false;
    size_t bytes = 0;
    *put = 0;
    while (ok && *put < count && *put < MESSAGE_JOBS_MAX) {
        ok = add_entry(array, &jobs[*put], &bytes, &full);
        if (full)
            break;
        (*put)++;
    }
    if (more || *put < count)
        ok = ok && cJSON_AddTrueToObject(object, "more");
    return put_object(out, object, ok, NULL, 0, err);
}
