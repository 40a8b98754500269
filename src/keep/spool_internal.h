/* Shared by spool.c (writing, opening) and spool_read.c only. */
#ifndef KEEP_SPOOL_INTERNAL_H
#define KEEP_SPOOL_INTERNAL_H

#include "keep/crc.h"
#include "keep/spool.h"

enum { SPOOL_NAME_BYTES = 32, SPOOL_MAGIC = 0x5341 };

/* The kind of a record. The payload of a gap is struct spool_gap, of a beginning struct
 * spool_begin. */
enum spool_kind {
    SPOOL_STDOUT = STREAM_STDOUT,
    SPOOL_STDERR = STREAM_STDERR,
    SPOOL_KIND_GAP = 3,
    SPOOL_BEGIN = 4
};

/* As it is in the file, in this machine's byte order: only this machine reads it. */
struct spool_head {
    uint16_t magic;
    uint8_t version;
    uint8_t kind;
    uint32_t size; /* of the payload */
    uint64_t seq;
    uint64_t wall_us;
    uint32_t crc; /* of the head, with this member 0, and the payload */
    uint32_t zero;
};
_Static_assert(sizeof(struct spool_head) == SPOOL_HEAD_BYTES, "a head without holes");

struct spool_gap {
    uint64_t next;
    uint64_t lost[2];
};

struct spool_begin {
    uint64_t before[2]; /* bytes of each stream */
};

/* One file. `end` and `after` say where the next file begins: records missing before that are a
 * gap. */
struct spool_file {
    uint64_t number;
    uint64_t first;
    uint64_t before[2];
    uint64_t end;
    uint64_t after[2];
    uint64_t size;
};

struct spool {
    int folder_fd;
    int fd; /* of the last file; -1: the next record begins another file */
    struct spool_limits limits;
    struct crc crc;
    struct spool_file *files; /* oldest first */
    size_t count;
    size_t room;
    uint64_t last_number;
    uint64_t total; /* bytes of all files */
    uint64_t end;
    uint64_t bytes[2];
    uint64_t released;
    /* Not written yet: frames gap_first to end - 1; none if gap_first is `end`. */
    uint64_t gap_first;
    uint64_t gap_bytes[2];
    int failure;
    uint64_t lost_bytes;
};

void spool_name(char name[SPOOL_NAME_BYTES], uint64_t number);

/* Reads the record at `offset`. False: there is no whole and sound record of this version, or its
 * payload is larger than the room. */
bool spool_read_record(const struct spool *spool, int fd, uint64_t offset, struct spool_head *head,
                       void *room, size_t room_bytes);

#endif
