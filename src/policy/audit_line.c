/* The fields of a line of the audit log. */
#include "policy/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"
#include "policy/audit_text.h"
#include "wire/file_note.h"
#include "wire/message.h"

static void put_time(struct audit_text *out)
{
    struct timespec now = {0};
    struct tm parts = {0};
    char text[64];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(text, sizeof text, "\"time\":\"%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text + used, sizeof text - used, ".%06ldZ\"", now.tv_nsec / 1000);
    audit_text_put(out, text);
}

/* ---- fields ---------------------------------------------------------------------------------- */

static void add_text(struct audit_text *text, const char *key, const char *value)
{
    audit_text_add(text, key, value, AUDIT_TEXT_BYTES);
}

/* All names except the pin, which gets a field of its own. */
static void add_names(struct audit_text *text, char *const *names)
{
    static const char pin[] = "pin:";
    char *others[AUDIT_NAMES_MAX + 1];
    size_t count = 0;
    const char *found = NULL;
    for (; names != NULL && *names != NULL; names++) {
        if (strncmp(*names, pin, sizeof pin - 1) == 0)
            found = *names + sizeof pin - 1;
        else if (count < AUDIT_NAMES_MAX)
            others[count++] = *names;
    }
    others[count] = NULL;
    audit_text_add_words(text, "names", count > 0 ? others : NULL, '\0', AUDIT_NAMES_BYTES);
    add_text(text, "pin", found);
}

static void add_limit(struct audit_text *text, const struct afar_limit *limit)
{
    if (limit->name[0] == '\0')
        return;
    add_text(text, "limit", limit->name);
    if (limit->ms > 0)
        audit_text_add_number(text, "limit_ms", limit->ms);
    if (limit->bytes > 0)
        audit_text_add_number(text, "limit_bytes", limit->bytes);
    if (limit->count > 0)
        audit_text_add_number(text, "limit_count", limit->count);
    add_text(text, "limit_by", message_limit_owner_name(limit->by));
}

static void add_receipt(struct audit_text *text, const struct afar_receipt *receipt)
{
    add_text(text, "outcome", message_outcome_name(receipt->outcome));
    if (receipt->outcome == AFAR_OUTCOME_EXITED)
        audit_text_add_number(text, "code", (uint64_t)receipt->code);
    if (receipt->signal[0] != '\0')
        add_text(text, "signal", receipt->signal);
    if (receipt->message[0] != '\0')
        add_text(text, "message", receipt->message);
    add_limit(text, &receipt->limit);
    if (receipt->killed_by != AFAR_KILLED_UNKNOWN)
        add_text(text, "killed_by", message_killer_name(receipt->killed_by));
    if (receipt->ended.count > 0)
        audit_text_add_number(text, "ended", receipt->ended.count);
    if (receipt->held_by.count > 0)
        audit_text_add_number(text, "held_by", receipt->held_by.count);
    audit_text_add_number(text, "stdin_bytes", receipt->stdin_bytes);
    audit_text_add_number(text, "stdout_bytes", receipt->stdout_bytes);
    audit_text_add_number(text, "stderr_bytes", receipt->stderr_bytes);
    audit_text_add_number(text, "user_us", receipt->user_us);
    audit_text_add_number(text, "system_us", receipt->system_us);
    if (receipt->max_rss_bytes > 0)
        audit_text_add_number(text, "max_rss_bytes", receipt->max_rss_bytes);
    audit_text_add_number(text, "run_us", receipt->run_us);
}

static void add_pids(struct audit_text *text, const pid_t *pids, size_t count)
{
    char number[24];
    audit_text_add_number(text, "left", count);
    audit_text_put(text, ",\"pids\":[");
    for (size_t i = 0; i < count && i < AUDIT_PIDS_MAX; i++) {
        (void)snprintf(number, sizeof number, "%s%ld", i == 0 ? "" : ",", (long)pids[i]);
        audit_text_put(text, number);
    }
    audit_text_put(text, "]");
}

static void add_file(struct audit_text *text, const struct file_note *file)
{
    char hash[2 * FILE_NOTE_HASH_BYTES + 1];
    add_text(text, "op", file_op_name(file->op));
    audit_text_add_exactly(text, "path", file->path, AUDIT_CWD_BYTES);
    if (file->to[0] != '\0')
        audit_text_add_exactly(text, "to", file->to, AUDIT_CWD_BYTES);
    if (file->op == FILE_OP_READ || file->op == FILE_OP_WRITE)
        audit_text_add_number(text, "bytes", file->bytes);
    for (size_t i = 0; i < FILE_NOTE_HASH_BYTES; i++)
        (void)snprintf(hash + 2 * i, 3, "%02x", file->hash[i]);
    if (file->has_hash)
        add_text(text, "sha256", hash);
    if (file->failed != 0)
        add_text(text, "errno", strerrorname_np(file->failed));
}

