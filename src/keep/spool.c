#include "keep/spool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"

enum { SEGMENTS = 16, HEAD_SHARE = 4, SEGMENT_MIN_BYTES = 4096 };

static const char prefix[] = "out.";

void spool_name(char name[SPOOL_NAME_BYTES], uint64_t number)
{
    (void)snprintf(name, SPOOL_NAME_BYTES, "%s%06llu", prefix, (unsigned long long)number);
}

static uint64_t wall_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint32_t sum(const struct spool *spool, const struct spool_head *head, const void *payload)
{
    struct spool_head bare = *head;
    bare.crc = 0;
    return crc_add(&spool->crc, crc_add(&spool->crc, 0, &bare, sizeof bare), payload, head->size);
}

/* ---- the files ------------------------------------------------------------------------------- */

static struct spool_file *last_file(const struct spool *spool)
{
    return spool->count > 0 ? &spool->files[spool->count - 1] : NULL;
}

static struct spool_file *add_file(struct spool *spool)
{
    if (spool->files == NULL || spool->count == spool->room) {
        size_t room = spool->files == NULL || spool->room == 0 ? SEGMENTS + 2 : 2 * spool->room;
        struct spool_file *files = realloc(spool->files, room * sizeof *files);
        if (files == NULL)
            return NULL;
        spool->files = files;
        spool->room = room;
    }
    spool->files[spool->count] = (struct spool_file){0};
    return &spool->files[spool->count++];
}

static void remove_file(struct spool *spool, size_t index)
{
    char name[SPOOL_NAME_BYTES];
    spool_name(name, spool->files[index].number);
    (void)unlinkat(spool->folder_fd, name, 0);
    spool->total -= spool->files[index].size;
    spool->count--;
    memmove(&spool->files[index], &spool->files[index + 1],
            (spool->count - index) * sizeof spool->files[0]);
}

