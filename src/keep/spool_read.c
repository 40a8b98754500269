/* Reading a spool: see spool.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "keep/spool_internal.h"

static bool read_all(int fd, void *room, size_t size, uint64_t offset)
{
    uint8_t *at = room;
    while (size > 0) {
        ssize_t got = pread(fd, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return true;
}

static bool read_head(int fd, uint64_t offset, struct spool_head *head)
{
    return read_all(fd, head, sizeof *head, offset) && head->magic == SPOOL_MAGIC &&
           head->version == SPOOL_VERSION && head->size > 0 && head->size <= SPOOL_RECORD_BYTES;
}

/* Checks the CRC; `payload` has head->size bytes. */
static bool is_sound(const struct spool *spool, const struct spool_head *head, const void *payload)
{
    struct spool_head bare = *head;
    bare.crc = 0;
    uint32_t crc = crc_add(&spool->crc, 0, &bare, sizeof bare);
    return crc_add(&spool->crc, crc, payload, head->size) == head->crc;
}

bool spool_read_record(const struct spool *spool, int fd, uint64_t offset, struct spool_head *head,
                       void *room, size_t room_bytes)
{
    return read_head(fd, offset, head) && head->size <= room_bytes &&
           read_all(fd, room, head->size, offset + sizeof *head) && is_sound(spool, head, room);
}

void spool_cursor_close(struct spool_cursor *cursor)
{
    if (cursor->fd >= 0)
        (void)close(cursor->fd);
    cursor->fd = -1;
}

/* The file that contains frame `seq`, or the first one after it. NULL: none. */
static const struct spool_file *find_file(const struct spool *spool, uint64_t seq)
{
    for (size_t i = 0; i < spool->count; i++) {
        if (seq < spool->files[i].end)
            return &spool->files[i];
    }
    return NULL;
}

