/* What a line of the audit log says. */
#include "policy/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "wire/message.h"

/* A line under way. Once something has failed, nothing more is added. */
struct line {
    struct buffer *out;
    enum afar_status status;
    struct afar_error *err;
};

static void put(struct line *line, const char *text, size_t size)
{
    if (line->status == AFAR_OK)
        line->status = buffer_append(line->out, text, size, line->err);
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_key(struct line *line, const char *key)
{
    put_text(line, ",\"");
    put_text(line, key);
    put_text(line, "\":");
}

/* ---- values -------------------------------------------------------------------------------------
 */

/* U+2028 and U+2029 end a line for some readers. */
static bool ends_line(const uint8_t *bytes, size_t length)
{
    return length == 3 && bytes[0] == 0xE2 && bytes[1] == 0x80 && (bytes[2] | 1) == 0xA9;
}

/* One character; nothing in it can end the string, the line or (on a terminal) the peace. */
static void put_character(struct line *line, const uint8_t *bytes, size_t length)
{
    char escaped[8];
    if (bytes[0] == '"' || bytes[0] == '\\')
        (void)snprintf(escaped, sizeof escaped, "\\%c", bytes[0]);
    else if (length == 1 && utf8_control(bytes, length))
        (void)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)bytes[0]);
    else if (utf8_control(bytes, length))
        (void)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)bytes[1]);
    else if (ends_line(bytes, length))
        (void)snprintf(escaped, sizeof escaped, "\\u20%02x", (unsigned)bytes[2] - 0x80U);
    else {
        put(line, (const char *)bytes, length);
        return;
    }
    put_text(line, escaped);
}

/* What is not UTF-8 is shown as \ufffd: only words of a command may be such, and these are written
 * in hex then. */
static void put_string(struct line *line, const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;
    put_text(line, "\"");
    while (size > 0) {
        size_t taken = utf8_sequence(bytes, size);
        if (taken > 0)
            put_character(line, bytes, taken);
        else
            put_text(line, "\\ufffd");
        taken = taken > 0 ? taken : 1;
        bytes += taken;
        size -= taken;
    }
    put_text(line, "\"");
}

static void put_hex(struct line *line, const char *text, size_t size)
{
    put_text(line, "\"");
    for (size_t i = 0; i < size; i++) {
        char digits[3];
        (void)snprintf(digits, sizeof digits, "%02x", (unsigned)(unsigned char)text[i]);
        put(line, digits, 2);
    }
    put_text(line, "\"");
}

static void add_string(struct line *line, const char *key, const char *text)
{
    if (text == NULL)
        return;
    put_key(line, key);
    put_string(line, text, strnlen(text, AUDIT_TEXT_BYTES));
}

static void add_number(struct line *line, const char *key, uint64_t number)
{
    char text[24];
    put_key(line, key);
    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    put_text(line, text);
}

static void put_time(struct line *line)
{
    struct timespec now = {0};
    struct tm parts = {0};
    char text[64];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(text, sizeof text, "\"time\":\"%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text + used, sizeof text - used, ".%06ldZ\"", now.tv_nsec / 1000);
    put_text(line, text);
}

/* ---- the command --------------------------------------------------------------------------------
 */

/* Of all words, each with its NUL. */
static void add_digest(struct line *line, char *const *words)
{
    struct digest *digest = NULL;
    char hex[DIGEST_HEX_BYTES];
    enum afar_status status = digest_new(&digest, "sha256", line->err);
    for (; *words != NULL && status == AFAR_OK; words++)
        status = digest_update(digest, *words, strlen(*words) + 1, line->err);
    if (status == AFAR_OK)
        status = digest_finish(digest, hex, line->err);
    digest_free(digest);
    if (status != AFAR_OK)
        line->status = status;
    else
        add_string(line, "argv_sha256", hex);
}

