/* Stops and resumes threads of another process, by ptrace(2): for a server whose workers hang.
 *
 * Owns:    the traced threads, until threads_release or threads_kill.
 * Threads: one, the same for all calls (ptrace(2)).
 * Blocks:  until the threads have stopped.
 * Limits:  THREADS_MAX. */
#ifndef SUPPORT_THREADS_H
#define SUPPORT_THREADS_H

#include <stdbool.h>
#include <sys/types.h>

enum { THREADS_MAX = 64 };

struct threads {
    pid_t tid[THREADS_MAX];
    unsigned count;
};

/* Traces all threads of `pid` except the first and those named `but` (NULL: none). They continue to
 * run. False: not permitted on this machine. */
bool threads_seize(struct threads *threads, pid_t pid, const char *but);
void threads_freeze(const struct threads *threads);
void threads_thaw(const struct threads *threads);

/* Stops tracing; the threads must not be frozen. */
void threads_release(struct threads *threads);

/* For the teardown of a test that failed before threads_release: kills `pid`, whose end cannot be
 * seen while its threads are traced. Does nothing if none are. */
void threads_kill(struct threads *threads, pid_t pid);

#endif
