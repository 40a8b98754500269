/* A local source. Inside a tree each component is opened separately, and no link is followed
 * (except with --links follow). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "copy/internal.h"

static bool follows(const struct folder *folder)
{
    return folder->copy->options.links == COPY_LINKS_FOLLOW;
}

static enum next local_next(struct folder *folder, struct entry *entry)
{
    const struct dirent *found = NULL;
    struct afar_error err;
    struct stat info;
    for (;;) {
        errno = 0;
        found = readdir(folder->reading);
        if (found == NULL)
            break;
        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
            continue;
        (void)snprintf(entry->name, sizeof entry->name, "%s", found->d_name);
        entry->wrong = NULL;
        if (fstatat(folder->source_fd, entry->name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
            info_of_stat(&entry->info, &info);
            return NEXT_ENTRY;
        }
        if (errno != ENOENT) { /* ENOENT: it was removed meanwhile */
            entry->wrong = strerrordesc_np(errno);
            return NEXT_ENTRY;
        }
    }
    if (errno != 0)
        copy_tell_wrong(folder, "", COPY_FAILED, copy_errno(&err, errno)->reason, err.message);
    return NEXT_END;
}

static void local_rewind(struct folder *folder)
{
    rewinddir(folder->reading);
}

static void local_list(struct folder *folder)
{
    folder_listed(folder, NULL);
}

static bool local_enter(struct folder *folder, const char *name, struct afar_error *err)
{
    const struct folder *parent = folder->parent;
    int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC;
    if (parent->is_tree && !follows(folder))
        flags |= O_NOFOLLOW;
    folder->source_fd = openat(parent->source_fd, name, flags);
    if (folder->source_fd >= 0)
        folder->reading = fdopendir(folder->source_fd);
    if (folder->reading == NULL) {
        (void)copy_errno(err, errno);
        return false;
    }
    return true;
}

static void local_find(struct item *item, bool follow)
{
    struct stat info;
    struct afar_error err;
    int flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;
    if (fstatat(item->folder->source_fd, item->name, &info, flags) != 0) {
        item_found(item, copy_errno(&err, errno));
        return;
    }
    info_of_stat(&item->info, &info);
    item_found(item, NULL);
}

/* -1: see errno; EINVAL: not a regular file. */
static int open_file(const struct item *item, struct stat *info)
{
    const struct folder *folder = item->folder;
    int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    if (folder->is_tree && !follows(folder))
        flags |= O_NOFOLLOW;
    int fd = openat(folder->source_fd, item->name, flags);
    if (fd < 0)
        return -1;
    if (fstat(fd, info) == 0 && S_ISREG(info->st_mode))
        return fd;
    (void)close(fd);
    errno = EINVAL;
    return -1;
}

static bool is_same(const struct info *info, const struct stat *now)
{
    struct info other;
    info_of_stat(&other, now);
    return other.size == info->size && other.mtime == info->mtime &&
           other.mtime_ns == info->mtime_ns && other.changed == info->changed;
}

static ssize_t read_all(int fd, uint8_t *data, size_t size, uint64_t offset)
{
    size_t got = 0;
    while (got < size) {
        ssize_t once = pread(fd, data + got, size - got, (off_t)(offset + got));
        if (once < 0 && errno == EINTR)
            continue;
        if (once < 0)
            return -1;
        if (once == 0)
            break;
        got += (size_t)once;
    }
    return (ssize_t)got;
}

static void local_get(struct item *item)
{
    uint8_t data[COPY_SMALL_BYTES + 1];
    struct stat info;
    struct afar_error err;
    ssize_t got = -1;
    bool same = false;
    for (int tries = 0; tries < 2 && !same; tries++) {
        int fd = open_file(item, &info);
        if (fd < 0) {
            item_got(item, NULL, 0, true, copy_errno(&err, errno));
            return;
        }
        info_of_stat(&item->info, &info);
        got = read_all(fd, data, sizeof data, 0);
        int failed = got < 0 || fstat(fd, &info) != 0 ? errno : 0;
        (void)close(fd);
        if (failed != 0) {
            item_got(item, NULL, 0, true, copy_errno(&err, failed));
            return;
        }
        same = is_same(&item->info, &info);
    }
    if (!same) {
        item_got(item, NULL, 0, true, copy_error(&err, "EBUSY", "changed while it was copied"));
        return;
    }
    bool eof = (size_t)got < sizeof data;
    item_got(item, data, eof ? (size_t)got : COPY_SMALL_BYTES, eof, NULL);
}

static void local_open(struct item *item)
{
    struct stat info;
    struct afar_error err;
    item->source_fd = open_file(item, &info);
    if (item->source_fd < 0) {
        item_opened(item, copy_errno(&err, errno));
        return;
    }
    info_of_stat(&item->info, &info);
    item->sparse = info.st_size > 0 && info.st_blocks < (info.st_size + 511) / 512;
    item_opened(item, NULL);
}

static bool local_read(struct item *item, uint64_t offset, size_t size)
{
    uint8_t data[COPY_PIECE_BYTES];
    struct afar_error err;
    size_t most = size < sizeof data ? size : sizeof data;
    if (item->sparse && offset < item->info.size) {
        off_t start = lseek(item->source_fd, (off_t)offset, SEEK_DATA);
        uint64_t at = start >= 0 ? (uint64_t)start : errno == ENXIO ? item->info.size : offset;
        at = at < item->info.size ? at : item->info.size;
        if (at > offset) {
            item_hole(item, at - offset);
            return true;
        }
    }
    ssize_t got = read_all(item->source_fd, data, most, offset);
    item_read(item, offset, data, got < 0 ? 0 : (size_t)got,
              got < 0 ? copy_errno(&err, errno) : NULL);
    return true;
}

/* large.c hashes a local prefix, step by step. */
static void local_hash(struct item *item, uint64_t size)
{
    (void)item;
    (void)size;
}

static void local_check(struct item *item)
{
    struct stat info;
    bool changed = fstat(item->source_fd, &info) != 0 || !is_same(&item->info, &info);
    item_checked(item, changed, NULL, NULL);
}

static void local_read_link(struct item *item)
{
    char text[SFTP_PATH_MAX_BYTES];
    struct afar_error err;
    ssize_t size = readlinkat(item->folder->source_fd, item->name, text, sizeof text - 1);
    if (size < 0) {
        item_link_read(item, NULL, copy_errno(&err, errno));
        return;
    }
    text[size] = '\0';
    item_link_read(item, text, NULL);
}

static void local_close(struct item *item)
{
    if (item->source_fd >= 0)
        (void)close(item->source_fd);
    item->source_fd = -1;
}

const struct source local_source = {
    .next = local_next,
    .list = local_list,
    .rewind = local_rewind,
    .enter = local_enter,
    .find = local_find,
    .get = local_get,
    .open = local_open,
    .read = local_read,
    .hash = local_hash,
    .check = local_check,
    .read_link = local_read_link,
    .close = local_close,
};