/* The words as they are, as far as they fit; where one is not UTF-8, all of them in hex. */
static void add_argv(struct line *line, char *const *words)
{
    bool text = true;
    size_t left = AUDIT_ARGV_BYTES;
    bool cut = false;
    for (char *const *word = words; *word != NULL; word++)
        text = text && utf8_valid(*word, strlen(*word));
    put_key(line, text ? "argv" : "argv_hex");
    put_text(line, "[");
    for (char *const *word = words; *word != NULL && !cut; word++) {
        size_t size = strlen(*word);
        cut = size + 1 > left;
        size = cut ? left : size;
        if (word != words)
            put_text(line, ",");
        if (text)
            put_string(line, *word, size);
        else
            put_hex(line, *word, size);
        left -= cut ? left : size + 1;
    }
    put_text(line, "]");
    if (cut) {
        put_key(line, "argv_cut");
        put_text(line, "true");
        add_digest(line, words);
    }
}

static void add_env(struct line *line, char *const *entries)
{
    size_t left = AUDIT_TEXT_BYTES;
    put_key(line, "env");
    put_text(line, "[");
    for (char *const *entry = entries; *entry != NULL && left > 0; entry++) {
        size_t size = strcspn(*entry, "=");
        size = size < left ? size : left;
        if (entry != entries)
            put_text(line, ",");
        put_string(line, *entry, size);
        left -= size;
    }
    put_text(line, "]");
}

static void add_receipt(struct line *line, const struct afar_receipt *receipt)
{
    add_string(line, "outcome", message_outcome_name(receipt->outcome));
    if (receipt->outcome == AFAR_OUTCOME_EXITED)
        add_number(line, "code", (uint64_t)receipt->code);
    if (receipt->signal[0] != '\0')
        add_string(line, "signal", receipt->signal);
    if (receipt->message[0] != '\0')
        add_string(line, "message", receipt->message);
    add_number(line, "stdin_bytes", receipt->stdin_bytes);
    add_number(line, "stdout_bytes", receipt->stdout_bytes);
    add_number(line, "stderr_bytes", receipt->stderr_bytes);
    add_number(line, "user_us", receipt->user_us);
    add_number(line, "system_us", receipt->system_us);
    add_number(line, "max_rss_bytes", receipt->max_rss_bytes);
    add_number(line, "run_us", receipt->run_us);
}

/* ---- the whole ----------------------------------------------------------------------------------
 */

static void add_all(struct line *line, const struct audit_record *record, uint64_t lost)
{
    add_string(line, "event", record->event);
    if (record->connection > 0)
        add_number(line, "connection", record->connection);
    add_string(line, "job", record->job);
    add_string(line, "identity", record->identity);
    add_string(line, "address", record->address);
    add_string(line, "decision", record->decision);
    add_string(line, "rule", record->rule);
    add_string(line, "reason", record->reason);
    if (record->argv != NULL)
        add_argv(line, record->argv);
    if (record->env != NULL)
        add_env(line, record->env);
    add_string(line, "cwd", record->cwd);
    add_string(line, "user", record->user);
    if (record->pid > 0)
        add_number(line, "pid", (uint64_t)record->pid);
    if (record->receipt != NULL)
        add_receipt(line, record->receipt);
    if (record->more > 0) {
        add_number(line, "more", record->more);
        add_number(line, "seconds", record->more_s);
    }
    if (lost > 0)
        add_number(line, "lost", lost);
}

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

enum afar_status audit_put_line(struct buffer *out, const struct audit_record *record,
                                uint64_t lost, uint64_t seq, const char *prev,
                                char hash[AUDIT_HASH_BYTES], struct afar_error *err)
{
    struct line line = {.out = out, .status = AFAR_OK, .err = err};
    char head[AUDIT_HASH_BYTES + 48];
    put_text(&line, "{");
    if (prev != NULL) {
        (void)snprintf(head, sizeof head, "\"seq\":%" PRIu64 ",\"prev\":\"%s\",", seq, prev);
        put_text(&line, head);
    }
    put_time(&line);
    add_all(&line, record, lost);
    if (prev != NULL && line.status == AFAR_OK)
        line.status = hash_bytes(buffer_head(out), buffer_size(out), hash, err);
    if (prev != NULL)
        add_string(&line, "hash", line.status == AFAR_OK ? hash : "");
    put_text(&line, "}");
    return line.status;
}

/* Copies 64 hex digits. */
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
