#include "base/partial.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The dot, and what stands before the tag. */
enum { KEPT_BYTES = PARTIAL_NAME_BYTES - 1 - 1 - 6 - 2 * PARTIAL_TAG_BYTES };

void partial_name(const char *name, const uint8_t tag[PARTIAL_TAG_BYTES],
                  char out[PARTIAL_NAME_BYTES])
{
    int used = snprintf(out, PARTIAL_NAME_BYTES, ".%.*s.afar-", KEPT_BYTES, name);
    for (size_t i = 0; i < PARTIAL_TAG_BYTES; i++)
        used += snprintf(out + used, PARTIAL_NAME_BYTES - (size_t)used, "%02x", tag[i]);
}

static bool is_partial_of(const char *entry, const char *name)
{
    static const uint8_t none[PARTIAL_TAG_BYTES] = {0};
    char first[PARTIAL_NAME_BYTES];
    partial_name(name, none, first);
    const size_t size = strlen(first);
    const size_t before = size - 2 * (size_t)PARTIAL_TAG_BYTES;
    return strlen(entry) == size && memcmp(entry, first, before) == 0 &&
           strspn(entry + before, "0123456789abcdef") == 2 * (size_t)PARTIAL_TAG_BYTES;
}

static bool is_left(const struct stat *info, time_t now)
{
    return S_ISREG(info->st_mode) && info->st_nlink == 1 && info->st_uid == geteuid() &&
           info->st_mtime < now - PARTIAL_OLD_SECONDS;
}

/* A copy that uses the file has it locked; who opens it meanwhile sees that its name is gone, and
 * makes a new one. */
static bool remove_left(int dir, const char *partial, time_t now)
{
    struct stat info;
    struct stat there;
    if (fstatat(dir, partial, &info, AT_SYMLINK_NOFOLLOW) != 0 || !is_left(&info, now))
        return false;
    int fd = openat(dir, partial, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool removed = flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &info) == 0 &&
                   is_left(&info, now) && fstatat(dir, partial, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
                   there.st_ino == info.st_ino && there.st_dev == info.st_dev &&
                   unlinkat(dir, partial, 0) == 0;
    (void)close(fd);
    return removed;
}

void partial_sweep(int dir, const char *name, time_t now,
                   void (*on_removed)(void *user, const char *partial), void *user)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (list == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    const struct dirent *entry = NULL;
    for (int i = 0; i < PARTIAL_SWEEP_MAX && (entry = readdir(list)) != NULL; i++) {
        if (is_partial_of(entry->d_name, name) && remove_left(dir, entry->d_name, now) &&
            on_removed != NULL)
            on_removed(user, entry->d_name);
    }
    (void)closedir(list);
}
