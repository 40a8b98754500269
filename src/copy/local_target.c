/* A local target. Nothing is written outside of it, whatever a server says: directories are opened
 * component by component, no link is followed, and a name that did not exist when the copy began is
 * only given without replacing anything. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "copy/internal.h"

enum { KNOWN_MAX = 8 << 20, LOCK_TRIES_MAX = 8 };

/* ---- names that were there ------------------------------------------------------------------- */

/* FNV-1a. If two names share a hash, a file may be replaced where we would have refused. */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return hash;
}

static int compare(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a;
    uint64_t other = *(const uint64_t *)b;
    return one < other ? -1 : one > other ? 1 : 0;
}

/* Stores the hashes of the target directory's names. Returns 0 or an errno. */
static int read_known(struct folder *folder)
{
    size_t room = 0;
    int failed = 0;
    int fd = openat(folder->target_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        failed = errno;
        if (fd >= 0)
            (void)close(fd);
        return failed;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        failed = errno;
        if (entry == NULL)
            break;
        if (folder->known_count == room) {
            room = room == 0 ? 64 : room * 2;
            uint64_t *more = reallocarray(folder->known, room, sizeof *more);
            failed = more == NULL || room > KNOWN_MAX ? ENOMEM : 0;
            if (more != NULL)
                folder->known = more;
            if (failed != 0)
                break;
        }
        folder->known[folder->known_count++] = hash_name(entry->d_name);
    }
    (void)closedir(dir);
    if (folder->known_count > 0)
        qsort(folder->known, folder->known_count, sizeof *folder->known, compare);
    return failed;
}

/* True if the name did not exist before this copy. */
static bool is_new(const struct item *item)
{
    const struct folder *folder = item->folder;
    struct stat info;
    uint64_t hash = hash_name(item->target_name);
    if (folder->made)
        return true;
    if (folder->known != NULL)
        return bsearch(&hash, folder->known, folder->known_count, sizeof hash, compare) == NULL;
    return fstatat(folder->target_fd, item->target_name, &info, AT_SYMLINK_NOFOLLOW) != 0;
}

