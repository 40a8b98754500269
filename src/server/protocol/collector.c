#include "server/protocol/collector.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"

enum { ROOM_BYTES = 65536, CHUNK_BYTES = 262144 };

struct collected {
    struct buffer memory;
    int fd; /* -1: none yet */
    uint64_t file_bytes;
};

enum work { WORK_NONE, WORK_SPILL, WORK_READ };

struct collector {
    struct worker *worker;
    const struct collector_ops *ops; /* NULL: to be freed when the companion is done */
    void *owner;
    struct collected streams[2];
    uint64_t total;

    /* While `work` is not WORK_NONE, the companion uses the following fields and streams[subject].
     */
    enum work work;
    unsigned subject;
    struct task task;
    enum afar_status status;
    struct afar_error err;
    struct digest *digest; /* NULL: not hashing */
    uint8_t *chunk;        /* what was read from a file */
    const uint8_t *data;
    size_t data_bytes;

    unsigned next_stream; /* where the next chunk comes from */
    uint64_t next_offset;
    bool next_wanted; /* collector_next was called while the companion was busy */
};

/* ---- in the companion ------------------------------------------------------------------------ */

/* Makes an unlinked file. Not every file system supports O_TMPFILE. */
static int open_temporary(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    char path[512];
    (void)snprintf(path, sizeof path, "%s/afard-XXXXXX", folder);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path);
    return fd;
}

