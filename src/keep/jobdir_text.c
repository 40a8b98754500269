#include "keep/jobdir_text.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "base/utf8.h"
#include "wire/frame.h"

/* The key may contain any bytes, and so may a path: they are written as hex. */
static void to_hex(char *hex, const char *text)
{
    for (; *text != '\0'; text++, hex += 2)
        (void)snprintf(hex, 3, "%02x", (unsigned char)*text);
    *hex = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(char *text, size_t room, const char *hex)
{
    size_t used = 0;
    for (; hex[0] != '\0'; hex += 2) {
        int high = digit(hex[0]);
        int low = high >= 0 ? digit(hex[1]) : -1;
        if (low < 0 || used + 1 >= room)
            return false;
        text[used++] = (char)(high * 16 + low);
    }
    text[used] = '\0';
    return true;
}

/* Adds a line "name value". Values contain no control characters. */
static void add_line(char *text, size_t room, size_t *used, const char *name, const char *value)
{
    if (*used < room)
        *used += (size_t)snprintf(text + *used, room - *used, "%s %s\n", name, value);
}

static void add_number(char *text, size_t room, size_t *used, const char *name, uint64_t value)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    add_line(text, room, used, name, digits);
}

/* Splits the next line off `text`, which is modified. False: there are no more lines. */
static bool next_line(char **text, char **name, char **value)
{
    char *line = *text;
    char *end = line != NULL ? strchr(line, '\n') : NULL;
    if (end == NULL)
        return false;
    *end = '\0';
    *text = end + 1;
    *name = line;
    *value = strchr(line, ' ');
    if (*value == NULL)
        *value = end;
    else
        *(*value)++ = '\0';
    return true;
}

static enum afar_status damaged(const char *what, struct afar_error *err)
{
    return afar_fail(err, AFAR_EPEER, "the file '%s' of a job's folder is damaged", what);
}

/* ---- request --------------------------------------------------------------------------------- */

enum afar_status jobdir_text_request(char *text, size_t room, const struct jobdir_request *request,
                                     struct afar_error *err)
{
    char hex[2 * MESSAGE_KEY_BYTES];
    char clean[MESSAGE_TEXT_BYTES];
    size_t used = 0;
    add_number(text, room, &used, "afar-kept", JOBDIR_VERSION);
    add_line(text, room, &used, "job", request->job);
    utf8_copy(clean, sizeof clean, request->owner);
    add_line(text, room, &used, "owner", clean);
    utf8_copy(clean, sizeof clean, request->identity);
    add_line(text, room, &used, "identity", clean);
    add_line(text, room, &used, "holder", request->holder);
    to_hex(hex, request->key);
    add_line(text, room, &used, "key", hex);
    add_line(text, room, &used, "asked", request->asked);
    utf8_copy(clean, sizeof clean, request->command);
    add_line(text, room, &used, "command", clean);
    add_line(text, room, &used, "boot", request->boot);
    add_line(text, room, &used, "rule", request->rule);
    add_number(text, room, &used, "created_us", request->created_us);
    add_number(text, room, &used, "window_bytes", request->window_bytes);
    add_number(text, room, &used, "resume_ms", request->resume_ms);
    add_number(text, room, &used, "spool_bytes", request->spool_bytes);
    add_number(text, room, &used, "when_full", request->when_full);
    add_number(text, room, &used, "digest", request->digest);
    add_number(text, room, &used, "pty", request->pty);
    add_line(text, room, &used, "end", "");
    return used < room ? AFAR_OK : afar_fail(err, AFAR_ELIMIT, "a request is too long to be kept");
}

static bool take_text(struct jobdir_request *request, const char *name, const char *value)
{
    const struct {
        const char *name;
        char *to;
        size_t room;
    } texts[] = {{"job", request->job, sizeof request->job},
                 {"owner", request->owner, sizeof request->owner},
                 {"identity", request->identity, sizeof request->identity},
                 {"holder", request->holder, sizeof request->holder},
                 {"asked", request->asked, sizeof request->asked},
                 {"command", request->command, sizeof request->command},
                 {"boot", request->boot, sizeof request->boot},
                 {"rule", request->rule, sizeof request->rule}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(texts[i].name, name) != 0)
            continue;
        if ((size_t)snprintf(texts[i].to, texts[i].room, "%s", value) < texts[i].room)
            return true;
        texts[i].to[0] = '\0'; /* a part of it may be another's */
        return false;
    }
    return true;
}

static bool take_number(struct jobdir_request *request, const char *name, const char *value)
{
    uint64_t when_full = request->when_full;
    uint64_t digest = request->digest;
    uint64_t pty = request->pty;
    const struct {
        const char *name;
        uint64_t *to;
    } numbers[] = {{"created_us", &request->created_us},
                   {"window_bytes", &request->window_bytes},
                   {"resume_ms", &request->resume_ms},
                   {"spool_bytes", &request->spool_bytes},
                   {"when_full", &when_full},
                   {"digest", &digest},
                   {"pty", &pty}};
    bool sound = true;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(numbers[i].name, name) == 0)
            sound = number_parse(value, 0, UINT64_MAX, numbers[i].to, NULL) == AFAR_OK;
    }
    request->when_full = when_full == WHEN_FULL_BLOCK ? WHEN_FULL_BLOCK : WHEN_FULL_CUT;
    request->digest = digest != 0;
    request->pty = pty != 0;
    return sound;
}