enum afar_status audit_render(struct buffer *body, const struct audit_record *record,
                              struct afar_error *err)
{
    struct audit_text text = {.out = body, .status = AFAR_OK, .err = err};
    add_text(&text, "event", record->event);
    if (record->connection > 0)
        audit_text_add_number(&text, "connection", record->connection);
    add_text(&text, "job", record->job);
    add_text(&text, "identity", record->identity);
    add_text(&text, "owner", record->owner);
    add_names(&text, record->names);
    add_text(&text, "address", record->address);
    add_text(&text, "decision", record->decision);
    add_text(&text, "rule", record->rule);
    add_text(&text, "reason", record->reason);
    add_text(&text, "subsystem", record->subsystem);
    add_text(&text, "forward", record->forward);
    audit_text_add_words(&text, "argv", record->argv, '\0', AUDIT_ARGV_BYTES);
    audit_text_add_words(&text, "env", record->env, '=', AUDIT_ENV_BYTES);
    audit_text_add_exactly(&text, "cwd", record->cwd, AUDIT_CWD_BYTES);
    if (record->pty != NULL) {
        audit_text_add_number(&text, "pty_rows", record->pty->rows);
        audit_text_add_number(&text, "pty_cols", record->pty->cols);
    }
    if (record->kept)
        audit_text_put(&text, ",\"kept\":true");
    add_text(&text, "key_sha256", record->key_sha256);
    audit_text_add_exactly(&text, "record", record->recording, AUDIT_CWD_BYTES);
    if (record->record_sha256 != NULL) {
        audit_text_add_number(&text, "record_bytes", record->record_bytes);
        add_text(&text, "record_sha256", record->record_sha256);
    }
    add_text(&text, "record_error", record->record_error);
    add_text(&text, "user", record->user);
    if (record->pid > 0)
        audit_text_add_number(&text, "pid", (uint64_t)record->pid);
    if (record->pid_count > 0)
        add_pids(&text, record->pids, record->pid_count);
    if (record->file != NULL)
        add_file(&text, record->file);
    if (record->receipt != NULL)
        add_receipt(&text, record->receipt);
    if (record->more > 0) {
        audit_text_add_number(&text, "more", record->more);
        audit_text_add_number(&text, "seconds", record->more_s);
    }
    return text.status;
}

/* ---- whole lines ----------------------------------------------------------------------------- */

static enum afar_status hash_bytes(const void *data, size_t size, char hash[AUDIT_HASH_BYTES],
                                   struct afar_error *err)
{
    struct digest *digest = NULL;
    enum afar_status status = digest_new(&digest, "sha256", err);
    if (status == AFAR_OK)
        status = digest_update(digest, data, size, err);
    if (status == AFAR_OK)
        status = digest_finish(digest, hash, err);
    digest_free(digest);
    return status;
}

enum afar_status audit_put_line(struct buffer *out, const struct buffer *body, uint64_t lost,
                                uint64_t seq, const char *prev, char hash[AUDIT_HASH_BYTES],
                                struct afar_error *err)
{
    struct audit_text text = {.out = out, .status = AFAR_OK, .err = err};
    char head[AUDIT_HASH_BYTES + 48];
    audit_text_put(&text, "{");
    if (prev != NULL) {
        (void)snprintf(head, sizeof head, "\"seq\":%" PRIu64 ",\"prev\":\"%s\",", seq, prev);
        audit_text_put(&text, head);
    }
    put_time(&text);
    if (text.status == AFAR_OK)
        text.status = buffer_append(out, buffer_head(body), buffer_size(body), err);
    if (lost > 0)
        audit_text_add_number(&text, "lost", lost);
    if (prev != NULL && text.status == AFAR_OK)
        text.status = hash_bytes(buffer_head(out), buffer_size(out), hash, err);
    if (prev != NULL)
        add_text(&text, "hash", text.status == AFAR_OK ? hash : "");
    audit_text_put(&text, "}");
    return text.status;
}

/* Copies 64 characters. False: they are not all lower-case hex digits. */
static bool take_hash(const char *text, char hash[AUDIT_HASH_BYTES])
{
    memcpy(hash, text, AUDIT_HASH_BYTES - 1);
    hash[AUDIT_HASH_BYTES - 1] = '\0';
    return strspn(hash, "0123456789abcdef") == AUDIT_HASH_BYTES - 1;
}

bool audit_check_line(const char *line, size_t size, uint64_t *seq, char prev[AUDIT_HASH_BYTES],
                      char hash[AUDIT_HASH_BYTES])
{
    static const char begin[] = "{\"seq\":";
    static const char middle[] = ",\"prev\":\"";
    static const char last[] = ",\"hash\":\"";
    static const char end[] = "\"}";
    enum { DIGITS = AUDIT_HASH_BYTES - 1, TAIL = sizeof last - 1 + DIGITS + sizeof end - 1 };
    char found[AUDIT_HASH_BYTES];
    size_t at = sizeof begin - 1;
    if (size < sizeof begin + sizeof middle + DIGITS + TAIL || memcmp(line, begin, at) != 0)
        return false;
    *seq = 0;
    for (; at < size && line[at] >= '0' && line[at] <= '9' && *seq < MESSAGE_INTEGER_MAX / 10; at++)
        *seq = *seq * 10 + (uint64_t)(line[at] - '0');
    if (size - at < sizeof middle + DIGITS + TAIL ||
        memcmp(line + at, middle, sizeof middle - 1) != 0 ||
        !take_hash(line + at + sizeof middle - 1, prev))
        return false;
    const char *tail = line + size - TAIL;
    if (memcmp(tail, last, sizeof last - 1) != 0 || !take_hash(tail + sizeof last - 1, hash) ||
        memcmp(tail + TAIL - (sizeof end - 1), end, sizeof end - 1) != 0)
        return false;
    return hash_bytes(line, (size_t)(tail - line), found, NULL) == AFAR_OK &&
           strcmp(found, hash) == 0;
}
