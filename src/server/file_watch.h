/* Notices that files were replaced, by calling stat(2) on them now and then.
 *
 * inotify(7) would have to follow every symbolic link on the way: a Kubernetes secret is replaced
 * by renaming the link that its folder's links lead through. stat(2) follows them, on every file
 * system.
 *
 * Owns:    nothing.
 * Threads: a value of one thread.
 * Blocks:  as stat(2) does.
 * Limits:  FILE_WATCH_MAX files. */
#ifndef SERVER_FILE_WATCH_H
#define SERVER_FILE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

enum { FILE_WATCH_MAX = 4 };

/* What identifies a file's state. All zero: the file does not exist. */
struct file_mark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed; /* ctime: also a new mode or owner */
};

struct file_watch {
    struct file_mark known[FILE_WATCH_MAX]; /* as of the last read */
    struct file_mark seen[FILE_WATCH_MAX];  /* as of the last look */
};

enum file_watch_news {
    FILE_WATCH_SAME,     /* unchanged since they were read */
    FILE_WATCH_CHANGING, /* changed since the last look: perhaps still being written */
    FILE_WATCH_CHANGED   /* changed, but not since the last look: read them now */
};

/* Call this before reading the files, so that a later change is noticed. A NULL among `paths`
 * stands for no file. */
void file_watch_note(struct file_watch *watch, const char *const paths[FILE_WATCH_MAX]);

/* Looks once. After FILE_WATCH_CHANGED the files count as read, so it is returned once. */
enum file_watch_news file_watch_look(struct file_watch *watch,
                                     const char *const paths[FILE_WATCH_MAX]);

#endif
