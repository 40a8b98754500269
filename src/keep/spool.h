/* The output of a kept job on the disk, in files of a folder: out.000001, out.000002, …
 *
 * A file is a series of records, each a head of 32 bytes and a payload. The first record of a file
 * says which frame comes next and how many bytes of each stream lie before it; so if a file is
 * missing or damaged, the number of missing frames and bytes is known. A record with output is one
 * frame of the wire, with the same sequence number; its head is not the wire's, which contains the
 * id of the request.
 *
 * Within the limit the beginning (a quarter of it) and the end are kept: beyond it the oldest file
 * after the beginning is removed. Output that cannot be written (no space, a quota, a bad disk) is
 * counted and recorded as a gap. Readers get a gap for all that is missing.
 *
 * Owns:    the descriptor of the file being written, and a list of the files. The folder's is
 *          *kept*.
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
    SPOOL_RECORD_BYTES = 65536, /* the capacity of a pipe: pipe(7) */
    SPOOL_HEAD_BYTES = 32,
    SPOOL_VERSION = 1,
    SPOOL_SEGMENT_BYTES = 4 << 20 /* lost at a time when the limit is exceeded */
};

struct spool;

struct spool_limits {
    uint64_t bytes;         /* all files together */
    uint64_t segment_bytes; /* of one file; 0: a 16th of `bytes`, at most SPOOL_SEGMENT_BYTES */
    enum when_full when_full;
};

/* Opens the spool in the folder, or makes an empty one. If the last file is torn (a power failure,
 * a kill), its whole records are kept. AFAR_EREFUSED: written by a later version. AFAR_ESYSTEM,
 * AFAR_ENOMEM. */
enum afar_status spool_open(struct spool **spool, int folder_fd, const struct spool_limits *limits,
                            struct afar_error *err);
void spool_free(struct spool *spool);

/* Adds a frame. AFAR_EAGAIN (only with WHEN_FULL_BLOCK): no room on the disk or within the limit;
 * nothing was added. Otherwise AFAR_OK: the frame was added, or counted as a gap. */
enum afar_status spool_append(struct spool *spool, enum stream stream, const void *data,
                              size_t size);

/* True if spool_append of a full record would return AFAR_EAGAIN because of the limit. May remove
 * files that are no longer needed. */
bool spool_is_full(struct spool *spool);

/* WHEN_FULL_BLOCK: frames below `next` are no longer needed; files that contain only such frames
 * may be removed. */
void spool_release(struct spool *spool, uint64_t next);

/* For a spool that was opened again: the output had frames up to `end`, with so many bytes (as in
 * the receipt). Frames that are not in the files become a gap; frames beyond `end` are ignored. */
void spool_complete(struct spool *spool, uint64_t end, const uint64_t bytes[2]);

/* When this returns all that was written is on the disk. AFAR_ESYSTEM. */
enum afar_status spool_sync(struct spool *spool, struct afar_error *err);

/* The sequence number after the newest frame, and the bytes of each stream before it. */
uint64_t spool_end(const struct spool *spool);
void spool_bytes(const struct spool *spool, uint64_t bytes[2]);

/* The first frame that was written at or after this time of the wall clock, or may have been: when
 * missing frames were written is known only from those around them. */
uint64_t spool_since(struct spool *spool, uint64_t wall_us);

/* The bytes of each stream before frame `seq`. False: it is beyond the end; or within a gap, and
 * the bytes are those before that. */
bool spool_bytes_before(struct spool *spool, uint64_t seq, uint64_t bytes[2]);

/* The errno of the last failed write, 0 if the last write succeeded. *lost_bytes: the total that
 * failed writes have lost. */
int spool_failure(const struct spool *spool, uint64_t *lost_bytes);

/* ---- reading --------------------------------------------------------------------------------- */

/* A position in the spool. The caller sets `seq` (at most spool_end), the bytes before it, and fd
 * to -1. Adding and removing files does not invalidate it. */
struct spool_cursor {
    uint64_t seq;      /* the next frame */
    uint64_t bytes[2]; /* of output before it */
    int fd;            /* owned: the file at that position; -1: must be looked up */
    uint64_t file;     /* number of that file */
    uint64_t offset;   /* in that file */
};

void spool_cursor_close(struct spool_cursor *cursor);

enum spool_got {
    SPOOL_FRAME, /* `size` bytes were read; the cursor is after the frame */
    SPOOL_GAP,   /* frames before `next` are missing, with `lost` bytes; the cursor is at `next` */
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