static bool take_key(struct jobdir_request *request, const char *value)
{
    request->knows_key = from_hex(request->key, sizeof request->key, value);
    if (!request->knows_key)
        request->key[0] = '\0';
    return request->knows_key;
}

/* Whatever it is that cannot be understood, whose job it is and its key are looked for. */
enum afar_status jobdir_parse_request(char *text, struct jobdir_request *request,
                                      struct afar_error *err)
{
    char *name = NULL;
    char *value = NULL;
    uint64_t version = 0;
    bool whole = false;
    bool sound = true;
    *request = (struct jobdir_request){.when_full = WHEN_FULL_CUT};
    if (!next_line(&text, &name, &value) || strcmp(name, "afar-kept") != 0 ||
        number_parse(value, 1, UINT32_MAX, &version, NULL) != AFAR_OK)
        return damaged("request", err);
    while (!whole && next_line(&text, &name, &value)) {
        whole = strcmp(name, "end") == 0;
        const bool taken = strcmp(name, "key") == 0 ? take_key(request, value)
                                                    : take_text(request, name, value) &&
                                                          take_number(request, name, value);
        sound = sound && taken;
    }
    request->knows_key = request->knows_key && request->owner[0] != '\0';
    if (version > JOBDIR_VERSION)
        return afar_fail(err, AFAR_EREFUSED, "a kept job is of a later version of afard");
    return sound && whole && request->job[0] != '\0' ? AFAR_OK : damaged("request", err);
}

/* ---- receipt --------------------------------------------------------------------------------- */

enum afar_status jobdir_text_end(char *text, size_t room, const struct jobdir_end *end,
                                 size_t *size, struct afar_error *err)
{
    struct buffer frame;
    buffer_init(&frame, room);
    enum afar_status status =
        message_put_exit(&frame, 0, end->seq, &end->receipt, end->digest, err);
    if (status == AFAR_OK) {
        *size = buffer_size(&frame);
        memcpy(text, buffer_head(&frame), *size);
        add_number(text, room, size, "ended_us", end->ended_us);
        add_line(text, room, size, "holder", end->holder);
        add_number(text, room, size, "next_attempt", end->next_attempt);
        add_number(text, room, size, "digest", end->digest);
        if (end->recording.path[0] != '\0') {
            char hex[2 * JOBDIR_PATH_BYTES];
            to_hex(hex, end->recording.path);
            add_line(text, room, size, "record", hex);
            add_line(text, room, size, "record_sha256", end->recording.sha256);
            add_number(text, room, size, "record_bytes", end->recording.bytes);
            if (end->recording.why[0] != '\0')
                add_line(text, room, size, "record_error", end->recording.why);
        }
        add_line(text, room, size, "end", "");
        if (*size >= room)
            status = afar_fail(err, AFAR_ELIMIT, "a receipt is too long to be kept");
    }
    buffer_close(&frame);
    return status;
}

static bool take_line(struct jobdir_end *end, const char *name, const char *value)
{
    uint64_t digest = end->digest;
    if (strcmp(name, "ended_us") == 0)
        return number_parse(value, 0, UINT64_MAX, &end->ended_us, NULL) == AFAR_OK;
    if (strcmp(name, "next_attempt") == 0)
        return number_parse(value, 0, UINT64_MAX, &end->next_attempt, NULL) == AFAR_OK;
    if (strcmp(name, "record") == 0)
        return from_hex(end->recording.path, sizeof end->recording.path, value);
    if (strcmp(name, "record_bytes") == 0)
        return number_parse(value, 0, UINT64_MAX, &end->recording.bytes, NULL) == AFAR_OK;
    if (strcmp(name, "record_sha256") == 0)
        (void)snprintf(end->recording.sha256, sizeof end->recording.sha256, "%s", value);
    if (strcmp(name, "record_error") == 0)
        (void)snprintf(end->recording.why, sizeof end->recording.why, "%s", value);
    if (strcmp(name, "holder") == 0)
        (void)snprintf(end->holder, sizeof end->holder, "%s", value);
    if (strcmp(name, "digest") == 0 && number_parse(value, 0, 1, &digest, NULL) != AFAR_OK)
        return false;
    end->digest = digest != 0;
    return true;
}

enum afar_status jobdir_parse_end(char *text, size_t size, struct jobdir_end *end,
                                  struct afar_error *err)
{
    struct decoder decoder;
    struct message message;
    const uint8_t *payload = NULL;
    size_t used = 0;
    char *name = NULL;
    char *value = NULL;
    bool whole = false;
    *end = (struct jobdir_end){0};
    decoder_init(&decoder);
    enum afar_status status =
        decoder_next(&decoder, (const uint8_t *)text, size, &message, &payload, &used, NULL);
    decoder_close(&decoder);
    if (status != AFAR_OK)
        return damaged("receipt", err);
    bool sound = message.type == MESSAGE_EXIT;
    if (sound) {
        end->receipt = message.receipt;
        end->seq = message.seq;
    }
    message_close(&message);
    for (text += used; sound && !whole && next_line(&text, &name, &value);) {
        whole = strcmp(name, "end") == 0;
        sound = take_line(end, name, value);
    }
    return sound && whole ? AFAR_OK : damaged("receipt", err);
}