static int give_name(const struct item *item, const char *from, bool fresh)
{
    int dir = item->folder->target_fd;
    const char *name = item->target_name;
    if (!fresh)
        return renameat(dir, from, dir, name) == 0 ? 0 : errno;
    if (renameat2(dir, from, dir, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno;
    /* The file system lacks RENAME_NOREPLACE; a hard link does the same. */
    if (linkat(dir, from, dir, name, 0) != 0)
        return errno;
    return unlinkat(dir, from, 0) == 0 ? 0 : errno;
}

/* ---- directories ----------------------------------------------------------------------------- */

static void local_make(struct folder *folder, const char *name)
{
    struct afar_error err;
    int above = folder->parent->target_fd;
    bool itself = name[0] == '\0';
    bool made = !itself && mkdirat(above, name, 0700) == 0;
    int failed = itself || made || errno == EEXIST ? 0 : errno;
    if (failed == 0) {
        folder->target_fd =
            openat(above, itself ? "." : name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        failed = folder->target_fd < 0 ? errno : 0;
    }
    if (failed == 0 && !made)
        failed = read_known(folder);
    folder_made(folder, made, failed == 0 ? NULL : copy_errno(&err, failed));
}

static int set_attributes(const struct copy *copy, int fd, const struct info *info, mode_t mode)
{
    const struct timespec times[2] = {
        {.tv_sec = info->atime, .tv_nsec = info->atime_ns},
        {.tv_sec = info->mtime, .tv_nsec = info->mtime_ns},
    };
    if (copy->options.owner && fchown(fd, info->uid, info->gid) != 0)
        return errno;
    if (fchmod(fd, mode) != 0 || futimens(fd, times) != 0)
        return errno;
    return copy->options.fsync && fsync(fd) != 0 ? errno : 0;
}

static void local_finish(struct folder *folder)
{
    struct stat now;
    struct afar_error err;
    int failed = 0;
    if (folder->made && folder->target_fd >= 0) {
        /* Keep the set-group-ID bit that it inherited from its parent. */
        mode_t more = fstat(folder->target_fd, &now) == 0 ? now.st_mode & S_ISGID : 0;
        failed = set_attributes(folder->copy, folder->target_fd, &folder->info,
                                (folder->info.mode & 0777) | more);
    }
    folder_finished(folder, failed == 0 ? NULL : copy_errno(&err, failed));
}

/* ---- files ----------------------------------------------------------------------------------- */

static void local_compare(struct item *item)
{
    struct stat info;
    struct info there;
    if (fstatat(item->folder->target_fd, item->target_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        item_compared(item, NULL, NULL);
        return;
    }
    info_of_stat(&there, &info);
    item_compared(item, &there, NULL);
}

static int write_all(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t once = pwrite(fd, data, size, (off_t)offset);
        if (once < 0 && errno == EINTR)
            continue;
        if (once < 0)
            return errno;
        data += once;
        size -= (size_t)once;
        offset += (uint64_t)once;
    }
    return 0;
}

/* Opens the partial file with mode 0600; it gets its real mode before its name. -1: see errno. */
static int open_partial(const struct item *item, const char *name, bool resumed)
{
    int dir = item->folder->target_fd;
    int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    for (int tries = 0; tries < LOCK_TRIES_MAX; tries++) {
        struct stat mine;
        struct stat there;
        int fd = openat(dir, name, flags | (resumed ? 0 : O_EXCL), 0600);
        if (fd < 0 || !resumed)
            return fd;
        int failed = fstat(fd, &mine) != 0                         ? errno
                     : !S_ISREG(mine.st_mode) || mine.st_nlink > 1 ? EEXIST
                     : flock(fd, LOCK_EX | LOCK_NB) != 0           ? errno
                                                                   : 0;
        /* If it was renamed or removed meanwhile, it is another file: try again. */
        if (failed == 0 && fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
            there.st_ino == mine.st_ino && there.st_dev == mine.st_dev)
            return fd;
        (void)close(fd);
        if (failed != 0) {
            errno = failed;
            return -1;
        }
    }
    errno = EBUSY;
    return -1;
}

static int open_in_place(struct item *item)
{
    int flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    if (item->folder->is_tree)
        flags |= O_NOFOLLOW;
    item->target_is_new = is_new(item);
    int fd = openat(item->folder->target_fd, item->target_name,
                    flags | O_CREAT | (item->target_is_new ? O_EXCL : O_TRUNC), 0600);
    struct stat info;
    if (fd >= 0 && (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))) {
        (void)close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

/* A replaced file's mode is kept. */
static mode_t mode_for(const struct item *item, bool fresh)
{
    struct stat there;
    if (!fresh &&
        fstatat(item->folder->target_fd, item->target_name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(there.st_mode))
        return there.st_mode & 0777;
    return item->info.mode & 0777;
}

static int finish_file(struct item *item, int fd)
{
    const struct copy *copy = item->copy;
    bool fresh = copy->options.in_place ? item->target_is_new : is_new(item);
    int failed = set_attributes(copy, fd, &item->info, mode_for(item, fresh));
    if (failed == 0 && item->partial != NULL)
        failed = give_name(item, item->partial, fresh);
    if (failed == 0 && copy->options.fsync && fsync(item->folder->target_fd) != 0)
        failed = errno;
    return failed;
}

/* NULL: see errno. */
static const char *name_partial(struct item *item, bool resumed)
{
    char name[256];
    if (!resumed && getrandom(item->tag, sizeof item->tag, 0) != (ssize_t)sizeof item->tag)
        return NULL;
    partial_name(item->target_name, item->tag, name);
    free(item->partial);
    item->partial = strdup(name);
    return item->partial;
}

/* -1: see errno. */
static int open_target(struct item *item, bool resumed)
{
    if (item->copy->options.in_place)
        return open_in_place(item);
    const char *name = name_partial(item, resumed);
    if (name == NULL)
        return -1;
    int fd = open_partial(item, name, resumed);
    if (fd < 0) {
        free(item->partial);
        item->partial = NULL;
    }
    return fd;
}

static void local_drop(struct item *item, bool keep)
{
    if (item->target_fd >= 0)
        (void)close(item->target_fd);
    item->target_fd = -1;
    if (item->partial != NULL && !keep)
        (void)unlinkat(item->folder->target_fd, item->partial, 0);
    free(item->partial);
    item->partial = NULL;
}

/* Closes the open file, and gives it its name unless something failed. */
static void end_file(struct item *item, int failed)
{
    struct afar_error err;
    if (failed == 0)
        failed = finish_file(item, item->target_fd);
    /* After EINTR the file is closed all the same: close(2). */
    if (close(item->target_fd) != 0 && errno != EINTR && failed == 0)
        failed = errno;
    item->target_fd = -1;
    if (failed == 0) {
        /* Copies of earlier versions may have left partial files, which would else stay. */
        if (item->partial != NULL && item->moved > COPY_RESUMED_BYTES)
            partial_sweep(item->folder->target_fd, item->target_name, time(NULL), NULL, NULL);
        free(item->partial);
        item->partial = NULL;
    }
    item_committed(item, failed == 0 ? NULL : copy_errno(&err, failed));
}

/* Why no file may take the target's name, in words: what has it is neither a file nor a link, and
 * would be lost. NULL: one may. */
static const char *taken_by(const struct item *item)
{
    struct stat info;
    const int flags =
        item->copy->options.in_place && !item->folder->is_tree ? 0 : AT_SYMLINK_NOFOLLOW;
    if (fstatat(item->folder->target_fd, item->target_name, &info, flags) != 0)
        return NULL;
    switch (info.st_mode & S_IFMT) {
    case S_IFIFO:
        return "is a fifo";
    case S_IFSOCK:
        return "is a socket";
    case S_IFCHR:
    case S_IFBLK:
        return "is a device";
    default:
        return NULL;
    }
}

static void local_put(struct item *item, const uint8_t *data, size_t size)
{
    struct afar_error err;
    const char *taken = taken_by(item);
    if (taken != NULL) {
        item->emptied = false;
        item_committed(item, copy_taken(&err, taken));
        return;
    }
    item->target_fd = open_target(item, false);
    if (item->target_fd < 0) {
        item->emptied = !item->copy->options.in_place;
        item_committed(item, copy_errno(&err, errno));
        return;
    }
    end_file(item, write_all(item->target_fd, data, size, 0));
}

static void local_begin(struct item *item)
{
    struct stat info;
    struct afar_error err;
    bool resumed = item->info.size > COPY_RESUMED_BYTES && !item->copy->options.no_resume;
    const char *kind = taken_by(item);
    if (kind != NULL) {
        item_begun(item, 0, copy_taken(&err, kind));
        return;
    }
    item->target_fd = open_target(item, resumed);
    if (item->target_fd < 0 || fstat(item->target_fd, &info) != 0) {
        bool taken = errno == EWOULDBLOCK;
        (void)copy_errno(&err, errno);
        item_begun(item, 0, taken ? copy_error(&err, "EBUSY", "another copy is under way") : &err);
        return;
    }
    item_begun(item, (uint64_t)info.st_size, NULL);
}

static void local_hash(struct item *item, uint64_t size)
{
    (void)item;
    (void)size;
}

static void local_empty(struct item *item)
{
    struct afar_error err;
    item_written(item, ftruncate(item->target_fd, 0) == 0 ? NULL : copy_errno(&err, errno));
}

static void local_write(struct item *item, uint64_t offset, const uint8_t *data, size_t size)
{
    struct afar_error err;
    int failed = write_all(item->target_fd, data, size, offset);
    item_written(item, failed == 0 ? NULL : copy_errno(&err, failed));
}

static void local_commit(struct item *item)
{
    end_file(item, ftruncate(item->target_fd, (off_t)item->moved) == 0 ? 0 : errno);
}

/* ---- links ----------------------------------------------------------------------------------- */

static bool is_there(const struct item *item, const char *text)
{
    char there[SFTP_PATH_MAX_BYTES];
    ssize_t size = readlinkat(item->folder->target_fd, item->target_name, there, sizeof there);
    return size >= 0 && (size_t)size == strlen(text) && memcmp(there, text, (size_t)size) == 0;
}

static void local_put_link(struct item *item, const char *text)
{
    struct afar_error err;
    int dir = item->folder->target_fd;
    int failed = 0;
    if (is_there(item, text)) {
        item_committed(item, NULL);
        return;
    }
    const char *name = name_partial(item, false);
    if (name == NULL || symlinkat(text, dir, name) != 0) {
        failed = errno;
    } else {
        failed = give_name(item, name, is_new(item));
        if (failed != 0)
            (void)unlinkat(dir, name, 0);
    }
    free(item->partial);
    item->partial = NULL;
    item_committed(item, failed == 0 ? NULL : copy_errno(&err, failed));
}

const struct target local_target = {
    .make = local_make,
    .find = local_compare,
    .put = local_put,
    .begin = local_begin,
    .hash = local_hash,
    .empty = local_empty,
    .write = local_write,
    .commit = local_commit,
    .put_link = local_put_link,
    .finish = local_finish,
    .drop = local_drop,
};
