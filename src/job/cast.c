#include "job/cast.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* An escaped byte takes at most 6: \u001b. */
enum { GROWS = 6, EVENT_BYTES = 64, SECOND_US = 1000000 };

struct text {
    struct buffer *out;
    enum afar_status status;
};

static void put(struct text *text, const void *data, size_t size)
{
    if (text->status == AFAR_OK)
        text->status = buffer_append(text->out, data, size, NULL);
}

static void put_text(struct text *text, const char *plain)
{
    put(text, plain, strlen(plain));
}

/* Writes one UTF-8 character, or one invalid byte (length 0), as JSON string content. */
static size_t escape(uint8_t *at, const uint8_t *data, size_t length)
{
    if (length == 0) {
        memcpy(at, "\xef\xbf\xbd", 3);
        return 3;
    }
    if (length > 1 || (data[0] >= 0x20 && data[0] != '"' && data[0] != '\\' && data[0] != 0x7f)) {
        memcpy(at, data, length);
        return length;
    }
    static const char digits[] = "0123456789abcdef";
    memcpy(at, "\\u00", 4);
    at[4] = (uint8_t)digits[data[0] >> 4];
    at[5] = (uint8_t)digits[data[0] & 15];
    return GROWS;
}

/* The length of an incomplete UTF-8 sequence at the end of the data; 0: there is none. */
static size_t unfinished(const uint8_t *data, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        const uint8_t byte = data[size - back];
        if ((byte & 0xc0) == 0x80)
            continue;
        const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
        return byte < 0xf5 && length > back ? back : 0;
    }
    return 0;
}

static void put_string(struct text *text, const uint8_t *data, size_t size)
{
    uint8_t *room = NULL;
    size_t used = 0;
    if (text->status == AFAR_OK && size > 0)
        text->status = buffer_reserve(text->out, size * GROWS, &room, NULL);
    if (text->status != AFAR_OK || size == 0)
        return;
    for (size_t at = 0; at < size;) {
        const size_t length = utf8_sequence(data + at, size - at);
        used += escape(room + used, data + at, length);
        at += length > 0 ? length : 1;
    }
    buffer_commit(text->out, used);
}

static void begin_event(struct text *text, int64_t us, char code)
{
    char head[EVENT_BYTES];
    (void)snprintf(head, sizeof head, "[%" PRId64 ".%06d, \"%c\", \"", us / SECOND_US,
                   (int)(us % SECOND_US), code);
    put_text(text, head);
}

static void put_field(struct text *text, const char *before, const char *name, const char *value)
{
    if (value == NULL)
        return;
    put_text(text, before);
    put_text(text, name);
    put_text(text, "\": \"");
    put_string(text, (const uint8_t *)value, strlen(value));
    put_text(text, "\"");
}

static void put_command(struct text *text, const char *command)
{
    char shown[CAST_COMMAND_BYTES + sizeof "..."];
    if (command != NULL && strlen(command) > CAST_COMMAND_BYTES) {
        const size_t kept =
            CAST_COMMAND_BYTES - unfinished((const uint8_t *)command, CAST_COMMAND_BYTES);
        (void)snprintf(shown, sizeof shown, "%.*s...", (int)kept, command);
        command = shown;
    }
    put_field(text, ", \"", "command", command);
}

enum afar_status cast_put_header(struct buffer *out, const struct cast_header *header,
                                 struct afar_error *err)
{
    struct text text = {.out = out, .status = AFAR_OK};
    const bool sized = header->rows > 0 && header->cols > 0;
    char head[256];
    (void)snprintf(head, sizeof head,
                   "{\"version\": 2, \"width\": %d, \"height\": %d, \"timestamp\": %" PRId64,
                   sized ? header->cols : 80, sized ? header->rows : 24, header->time_s);
    put_text(&text, head);
    put_command(&text, header->command);
    put_text(&text, ", \"env\": {\"TERM\": \"");
    put_string(&text, (const uint8_t *)header->term, strlen(header->term));
    put_text(&text, "\"");
    put_field(&text, ", \"", "SHELL", header->shell);
    put_text(&text, "}, \"afar\": {\"job\": \"");
    put_text(&text, header->job);
    put_text(&text, "\"");
    put_field(&text, ", \"", "identity", header->identity);
    put_field(&text, ", \"", "address", header->address);
    put_field(&text, ", \"", "rule", header->rule);
    put_field(&text, ", \"", "user", header->user);
    put_text(&text, "}}\n");
    return text.status == AFAR_OK ? AFAR_OK
                                  : afar_fail(err, text.status, "out of memory for a recording");
}

/* Adds bytes of the data to the held sequence until it is complete. Returns how many were used. */
static size_t complete(struct cast *cast, const uint8_t *data, size_t size)
{
    size_t used = 0;
    while (cast->held_size > 0 && used < size && cast->held_size < sizeof cast->held &&
           (data[used] & 0xc0) == 0x80 && unfinished(cast->held, cast->held_size) > 0)
        cast->held[cast->held_size++] = data[used++];
    return used;
}

size_t cast_fit(const void *data, size_t size, uint64_t room)
{
    /* The longest line around it, and as many bytes as may be held, each of which may be U+FFFD. */
    enum { AROUND = EVENT_BYTES + 8 + 4 * 3 };
    const uint8_t *bytes = data;
    uint64_t used = AROUND;
    size_t at = 0;
    if (room >= AROUND + (uint64_t)size * GROWS) /* as nearly always */
        return size;
    while (at < size) {
        uint8_t escaped[GROWS];
        const size_t length = utf8_sequence(bytes + at, size - at);
        used += escape(escaped, bytes + at, length);
        if (used > room)
            break;
        at += length > 0 ? length : 1;
    }
    return at == size ? size : at - unfinished(bytes, at);
}

enum afar_status cast_put_output(struct cast *cast, struct buffer *out, int64_t us,
                                 const void *data, size_t size)
{
    struct text text = {.out = out, .status = AFAR_OK};
    const uint8_t *at = data;
    if (size == 0)
        return AFAR_OK;
    const size_t used = complete(cast, at, size);
    if (used == size && unfinished(cast->held, cast->held_size) > 0)
        return AFAR_OK;
    at += used;
    size -= used;
    const size_t rest = unfinished(at, size);
    if (cast->held_size > 0 || size > rest) {
        begin_event(&text, us, 'o');
        put_string(&text, cast->held, cast->held_size);
        put_string(&text, at, size - rest);
        put_text(&text, "\"]\n");
    }
    memcpy(cast->held, at + size - rest, rest);
    cast->held_size = rest;
    return text.status;
}

enum afar_status cast_put_event(struct cast *cast, struct buffer *out, int64_t us, char code,
                                const char *text)
{
    struct text line = {.out = out, .status = AFAR_OK};
    if (cast->held_size > 0) {
        begin_event(&line, us, 'o');
        put_string(&line, cast->held, cast->held_size);
        put_text(&line, "\"]\n");
        cast->held_size = 0;
    }
    begin_event(&line, us, code);
    put_string(&line, (const uint8_t *)text, strlen(text));
    put_text(&line, "\"]\n");
    return line.status;
}