static bool enter(struct spool *spool, struct spool_cursor *cursor, const struct spool_file *file)
{
    char name[SPOOL_NAME_BYTES];
    spool_cursor_close(cursor);
    spool_name(name, file->number);
    cursor->fd = openat(spool->folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (cursor->fd < 0)
        return false;
    cursor->file = file->number;
    cursor->offset = SPOOL_HEAD_BYTES + sizeof(struct spool_begin);
    return true;
}

static void to_beginning(struct spool_cursor *cursor, const struct spool_file *file)
{
    cursor->seq = file->first;
    memcpy(cursor->bytes, file->before, sizeof cursor->bytes);
}

/* Moves from the beginning of the file to frame `seq`, reading heads only. Stops before a gap that
 * contains `seq`, and at damage. */
static void walk(struct spool *spool, struct spool_cursor *cursor, uint64_t seq)
{
    while (cursor->seq < seq) {
        struct spool_head head;
        struct spool_gap gap;
        if (!read_head(cursor->fd, cursor->offset, &head) || head.seq != cursor->seq)
            return;
        if (head.kind == SPOOL_KIND_GAP) {
            if (!spool_read_record(spool, cursor->fd, cursor->offset, &head, &gap, sizeof gap) ||
                gap.next > seq || gap.next <= cursor->seq)
                return;
            cursor->seq = gap.next;
            cursor->bytes[0] += gap.lost[0];
            cursor->bytes[1] += gap.lost[1];
        } else if (head.kind == SPOOL_STDOUT || head.kind == SPOOL_STDERR) {
            cursor->seq++;
            cursor->bytes[head.kind] += head.size;
        } else {
            return;
        }
        cursor->offset += SPOOL_HEAD_BYTES + head.size;
    }
}

/* Where the next file after frame `beyond` begins; else the end of the spool. */
static void next_sound(const struct spool *spool, uint64_t beyond, uint64_t *next,
                       uint64_t bytes[2])
{
    for (size_t i = 0; i < spool->count; i++) {
        if (spool->files[i].first > beyond) {
            *next = spool->files[i].first;
            memcpy(bytes, spool->files[i].before, 2 * sizeof bytes[0]);
            return;
        }
    }
    *next = spool->end;
    memcpy(bytes, spool->bytes, 2 * sizeof bytes[0]);
}

static enum spool_got skip_to(struct spool_cursor *cursor, uint64_t next, const uint64_t bytes[2],
                              struct spool_record *record)
{
    record->next = next;
    for (int s = 0; s < 2; s++)
        record->lost[s] = bytes[s] - cursor->bytes[s];
    cursor->seq = next;
    memcpy(cursor->bytes, bytes, sizeof cursor->bytes);
    return SPOOL_GAP;
}

/* One gap for all that is missing here: up to the next file, or the end. */
static enum spool_got lack(struct spool *spool, struct spool_cursor *cursor,
                           struct spool_record *record)
{
    uint64_t next = 0;
    uint64_t bytes[2];
    next_sound(spool, cursor->seq, &next, bytes);
    spool_cursor_close(cursor);
    return skip_to(cursor, next, bytes, record);
}

/* The bytes before frame `seq`. False: it is inside a gap. */
static bool find(struct spool *spool, uint64_t seq, struct spool_cursor *at)
{
    const struct spool_file *file = find_file(spool, seq);
    if (seq == spool->end) {
        at->seq = seq;
        memcpy(at->bytes, spool->bytes, sizeof at->bytes);
        return true;
    }
    if (file != NULL && file->first <= seq) {
        to_beginning(at, file);
        if (enter(spool, at, file))
            walk(spool, at, seq);
        spool_cursor_close(at);
        return at->seq == seq;
    }
    /* Between files: a gap begins where the file before it ends. */
    at->seq = at->bytes[0] = at->bytes[1] = 0;
    for (size_t i = 0; i < spool->count && spool->files[i].end <= seq; i++) {
        at->seq = spool->files[i].end;
        memcpy(at->bytes, spool->files[i].after, sizeof at->bytes);
    }
    return at->seq == seq;
}

/* Finds the frame in the file. False: the frame is inside a gap, and the cursor's file position is
 * before that gap; or the file is damaged. */
static bool find_in(struct spool *spool, struct spool_cursor *cursor, const struct spool_file *file)
{
    struct spool_cursor found = {.fd = -1};
    spool_cursor_close(cursor);
    to_beginning(&found, file);
    if (!enter(spool, &found, file))
        return false;
    walk(spool, &found, cursor->seq);
    cursor->fd = found.fd;
    cursor->file = found.file;
    cursor->offset = found.offset;
    return found.seq == cursor->seq;
}

/* The cursor is inside a gap, because a part of it was reported before it was written: reports the
 * rest. */
static enum spool_got leave_gap(struct spool *spool, struct spool_cursor *cursor,
                                struct spool_record *record)
{
    struct spool_head head;
    struct spool_gap gap;
    struct spool_cursor at = {.fd = -1};
    if (cursor->fd < 0 ||
        !spool_read_record(spool, cursor->fd, cursor->offset, &head, &gap, sizeof gap) ||
        head.kind != SPOOL_KIND_GAP || head.size != sizeof gap || gap.next <= cursor->seq ||
        !find(spool, gap.next, &at))
        return lack(spool, cursor, record);
    cursor->offset += SPOOL_HEAD_BYTES + head.size;
    return skip_to(cursor, gap.next, at.bytes, record);
}

/* Reads the next record of the cursor's file. False: there is none, or it is not sound. */
static bool read_next(struct spool *spool, struct spool_cursor *cursor, void *room,
                      size_t room_bytes, enum spool_got *got, struct spool_record *record)
{
    struct spool_head head;
    if (!read_head(cursor->fd, cursor->offset, &head) || head.seq != cursor->seq)
        return false;
    if (head.kind == SPOOL_KIND_GAP) {
        struct spool_gap gap;
        if (!spool_read_record(spool, cursor->fd, cursor->offset, &head, &gap, sizeof gap) ||
            head.size != sizeof gap || gap.next <= cursor->seq)
            return false;
        const uint64_t bytes[2] = {cursor->bytes[0] + gap.lost[0], cursor->bytes[1] + gap.lost[1]};
        cursor->offset += SPOOL_HEAD_BYTES + head.size;
        *got = skip_to(cursor, gap.next, bytes, record);
        return true;
    }
    if (head.kind != SPOOL_STDOUT && head.kind != SPOOL_STDERR)
        return false;
    *record = (struct spool_record){
        .stream = (enum stream)head.kind, .size = head.size, .wall_us = head.wall_us};
    *got = SPOOL_ROOM;
    if (head.size > room_bytes)
        return true;
    if (!spool_read_record(spool, cursor->fd, cursor->offset, &head, room, room_bytes))
        return false;
    cursor->offset += SPOOL_HEAD_BYTES + head.size;
    cursor->seq++;
    cursor->bytes[head.kind] += head.size;
    *got = SPOOL_FRAME;
    return true;
}

enum spool_got spool_next(struct spool *spool, struct spool_cursor *cursor, void *room,
                          size_t room_bytes, struct spool_record *record)
{
    enum spool_got got = SPOOL_END;
    *record = (struct spool_record){0};
    if (cursor->seq >= spool->end)
        return SPOOL_END;
    const struct spool_file *file = find_file(spool, cursor->seq);
    if (file == NULL || cursor->seq < file->first) /* not written, or removed */
        return lack(spool, cursor, record);
    if ((cursor->fd < 0 || cursor->file != file->number) && !find_in(spool, cursor, file))
        return leave_gap(spool, cursor, record);
    return read_next(spool, cursor, room, room_bytes, &got, record) ? got
                                                                    : lack(spool, cursor, record);
}

bool spool_bytes_before(struct spool *spool, uint64_t seq, uint64_t bytes[2])
{
    struct spool_cursor at = {.fd = -1};
    if (seq > spool->end)
        return false;
    const bool known = find(spool, seq, &at);
    memcpy(bytes, at.bytes, sizeof at.bytes);
    return known;
}

/* ---- by time --------------------------------------------------------------------------------- */

/* The time at which the file was begun. False: it cannot be read. */
static bool begun_at(const struct spool *spool, const struct spool_file *file, uint64_t *wall_us)
{
    char name[SPOOL_NAME_BYTES];
    struct spool_head head;
    spool_name(name, file->number);
    int fd = openat(spool->folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool sound = read_head(fd, 0, &head);
    (void)close(fd);
    *wall_us = head.wall_us;
    return sound;
}

/* The first record of the file at or after that time, or the file's end. */
static uint64_t since_in(struct spool *spool, const struct spool_file *file, uint64_t wall_us)
{
    struct spool_cursor at = {.fd = -1};
    struct spool_head head;
    to_beginning(&at, file);
    if (!enter(spool, &at, file))
        return file->first;
    while (at.seq < file->end && read_head(at.fd, at.offset, &head) && head.wall_us < wall_us) {
        const uint64_t seq = at.seq;
        struct spool_gap gap;
        uint64_t next = seq + 1;
        if (head.kind == SPOOL_KIND_GAP &&
            spool_read_record(spool, at.fd, at.offset, &head, &gap, sizeof gap))
            next = gap.next;
        walk(spool, &at, next);
        if (at.seq <= seq)
            break;
    }
    spool_cursor_close(&at);
    return at.seq;
}

uint64_t spool_since(struct spool *spool, uint64_t wall_us)
{
    size_t i = spool->count;
    uint64_t begun_us = 0;
    /* The last file that was begun before that time contains the first such record. */
    while (i > 0 && begun_at(spool, &spool->files[i - 1], &begun_us) && begun_us >= wall_us)
        i--;
    return i > 0 ? since_in(spool, &spool->files[i - 1], wall_us) : 0;
}
