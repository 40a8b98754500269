/* Threads of another process that are stopped and go on, by ptrace(2): a server whose workers do
 * nothing any more. */
#ifndef SUPPORT_THREADS_H
#define SUPPORT_THREADS_H

#include <stdbool.h>
#include <sys/types.h>

enum { THREADS_MAX = 64 };

struct threads {
    pid_t tid[THREADS_MAX];
    unsigned count;
};

/* All threads of `pid` but its first, and but those called `but` (NULL: none). They run on. False:
 * this machine does not allow it. */
bool threads_seize(struct threads *threads, pid_t pid, const char *but);
void threads_freeze(const struct threads *threads);
void threads_thaw(const struct threads *threads);

/* Lets go of them; they must not be frozen. */
void threads_release(struct threads *threads);

/* After a test that has failed before that: kills `pid`, whose end nobody would see as long as its
 * threads are ours. Does nothing where none are. */
void threads_kill(struct threads *threads, pid_t pid);

#endif
