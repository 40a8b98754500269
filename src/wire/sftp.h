/* Packets of the SSH File Transfer Protocol, version 3 (draft-ietf-secsh-filexfer-02): a 4-byte
 * big-endian length, a type, and for all but INIT and VERSION a request id.
 *
 * Owns:    nothing: a reader points into a packet, a writer into the caller's buffer.
 * Threads: plain values.
 * Blocks:  never; no system call in this layer.
 * Limits:  SFTP_PACKET_MAX_BYTES, without the length itself. */
#ifndef WIRE_SFTP_H
#define WIRE_SFTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum {
    SFTP_VERSION = 3,
    SFTP_LENGTH_BYTES = 4,
    SFTP_PACKET_MAX_BYTES = 262144,
    /* The most data of one read or write: a packet without its head, as in OpenSSH. */
    SFTP_DATA_MAX_BYTES = SFTP_PACKET_MAX_BYTES - 1024,
    SFTP_HANDLE_BYTES = 8,
    SFTP_PATH_MAX_BYTES = 4096 /* PATH_MAX of Linux, including the NUL */
};

/* draft §3. */
enum sftp_type {
    SFTP_TYPE_INIT = 1,
    SFTP_TYPE_VERSION = 2,
    SFTP_TYPE_OPEN = 3,
    SFTP_TYPE_CLOSE = 4,
    SFTP_TYPE_READ = 5,
    SFTP_TYPE_WRITE = 6,
    SFTP_TYPE_LSTAT = 7,
    SFTP_TYPE_FSTAT = 8,
    SFTP_TYPE_SETSTAT = 9,
    SFTP_TYPE_FSETSTAT = 10,
    SFTP_TYPE_OPENDIR = 11,
    SFTP_TYPE_READDIR = 12,
    SFTP_TYPE_REMOVE = 13,
    SFTP_TYPE_MKDIR = 14,
    SFTP_TYPE_RMDIR = 15,
    SFTP_TYPE_REALPATH = 16,
    SFTP_TYPE_STAT = 17,
    SFTP_TYPE_RENAME = 18,
    SFTP_TYPE_READLINK = 19,
    SFTP_TYPE_SYMLINK = 20,
    SFTP_TYPE_STATUS = 101,
    SFTP_TYPE_HANDLE = 102,
    SFTP_TYPE_DATA = 103,
    SFTP_TYPE_NAME = 104,
    SFTP_TYPE_ATTRS = 105,
    SFTP_TYPE_EXTENDED = 200,
    SFTP_TYPE_EXTENDED_REPLY = 201
};

/* draft §7. */
enum sftp_status {
    SFTP_STATUS_OK = 0,
    SFTP_STATUS_EOF = 1,
    SFTP_STATUS_NO_SUCH_FILE = 2,
    SFTP_STATUS_PERMISSION_DENIED = 3,
    SFTP_STATUS_FAILURE = 4,
    SFTP_STATUS_BAD_MESSAGE = 5,
    SFTP_STATUS_OP_UNSUPPORTED = 8
};

/* draft §6.3: flags of OPEN. */
enum {
    SFTP_OPEN_READ = 0x01,
    SFTP_OPEN_WRITE = 0x02,
    SFTP_OPEN_APPEND = 0x04,
    SFTP_OPEN_CREAT = 0x08,
    SFTP_OPEN_TRUNC = 0x10,
    SFTP_OPEN_EXCL = 0x20
};

/* ---- reading --------------------------------------------------------------------------------- */

/* Bytes inside a packet; borrowed, not terminated by a NUL. */
struct sftp_text {
    const uint8_t *bytes;
    size_t size;
};

/* Reads fields one after another. A missing field reads as 0 or "" and sets `failed` for good, so
 * one check at the end is enough. */
struct sftp_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

void sftp_reader_init(struct sftp_reader *reader, const void *data, size_t size);
uint8_t sftp_read_u8(struct sftp_reader *reader);
uint32_t sftp_read_u32(struct sftp_reader *reader);
uint64_t sftp_read_u64(struct sftp_reader *reader);
struct sftp_text sftp_read_text(struct sftp_reader *reader);
/* Reads `size` bytes that have no length in front of them. */
struct sftp_text sftp_read_bytes(struct sftp_reader *reader, size_t size);
size_t sftp_reader_left(const struct sftp_reader *reader);

/* True if the text equals `word`. */
bool sftp_text_is(const struct sftp_text *text, const char *word);

/* Finds one packet at the start of `data`. AFAR_OK: *body points to the *body_bytes bytes after the
 * length; the caller consumes *used bytes. AFAR_EAGAIN: the packet is incomplete; *used bytes are
 * needed to get further. AFAR_EPEER: the length is 0 or above SFTP_PACKET_MAX_BYTES. */
enum afar_status sftp_next(const uint8_t *data, size_t size, const uint8_t **body,
                           size_t *body_bytes, size_t *used, struct afar_error *err);

/* ---- writing --------------------------------------------------------------------------------- */

/* Writes one packet directly into room reserved in a buffer. `failed` stays true after the room was
 * too small or could not be reserved. */
struct sftp_writer {
    struct buffer *out;
    uint8_t *room;
    size_t room_bytes;
    size_t used;
    bool failed;
};

/* Starts a packet of at most `most_bytes` bytes after its length. */
void sftp_begin(struct sftp_writer *writer, struct buffer *out, size_t most_bytes);
void sftp_put_u8(struct sftp_writer *writer, uint8_t value);
void sftp_put_u32(struct sftp_writer *writer, uint32_t value);
void sftp_put_u64(struct sftp_writer *writer, uint64_t value);
void sftp_put_text(struct sftp_writer *writer, const void *bytes, size_t size);
void sftp_put_word(struct sftp_writer *writer, const char *word);
void sftp_put_bytes(struct sftp_writer *writer, const void *bytes, size_t size);

/* Returns room for `size` bytes that the caller fills in; NULL: there is no room, `failed` is
 * set. */
uint8_t *sftp_put_room(struct sftp_writer *writer, size_t size);

/* The position of the next byte, for sftp_patch_u32 and sftp_rewind. */
size_t sftp_mark(const struct sftp_writer *writer);
void sftp_patch_u32(struct sftp_writer *writer, size_t mark, uint32_t value);
/* Removes what was written since the mark. */
void sftp_rewind(struct sftp_writer *writer, size_t mark);

/* Ends the packet and appends it to the buffer. AFAR_ENOMEM: no memory, or the buffer was full.
 * AFAR_ELIMIT: most_bytes was too small. In both cases nothing was appended. */
enum afar_status sftp_end(struct sftp_writer *writer, struct afar_error *err);

#endif
