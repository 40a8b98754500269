#include "server/file_watch.h"

#include <string.h>
#include <sys/stat.h>

static void mark(struct file_mark marks[FILE_WATCH_MAX], const char *const paths[FILE_WATCH_MAX])
{
    memset(marks, 0, FILE_WATCH_MAX * sizeof *marks);
    for (size_t i = 0; i < FILE_WATCH_MAX; i++) {
        struct stat found;
        if (paths[i] == NULL || stat(paths[i], &found) != 0)
            continue;
        marks[i].device = found.st_dev;
        marks[i].inode = found.st_ino;
        marks[i].size = found.st_size;
        marks[i].modified = found.st_mtim;
        marks[i].changed = found.st_ctim;
    }
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same(const struct file_mark a[FILE_WATCH_MAX], const struct file_mark b[FILE_WATCH_MAX])
{
    for (size_t i = 0; i < FILE_WATCH_MAX; i++) {
        if (a[i].device != b[i].device || a[i].inode != b[i].inode || a[i].size != b[i].size ||
            !same_time(&a[i].modified, &b[i].modified) || !same_time(&a[i].changed, &b[i].changed))
            return false;
    }
    return true;
}

void file_watch_note(struct file_watch *watch, const char *const paths[FILE_WATCH_MAX])
{
    mark(watch->known, paths);
    memcpy(watch->seen, watch->known, sizeof watch->seen);
}

enum file_watch_news file_watch_look(struct file_watch *watch,
                                     const char *const paths[FILE_WATCH_MAX])
{
    struct file_mark now[FILE_WATCH_MAX];
    mark(now, paths);
    bool rests = same(now, watch->seen);
    memcpy(watch->seen, now, sizeof now);
    if (same(now, watch->known))
        return FILE_WATCH_SAME;
    if (!rests)
        return FILE_WATCH_CHANGING;
    memcpy(watch->known, now, sizeof now);
    return FILE_WATCH_CHANGED;
}
