/* A family of processes, as /proc shows it: found by their parents or by a mark, then signalled.
 *
 * Owns:    its list. No descriptor is kept: a member is named by pid and time of birth.
 * Threads: one owner.
 * Blocks:  as proc.h says.
 * Limits:  FAMILY_MAX members; who looks again finds the others once these have ended. */
#ifndef EXEC_FAMILY_H
#define EXEC_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { FAMILY_MAX = 1024 };

struct family;

/* How a relative is recognised whose parent says nothing of it: one of the two is enough. */
struct family_mark {
    pid_t session;        /* the session of a leader that has not been reaped */
    const char *variable; /* "NAME=value" in its environment */
};

/* NULL: out of memory, or /proc cannot be relied upon. */
struct family *family_new(void);
void family_free(struct family *family);

/* The children of `parent`, and theirs. What was found before is kept, and looked at again: it may
 * have forked since. Returns how many are new. */
size_t family_add_descendants(struct family *family, pid_t parent);

/* Those of `pids` that carry the mark, and their descendants; likewise. */
size_t family_add_marked(struct family *family, const pid_t *pids, size_t count,
                         const struct family_mark *mark);

/* Signals every member that still lives, and nobody else, whoever may have its pid by now. Returns
 * how many do, also those that could not be signalled, that are dying already, or whose mark cannot
 * be read yet (these are not signalled). */
size_t family_signal(const struct family *family, int number);

#endif
