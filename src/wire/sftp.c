#include "wire/sftp.h"

#include <string.h>

/* ---- reading --------------------------------------------------------------------------------- */

void sftp_reader_init(struct sftp_reader *reader, const void *data, size_t size)
{
    static const uint8_t nothing[1];
    reader->at = data != NULL ? data : nothing; /* NULL from a failed read: no bytes */
    reader->end = reader->at + size;
    reader->failed = false;
}

size_t sftp_reader_left(const struct sftp_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* Takes the next `size` bytes; NULL if there are fewer. */
static const uint8_t *take(struct sftp_reader *reader, size_t size)
{
    if (reader->failed || sftp_reader_left(reader) < size) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *taken = reader->at;
    reader->at += size;
    return taken;
}

static uint64_t read_number(struct sftp_reader *reader, size_t size)
{
    const uint8_t *bytes = take(reader, size);
    uint64_t value = 0;
    for (size_t i = 0; bytes != NULL && i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

uint8_t sftp_read_u8(struct sftp_reader *reader)
{
    return (uint8_t)read_number(reader, 1);
}

uint32_t sftp_read_u32(struct sftp_reader *reader)
{
    return (uint32_t)read_number(reader, 4);
}

uint64_t sftp_read_u64(struct sftp_reader *reader)
{
    return read_number(reader, 8);
}

struct sftp_text sftp_read_bytes(struct sftp_reader *reader, size_t size)
{
    struct sftp_text text = {.bytes = take(reader, size)};
    text.size = text.bytes != NULL ? size : 0;
    return text;
}

struct sftp_text sftp_read_text(struct sftp_reader *reader)
{
    uint32_t size = sftp_read_u32(reader);
    return sftp_read_bytes(reader, size);
}

bool sftp_text_is(const struct sftp_text *text, const char *word)
{
    return text->size == strlen(word) && memcmp(text->bytes, word, text->size) == 0;
}

enum afar_status sftp_next(const uint8_t *data, size_t size, const uint8_t **body,
                           size_t *body_bytes, size_t *used, struct afar_error *err)
{
    struct sftp_reader reader;
    *used = SFTP_LENGTH_BYTES;
    if (size < SFTP_LENGTH_BYTES)
        return AFAR_EAGAIN;
    sftp_reader_init(&reader, data, size);
    uint32_t length = sftp_read_u32(&reader);
    if (length == 0 || length > SFTP_PACKET_MAX_BYTES)
        return afar_fail(err, AFAR_EPEER, "a packet of %lu bytes, 1 to %d are allowed",
                         (unsigned long)length, SFTP_PACKET_MAX_BYTES);
    *used = SFTP_LENGTH_BYTES + (size_t)length;
    if (size < *used)
        return AFAR_EAGAIN;
    *body = data + SFTP_LENGTH_BYTES;
    *body_bytes = length;
    return AFAR_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

void sftp_begin(struct sftp_writer *writer, struct buffer *out, size_t most_bytes)
{
    *writer = (struct sftp_writer){.out = out, .used = SFTP_LENGTH_BYTES};
    size_t wanted = SFTP_LENGTH_BYTES + most_bytes;
    writer->failed = buffer_reserve(out, wanted, &writer->room, NULL) != AFAR_OK;
    writer->room_bytes = writer->failed ? 0 : wanted;
}

uint8_t *sftp_put_room(struct sftp_writer *writer, size_t size)
{
    if (writer->failed || writer->room_bytes - writer->used < size) {
        writer->failed = true;
        return NULL;
    }
    uint8_t *room = writer->room + writer->used;
    writer->used += size;
    return room;
}

static void store(uint8_t *room, uint64_t value, size_t size)
{
    for (size_t i = size; i > 0; i--, value >>= 8)
        room[i - 1] = (uint8_t)(value & 0xFF);
}

static void put_number(struct sftp_writer *writer, uint64_t value, size_t size)
{
    uint8_t *room = sftp_put_room(writer, size);
    if (room != NULL)
        store(room, value, size);
}

void sftp_put_u8(struct sftp_writer *writer, uint8_t value)
{
    put_number(writer, value, 1);
}

void sftp_put_u32(struct sftp_writer *writer, uint32_t value)
{
    put_number(writer, value, 4);
}

void sftp_put_u64(struct sftp_writer *writer, uint64_t value)
{
    put_number(writer, value, 8);
}

void sftp_put_bytes(struct sftp_writer *writer, const void *bytes, size_t size)
{
    uint8_t *room = sftp_put_room(writer, size);
    if (room != NULL && size > 0)
        memcpy(room, bytes, size);
}

void sftp_put_text(struct sftp_writer *writer, const void *bytes, size_t size)
{
    sftp_put_u32(writer, (uint32_t)size);
    sftp_put_bytes(writer, bytes, size);
}

void sftp_put_word(struct sftp_writer *writer, const char *word)
{
    sftp_put_text(writer, word, strlen(word));
}

size_t sftp_mark(const struct sftp_writer *writer)
{
    return writer->used;
}

void sftp_patch_u32(struct sftp_writer *writer, size_t mark, uint32_t value)
{
    if (!writer->failed)
        store(writer->room + mark, value, 4);
}

void sftp_rewind(struct sftp_writer *writer, size_t mark)
{
    if (!writer->failed)
        writer->used = mark;
}

enum afar_status sftp_end(struct sftp_writer *writer, struct afar_error *err)
{
    if (writer->failed)
        return afar_fail(err, writer->room_bytes == 0 ? AFAR_ENOMEM : AFAR_ELIMIT,
                         "no room for an answer");
    store(writer->room, writer->used - SFTP_LENGTH_BYTES, SFTP_LENGTH_BYTES);
    buffer_commit(writer->out, writer->used);
    return AFAR_OK;
}
