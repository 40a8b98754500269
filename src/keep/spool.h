/* The output of a kept job on the disk, in files of a folder: out.000001, out.000002, …
 *
 * A file is a row of records, each a head of 32 bytes and its payload. The first record of a file
 * says which frame comes next and how many bytes of each stream lie before it; so a file that is
 * gone, or damaged, is missing by a number of frames and bytes that is known. A record with output
 * is one frame of the wire, under the same sequence number; its head is not the wire's, because
 * that names the request that it is sent for.
 *
 * Within the limit the beginning (a quarter of it) and the end are kept: beyond it the oldest file
 * after the beginning is removed. What cannot be written (no space, a quota, a bad disk) is counted,
 * and stands in the spool as a gap. Readers get a gap for what is not there, never silence.
 *
 * Owns:    the descriptor of the file that is written, a list of the files. The folder's is *kept*.
 * Threads: one owner.
 * Blocks:  on the file system.
 * Limits:  struct spool_limits; SPOOL_RECORD_BYTES of output in a record. */
#ifndef KEEP_SPOOL_H
#define KEEP_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "wire/message.h"

enum {
    SPOOL_RECORD_BYTES = 65536, /* what a pipe(7) holds */
    SPOOL_HEAD_BYTES = 32,
    SPOOL_VERSION = 1,
    SPOOL_SEGMENT_BYTES = 4 << 20 /* so much is lost at once where the limit is passed */
};

struct spool;

struct spool_limits {
    uint64_t bytes;         /* of all files */
    uint64_t segment_bytes; /* of one; 0: SPOOL_SEGMENT_BYTES, or a 16th of `bytes` */
    enum when_full when_full;
};

/* What is in the folder, or an empty one. Where the last file was torn (a power failure, a kill),
 * what is whole is kept. AFAR_EREFUSED: of a later version. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status spool_open(struct spool **spool, int folder_fd, const struct spool_limits *limits,
                            struct afar_error *err);
void spool_free(struct spool *spool);

/* Adds a frame. AFAR_EAGAIN (only with WHEN_FULL_BLOCK): no room, on the disk or below the limit;
 * nothing was added. Otherwise it has been added, if only as a gap. */
enum afar_status spool_append(struct spool *spool, enum stream stream, const void *data,
                              size_t size);

/* Whether spool_append would say AFAR_EAGAIN now. */
bool spool_is_full(struct spool *spool);

/* WHEN_FULL_BLOCK: nobody needs frames below `next` any more; the files that have no others may go.
 */
void spool_release(struct spool *spool, uint64_t next);

/* The frames and bytes up to here were there once (`end` as in the receipt): what of them is not in
 * the files is a gap, and what is beyond is not there. For a spool that was opened again. */
void spool_complete(struct spool *spool, uint64_t end, const uint64_t bytes[2]);

/* What was written is on the disk when this returns. */
enum afar_status spool_sync(struct spool *spool, struct afar_error *err);

/* One beyond the newest frame, and the bytes of each stream before it. */
uint64_t spool_end(const struct spool *spool);
void spool_bytes(const struct spool *spool, uint64_t bytes[2]);

/* The first frame that was written at that time of the wall clock or later. */
uint64_t spool_since(struct spool *spool, uint64_t wall_us);

/* The bytes of each stream before frame `seq`. False: it is within a gap, or beyond the end. */
bool spool_bytes_before(struct spool *spool, uint64_t seq, uint64_t bytes[2]);

/* The last failure of writing, 0 where the last write was good; and how many bytes it has cost. */
int spool_failure(const struct spool *spool, uint64_t *lost_bytes);

/* ---- reading --------------------------------------------------------------------------------- */

/* A place in it: the caller sets `seq` (at most spool_end) and the bytes before it, and fd to -1.
 * Stays valid whatever is added or removed. */
struct spool_cursor {
    uint64_t seq;      /* of the frame that comes next */
    uint64_t bytes[2]; /* before it */
    int fd;            /* owned, of the file that it is in; -1: it is to be found anew */
    uint64_t file;     /* its number */
    uint64_t offset;   /* in there */
};

void spool_cursor_close(struct spool_cursor *cursor);

enum spool_got {
    SPOOL_FRAME, /* `size` bytes are in the room, and the cursor is behind it */
    SPOOL_GAP,   /* frames up to next - 1 are not there, so many bytes; the cursor is at `next` */
    SPOOL_ROOM,  /* the frame needs a room of `size` bytes */
    SPOOL_END    /* nothing more (yet) */
};

struct spool_record {
    enum stream stream;
    size_t size;
    uint64_t next;
    uint64_t lost[2];
    uint64_t wall_us; /* when it was written */
};

enum spool_got spool_next(struct spool *spool, struct spool_cursor *cursor, void *room,
                          size_t room_bytes, struct spool_record *record);

#endif