static enum afar_status spill(struct collector *collector, struct collected *stream)
{
    const char *folder = collector->worker->shared->temporary;
    if (stream->fd < 0)
        stream->fd = open_temporary(folder);
    if (stream->fd < 0)
        return afar_fail_errno(&collector->err, errno, "cannot make a temporary file in %s",
                               folder);
    while (buffer_size(&stream->memory) > 0) {
        ssize_t written = pwrite(stream->fd, buffer_head(&stream->memory),
                                 buffer_size(&stream->memory), (off_t)stream->file_bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return afar_fail_errno(&collector->err, errno, "cannot write to a temporary file in %s",
                                   folder);
        stream->file_bytes += (uint64_t)written;
        buffer_consume(&stream->memory, (size_t)written);
    }
    return AFAR_OK;
}

static enum afar_status read_file(struct collector *collector, struct collected *stream)
{
    if (collector->chunk == NULL)
        collector->chunk = malloc(CHUNK_BYTES);
    if (collector->chunk == NULL)
        return afar_fail(&collector->err, AFAR_ENOMEM, "out of memory for collected output");
    ssize_t got;
    do {
        uint64_t left = stream->file_bytes - collector->next_offset;
        got = pread(stream->fd, collector->chunk, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES,
                    (off_t)collector->next_offset);
    } while (got < 0 && errno == EINTR);
    if (got <= 0)
        return afar_fail_errno(&collector->err, got < 0 ? errno : EIO,
                               "cannot read a temporary file back");
    collector->data = collector->chunk;
    collector->data_bytes = (size_t)got;
    return AFAR_OK;
}

static enum afar_status read_chunk(struct collector *collector, struct collected *stream)
{
    enum afar_status status = AFAR_OK;
    if (collector->next_offset < stream->file_bytes) {
        status = read_file(collector, stream);
    } else {
        size_t before = (size_t)(collector->next_offset - stream->file_bytes);
        size_t left = buffer_size(&stream->memory) - before;
        collector->data = buffer_head(&stream->memory) + before;
        collector->data_bytes = left < CHUNK_BYTES ? left : CHUNK_BYTES;
    }
    if (status == AFAR_OK && collector->digest != NULL)
        status = digest_update(collector->digest, collector->data, collector->data_bytes,
                               &collector->err);
    return status;
}

static void work_in_companion(struct task *task)
{
    struct collector *collector = list_object(task, struct collector, task);
    struct collected *stream = &collector->streams[collector->subject];
    collector->status =
        collector->work == WORK_SPILL ? spill(collector, stream) : read_chunk(collector, stream);
}

/* ---- in the worker --------------------------------------------------------------------------- */

static void free_now(struct collector *collector)
{
    for (int i = 0; i < 2; i++) {
        buffer_close(&collector->streams[i].memory);
        if (collector->streams[i].fd >= 0)
            (void)close(collector->streams[i].fd);
    }
    digest_free(collector->digest);
    free(collector->chunk);
    free(collector);
}

void collector_free(struct collector *collector)
{
    if (collector == NULL)
        return;
    collector->ops = NULL;
    if (collector->work == WORK_NONE)
        free_now(collector);
}

static void begin_work(struct collector *collector, enum work work, unsigned subject)
{
    collector->work = work;
    collector->subject = subject;
    companion_post(collector->worker->host.companion, &collector->task);
}

static uint64_t stream_bytes(const struct collected *stream)
{
    return stream->file_bytes + buffer_size(&stream->memory);
}

static void begin_next(struct collector *collector)
{
    while (collector->next_stream < 2 &&
           collector->next_offset == stream_bytes(&collector->streams[collector->next_stream])) {
        collector->next_stream++;
        collector->next_offset = 0;
    }
    if (collector->next_stream == 2)
        collector->ops->chunk(collector->owner, NULL, 0);
    else
        begin_work(collector, WORK_READ, collector->next_stream);
}

static void work_done(struct mail *mail)
{
    struct collector *collector = list_object(mail, struct collector, task.done);
    enum work work = collector->work;
    collector->work = WORK_NONE;
    if (collector->ops == NULL) {
        free_now(collector);
        return;
    }
    if (collector->status != AFAR_OK) {
        collector->ops->failed(collector->owner, &collector->err);
        return;
    }
    if (work == WORK_READ) {
        collector->next_offset += collector->data_bytes;
        collector->ops->chunk(collector->owner, collector->data, collector->data_bytes);
    } else if (collector->next_wanted) {
        collector->next_wanted = false;
        begin_next(collector);
    } else {
        collector->ops->room(collector->owner);
    }
}

struct collector *collector_new(struct worker *worker, const struct collector_ops *ops, void *owner)
{
    struct collector *collector = calloc(1, sizeof *collector);
    if (collector == NULL)
        return NULL;
    collector->worker = worker;
    collector->ops = ops;
    collector->owner = owner;
    collector->task.work = work_in_companion;
    collector->task.done.deliver = work_done;
    for (int i = 0; i < 2; i++) {
        collector->streams[i].fd = -1;
        buffer_init(&collector->streams[i].memory,
                    worker->config->collect_memory_bytes + ROOM_BYTES);
    }
    return collector;
}

enum afar_status collector_reserve(struct collector *collector, enum stream stream, uint8_t **room,
                                   size_t *size, struct afar_error *err)
{
    const struct config *config = collector->worker->config;
    struct collected *collected = &collector->streams[stream];
    if (collector->total > config->collect_max_bytes)
        return afar_fail(err, AFAR_ELIMIT, "more than %llu bytes of output (collect_max_bytes)",
                         (unsigned long long)config->collect_max_bytes);
    if (collector->work == WORK_SPILL && collector->subject == stream)
        return AFAR_EAGAIN;
    if (buffer_size(&collected->memory) >= config->collect_memory_bytes) {
        /* The companion was busy with the other stream when this one filled up. */
        if (collector->work == WORK_NONE)
            begin_work(collector, WORK_SPILL, stream);
        return AFAR_EAGAIN;
    }
    /* One byte beyond the limit shows that it is exceeded. */
    uint64_t left = config->collect_max_bytes - collector->total + 1;
    *size = left < ROOM_BYTES ? (size_t)left : ROOM_BYTES;
    return buffer_reserve(&collected->memory, *size, room, err);
}

void collector_commit(struct collector *collector, enum stream stream, size_t size)
{
    struct collected *collected = &collector->streams[stream];
    buffer_commit(&collected->memory, size);
    collector->total += size;
    if (collector->work == WORK_NONE &&
        buffer_size(&collected->memory) >= collector->worker->config->collect_memory_bytes)
        begin_work(collector, WORK_SPILL, stream);
}

uint64_t collector_total(const struct collector *collector)
{
    return collector->total;
}

void collector_rewind(struct collector *collector)
{
    collector->next_stream = 0;
    collector->next_offset = 0;
}

enum afar_status collector_begin_hash(struct collector *collector, const char *algorithm,
                                      struct afar_error *err)
{
    collector_rewind(collector);
    return digest_new(&collector->digest, algorithm, err);
}

enum afar_status collector_end_hash(struct collector *collector, char hex[DIGEST_HEX_BYTES],
                                    struct afar_error *err)
{
    enum afar_status status = digest_finish(collector->digest, hex, err);
    digest_free(collector->digest);
    collector->digest = NULL;
    return status;
}

void collector_next(struct collector *collector)
{
    if (collector->work == WORK_NONE)
        begin_next(collector);
    else
        collector->next_wanted = true;
}
