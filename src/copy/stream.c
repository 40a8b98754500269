/* Standard input as a source, standard output as a target. The caller reads and writes them. */
#include <string.h>
#include <time.h>

#include "copy/internal.h"

static void stream_find(struct item *item, bool follow)
{
    mode_t mask = umask(0);
    (void)umask(mask);
    (void)follow;
    item->info = (struct info){.mode = S_IFREG | (0666 & ~mask)};
    item_found(item, NULL);
}

static void stream_open(struct item *item)
{
    item_opened(item, NULL);
}

/* copy_input gives the result. */
static bool stream_read(struct item *item, uint64_t offset, size_t size)
{
    (void)offset;
    (void)size;
    item->copy->reader = item;
    return true;
}

static void stream_check(struct item *item)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    item->info.atime = item->info.mtime = (uint32_t)now.tv_sec;
    item->info.atime_ns = item->info.mtime_ns = (uint32_t)now.tv_nsec;
    item_checked(item, false, NULL, NULL);
}

static void stream_close(struct item *item)
{
    if (item->copy->reader == item)
        item->copy->reader = NULL;
}

const struct source stream_source = {
    .find = stream_find,
    .open = stream_open,
    .read = stream_read,
    .check = stream_check,
    .close = stream_close,
};

static void stream_begin(struct item *item)
{
    item_begun(item, 0, NULL);
}

/* Called for a second try only. What was written cannot be taken back. */
static void stream_empty(struct item *item)
{
    struct afar_error err;
    bool again = item->begun_bytes > 1; /* see step_opening */
    item_written(item, again ? copy_error(&err, "EBUSY", "changed while it was copied") : NULL);
}

static void stream_write(struct item *item, uint64_t offset, const uint8_t *data, size_t size)
{
    struct copy *copy = item->copy;
    struct afar_error err;
    size_t taken = 0;
    (void)offset;
    if (buffer_size(&copy->output) == 0)
        taken = copy->on_output(copy->user, data, size);
    bool kept = buffer_append(&copy->output, data + taken, size - taken, NULL) == AFAR_OK;
    item_written(item, kept ? NULL : copy_error(&err, "ENOMEM", "out of memory"));
}

static void stream_commit(struct item *item)
{
    item_committed(item, NULL);
}

static void stream_drop(struct item *item, bool keep)
{
    (void)item;
    (void)keep;
}

const struct target stream_target = {
    .begin = stream_begin,
    .empty = stream_empty,
    .write = stream_write,
    .commit = stream_commit,
    .drop = stream_drop,
};
