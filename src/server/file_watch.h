/* Sees when files have been replaced, by looking at them now and then.
 *
 * inotify(7) would have to follow every symbolic link on the way: a Kubernetes secret is replaced
 * by renaming the link that its folder's links lead through. A look follows them by itself, on
 * every file system.
 *
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

/* What a file is known by. All zero: it is not there. */
struct file_mark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed; /* of its mode, too */
};

struct file_watch {
    struct file_mark known[FILE_WATCH_MAX]; /* when they were last read */
    struct file_mark seen[FILE_WATCH_MAX];  /* at the last look */
};

enum file_watch_news {
    FILE_WATCH_SAME,     /* they are as they were read */
    FILE_WATCH_CHANGING, /* they have changed since the last look: the writer may be in the
                            middle */
    FILE_WATCH_CHANGED   /* they are others, and stay as they are: to be read */
};

/* To be called before the files are read, so that what comes later is seen. A NULL among `paths` is
 * no file. */
void file_watch_note(struct file_watch *watch, const char *const paths[FILE_WATCH_MAX]);

/* FILE_WATCH_CHANGED is said once: the files count as read then. */
enum file_watch_news file_watch_look(struct file_watch *watch,
                                     const char *const paths[FILE_WATCH_MAX]);

#endif