/* The oldest file that may be removed. False: there is none. */
static bool find_oldest(const struct spool *spool, size_t *index)
{
    uint64_t kept = 0;
    if (spool->limits.when_full == WHEN_FULL_BLOCK) { /* only files with needed frames are kept */
        *index = 0;
        return spool->count > 1 && spool->files[0].end <= spool->released;
    }
    for (size_t i = 0; i + 1 < spool->count; i++) {
        bool contiguous = i == 0 || spool->files[i].number == spool->files[i - 1].number + 1;
        kept += spool->files[i].size;
        if (kept > spool->limits.bytes / HEAD_SHARE || !contiguous) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* Removes files until `size` more bytes are within the limit. */
static bool make_room(struct spool *spool, size_t size)
{
    size_t index = 0;
    while (spool->total + size > spool->limits.bytes) {
        if (!find_oldest(spool, &index))
            return false;
        remove_file(spool, index);
    }
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Writes a record whole or not at all: a part is truncated. If that fails, the next record begins a
 * new file. */
static bool write_record(struct spool *spool, struct spool_file *file, enum spool_kind kind,
                         uint64_t seq, const void *data, size_t size)
{
    struct spool_head head = {.magic = SPOOL_MAGIC,
                              .version = SPOOL_VERSION,
                              .kind = (uint8_t)kind,
                              .size = (uint32_t)size,
                              .seq = seq,
                              .wall_us = wall_us()};
    head.crc = sum(spool, &head, data);
    const size_t whole = sizeof head + size;
    size_t done = 0;
    while (done < whole) {
        struct iovec parts[2] = {{.iov_base = (char *)&head + done, .iov_len = sizeof head - done},
                                 {.iov_base = (void *)(uintptr_t)data, .iov_len = size}};
        bool head_done = done >= sizeof head;
        if (head_done)
            parts[1] = (struct iovec){.iov_base = (char *)(uintptr_t)data + (done - sizeof head),
                                      .iov_len = whole - done};
        ssize_t written = pwritev(spool->fd, head_done ? &parts[1] : parts, head_done ? 1 : 2,
                                  (off_t)(file->size + done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        done += (size_t)written;
    }
    if (done == whole) {
        file->size += whole;
        spool->total += whole;
        spool->failure = 0;
        return true;
    }
    spool->failure = errno != 0 ? errno : ENOSPC;
    if (done > 0 && ftruncate(spool->fd, (off_t)file->size) != 0) {
        (void)close(spool->fd);
        spool->fd = -1;
    }
    return false;
}

static void end_file(struct spool *spool)
{
    struct spool_file *file = last_file(spool);
    if (spool->fd < 0 || file == NULL)
        return;
    /* Starts writing to the disk without waiting: a power failure then costs only a few seconds. */
    (void)sync_file_range(spool->fd, 0, (off_t)file->size, SYNC_FILE_RANGE_WRITE);
    (void)close(spool->fd);
    spool->fd = -1;
}

/* Begins the next file, with frame `first`. */
static bool begin_file(struct spool *spool, uint64_t first, const uint64_t before[2])
{
    char name[SPOOL_NAME_BYTES];
    const struct spool_begin begin = {.before = {before[0], before[1]}};
    end_file(spool);
    spool_name(name, spool->last_number + 1);
    int fd = openat(spool->folder_fd, name,
                    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    struct spool_file *file = fd >= 0 ? add_file(spool) : NULL;
    if (file == NULL) {
        spool->failure = fd < 0 ? errno : ENOMEM;
        if (fd >= 0) {
            (void)close(fd);
            (void)unlinkat(spool->folder_fd, name, 0);
        }
        return false;
    }
    *file = (struct spool_file){.number = spool->last_number + 1,
                                .first = first,
                                .before = {before[0], before[1]},
                                .end = first,
                                .after = {before[0], before[1]}};
    spool->fd = fd;
    if (!write_record(spool, file, SPOOL_BEGIN, first, &begin, sizeof begin)) {
        if (spool->fd >= 0)
            (void)close(spool->fd);
        spool->fd = -1;
        remove_file(spool, spool->count - 1);
        return false;
    }
    spool->last_number++;
    return true;
}

/* Makes sure that a record of this size can be written to the last file; begins a new file if
 * needed. `seq`, `before`: where a new file begins. */
static bool prepare(struct spool *spool, uint64_t seq, const uint64_t before[2], size_t size)
{
    const size_t begin_bytes = SPOOL_HEAD_BYTES + sizeof(struct spool_begin);
    if (!make_room(spool, SPOOL_HEAD_BYTES + size + begin_bytes)) {
        spool->failure = ENOSPC;
        return false;
    }
    const struct spool_file *file = last_file(spool);
    if (spool->fd >= 0 && file != NULL &&
        file->size + SPOOL_HEAD_BYTES + size <= spool->limits.segment_bytes)
        return true;
    return begin_file(spool, seq, before);
}

/* Records the frames that could not be written before. */
static bool write_gap(struct spool *spool)
{
    uint64_t next = spool->end;
    const struct spool_gap gap = {.next = next, .lost = {spool->gap_bytes[0], spool->gap_bytes[1]}};
    uint64_t before[2] = {spool->bytes[0] - gap.lost[0], spool->bytes[1] - gap.lost[1]};
    if (spool->gap_first == next)
        return true;
    if (!prepare(spool, spool->gap_first, before, sizeof gap) ||
        !write_record(spool, last_file(spool), SPOOL_KIND_GAP, spool->gap_first, &gap, sizeof gap))
        return false;
    struct spool_file *file = last_file(spool);
    if (file == NULL)
        return false;
    file->end = next;
    memcpy(file->after, spool->bytes, sizeof file->after);
    spool->gap_first = next;
    spool->gap_bytes[0] = spool->gap_bytes[1] = 0;
    return true;
}

static bool put(struct spool *spool, enum stream stream, const void *data, size_t size)
{
    if (!write_gap(spool) || !prepare(spool, spool->end, spool->bytes, size) ||
        !write_record(spool, last_file(spool), (enum spool_kind)stream, spool->end, data, size))
        return false;
    struct spool_file *file = last_file(spool);
    spool->bytes[stream] += size;
    spool->end++;
    spool->gap_first = spool->end;
    file->end = spool->end;
    memcpy(file->after, spool->bytes, sizeof file->after);
    return true;
}

enum afar_status spool_append(struct spool *spool, enum stream stream, const void *data,
                              size_t size)
{
    if (put(spool, stream, data, size))
        return AFAR_OK;
    if (spool->limits.when_full == WHEN_FULL_BLOCK)
        return AFAR_EAGAIN;
    spool->gap_bytes[stream] += size;
    spool->lost_bytes += size;
    spool->bytes[stream] += size;
    spool->end++;
    return AFAR_OK;
}

bool spool_is_full(struct spool *spool)
{
    const size_t most = 2 * SPOOL_HEAD_BYTES + SPOOL_RECORD_BYTES + sizeof(struct spool_begin);
    return spool->limits.when_full == WHEN_FULL_BLOCK && !make_room(spool, most);
}

void spool_release(struct spool *spool, uint64_t next)
{
    if (next > spool->released)
        spool->released = next;
}

enum afar_status spool_sync(struct spool *spool, struct afar_error *err)
{
    (void)write_gap(spool);
    /* Writing of the earlier files was started when they ended; wait for them, too. */
    for (size_t i = 0; i < spool->count; i++) {
        char name[SPOOL_NAME_BYTES];
        bool last = i + 1 == spool->count && spool->fd >= 0;
        spool_name(name, spool->files[i].number);
        int fd = last ? spool->fd : openat(spool->folder_fd, name, O_RDONLY | O_CLOEXEC);
        int failed = fd < 0 || fdatasync(fd) != 0 ? errno : 0;
        if (fd >= 0 && !last)
            (void)close(fd);
        if (failed != 0)
            return afar_fail_errno(err, failed, "cannot bring output to the disk");
    }
    return AFAR_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    const struct spool_file *one = a;
    const struct spool_file *other = b;
    return one->number < other->number ? -1 : one->number > other->number;
}

/* Opens the file and reads its first record. AFAR_EPEER: that is not sound. */
static enum afar_status open_file(struct spool *spool, struct spool_file *file, int *fd,
                                  struct afar_error *err)
{
    char name[SPOOL_NAME_BYTES];
    struct spool_head head;
    struct spool_begin begin;
    struct stat info;
    spool_name(name, file->number);
    *fd = openat(spool->folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (*fd < 0 || fstat(*fd, &info) != 0)
        return afar_fail_errno(err, errno, "cannot open '%s'", name);
    if (!S_ISREG(info.st_mode))
        return afar_fail(err, AFAR_EPEER, "'%s' is not a file", name);
    if (pread(*fd, &head, sizeof head, 0) == (ssize_t)sizeof head && head.magic == SPOOL_MAGIC &&
        head.version > SPOOL_VERSION)
        return afar_fail(err, AFAR_EREFUSED, "'%s' is of a later version", name);
    if (!spool_read_record(spool, *fd, 0, &head, &begin, sizeof begin) ||
        head.kind != SPOOL_BEGIN || head.size != sizeof begin)
        return afar_fail(err, AFAR_EPEER, "'%s' has no beginning", name);
    file->first = file->end = head.seq;
    memcpy(file->before, begin.before, sizeof file->before);
    memcpy(file->after, begin.before, sizeof file->after);
    file->size = (uint64_t)info.st_size;
    return AFAR_OK;
}

/* Finds the end of the last whole record. What is after it stays in the file: the disk may only
 * have failed to answer, and this file is not written to any more. */
static enum afar_status scan(struct spool *spool, struct spool_file *file, int fd,
                             struct afar_error *err)
{
    uint8_t *room = malloc(SPOOL_RECORD_BYTES);
    struct spool_head head;
    struct spool_gap gap;
    uint64_t offset = 0;
    if (room == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a spool");
    while (spool_read_record(spool, fd, offset, &head, room, SPOOL_RECORD_BYTES)) {
        if (head.kind == SPOOL_KIND_GAP && head.size == sizeof gap) {
            memcpy(&gap, room, sizeof gap);
            file->end = gap.next;
            file->after[0] += gap.lost[0];
            file->after[1] += gap.lost[1];
        } else if (head.kind == SPOOL_STDOUT || head.kind == SPOOL_STDERR) {
            file->end = head.seq + 1;
            file->after[head.kind] += head.size;
        }
        offset += SPOOL_HEAD_BYTES + head.size;
    }
    free(room);
    return AFAR_OK;
}

static enum afar_status list_files(struct spool *spool, struct afar_error *err)
{
    int fd = openat(spool->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        int failed = errno;
        if (fd >= 0)
            (void)close(fd);
        return afar_fail_errno(err, failed, "cannot list a job's folder");
    }
    enum afar_status status = AFAR_OK;
    const struct dirent *entry;
    while (status == AFAR_OK && (entry = readdir(folder)) != NULL) {
        uint64_t number = 0;
        if (strncmp(entry->d_name, prefix, sizeof prefix - 1) != 0 ||
            number_parse(entry->d_name + sizeof prefix - 1, 1, UINT32_MAX, &number, NULL) !=
                AFAR_OK)
            continue;
        struct spool_file *file = add_file(spool);
        if (file == NULL)
            status = afar_fail(err, AFAR_ENOMEM, "out of memory for a spool");
        else
            file->number = number;
    }
    (void)closedir(folder);
    if (spool->count > 0)
        qsort(spool->files, spool->count, sizeof spool->files[0], by_number);
    return status;
}

/* Each file ends where the next begins; the last one at its last whole record. A file without a
 * sound first record is skipped, because nothing in it can be trusted. */
static enum afar_status load(struct spool *spool, struct afar_error *err)
{
    enum afar_status status = list_files(spool, err);
    if (status == AFAR_OK && spool->count > 0)
        spool->last_number = spool->files[spool->count - 1].number;
    size_t kept = 0;
    for (size_t i = 0; i < spool->count && status == AFAR_OK; i++) {
        struct spool_file file = spool->files[i];
        int fd = -1;
        status = open_file(spool, &file, &fd, err);
        if (status == AFAR_OK && i + 1 == spool->count)
            status = scan(spool, &file, fd, err);
        if (fd >= 0)
            (void)close(fd);
        if (status == AFAR_EPEER) {
            status = AFAR_OK;
            continue;
        }
        if (kept > 0) {
            spool->files[kept - 1].end = file.first;
            memcpy(spool->files[kept - 1].after, file.before, sizeof file.before);
        }
        spool->total += file.size;
        spool->files[kept++] = file;
    }
    spool->count = kept;
    if (kept > 0) {
        spool->end = spool->files[kept - 1].end;
        memcpy(spool->bytes, spool->files[kept - 1].after, sizeof spool->bytes);
    }
    spool->gap_first = spool->end;
    return status;
}

enum afar_status spool_open(struct spool **spool, int folder_fd, const struct spool_limits *limits,
                            struct afar_error *err)
{
    struct spool *made = calloc(1, sizeof *made);
    *spool = NULL;
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a spool");
    made->folder_fd = folder_fd;
    made->fd = -1;
    made->limits = *limits;
    if (made->limits.segment_bytes == 0) {
        made->limits.segment_bytes = limits->bytes / SEGMENTS;
        if (made->limits.segment_bytes > SPOOL_SEGMENT_BYTES)
            made->limits.segment_bytes = SPOOL_SEGMENT_BYTES;
    }
    if (made->limits.segment_bytes < SEGMENT_MIN_BYTES)
        made->limits.segment_bytes = SEGMENT_MIN_BYTES;
    crc_init(&made->crc);
    enum afar_status status = load(made, err);
    if (status != AFAR_OK) {
        spool_free(made);
        return status;
    }
    *spool = made;
    return AFAR_OK;
}

void spool_free(struct spool *spool)
{
    if (spool == NULL)
        return;
    if (spool->fd >= 0)
        (void)close(spool->fd);
    free(spool->files);
    free(spool);
}

void spool_complete(struct spool *spool, uint64_t end, const uint64_t bytes[2])
{
    if (end < spool->end) { /* the receipt's keeper could not read all of it */
        spool->end = end;
        memcpy(spool->bytes, bytes, sizeof spool->bytes);
        return;
    }
    for (int s = 0; s < 2; s++)
        spool->gap_bytes[s] += bytes[s] - spool->bytes[s];
    spool->end = end;
    memcpy(spool->bytes, bytes, sizeof spool->bytes);
}

uint64_t spool_end(const struct spool *spool)
{
    return spool->end;
}

void spool_bytes(const struct spool *spool, uint64_t bytes[2])
{
    memcpy(bytes, spool->bytes, sizeof spool->bytes);
}

int spool_failure(const struct spool *spool, uint64_t *lost_bytes)
{
    *lost_bytes = spool->lost_bytes;
    return spool->failure;
}
