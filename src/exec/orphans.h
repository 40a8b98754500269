/* The processes that the server has adopted: descendants of jobs whose parents have died. As a
 * child subreaper (prctl(2)) or as PID 1 the kernel gives them to the server's main thread, and to
 * no other: a job's leader stays with the thread that started it, which must live as long as the
 * leader. So what the main thread has for children are orphans, and nothing else.
 *
 * Whose an orphan is, is told by its session, which a leader that has not been reaped still names,
 * or by a variable in its environment that each of the job's processes was started with. One that
 * has left its parents, its session and its environment behind cannot be told from a stranger.
 *
 * Owns:    a lock.
 * Threads: orphans_adopt and orphans_reap from the main thread, orphans_signal from any. The lock
 * keeps the list of the main thread's children whole while it is read: nobody is reaped meanwhile.
 * Blocks:  as proc.h says.
 * Limits:  FAMILY_MAX processes of a job in one call. */
#ifndef EXEC_ORPHANS_H
#define EXEC_ORPHANS_H

#include <stdbool.h>
#include <stddef.h>

#include "exec/family.h"

struct orphans;

/* NULL: out of memory. */
struct orphans *orphans_new(void);
void orphans_free(struct orphans *orphans);

/* From now on orphans come to this process. False: an old kernel (before 3.4). */
bool orphans_adopt(void);

/* Whether they do. */
bool orphans_are_adopted(void);

/* Reaps those that have ended. After SIGCHLD. */
void orphans_reap(struct orphans *orphans);

/* Signals the orphans that carry the mark, and all their descendants; with SIGKILL they are stopped
 * first, until no new ones are found. Returns how many were there; they end a little later, so that
 * 0 is what a repeated SIGKILL comes to. Where there is no orphan at all, this costs one look into
 * /proc. Orphans in the sense of this file are there only once the leader itself has ended, or a
 * process between it and them. */
size_t orphans_signal(struct orphans *orphans, const struct family_mark *mark, int number);

#endif
