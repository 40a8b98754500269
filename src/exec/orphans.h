/* Orphans: descendants of jobs whose parents have died, and which the server has adopted. If the
 * server is a child subreaper (prctl(2)) or PID 1, the kernel makes them children of its main
 * thread. Leaders of jobs are children of the threads that started them, which must live as long as
 * the leader. So all children of the main thread are orphans.
 *
 * An orphan belongs to a job if it is in the session of the job's leader, which must not have been
 * reaped, or if its environment has the job's variable. A process that has left its parents, its
 * session and its environment cannot be recognized: it is a stranger.
 *
 * There may be thousands of strangers, and each command's end asks for its orphans. So each orphan
 * is examined once, when it is new, and remembered by its session and variable; the end of a
 * command only has to look for new ones. The kernel appends them to the list of the main thread's
 * children: the file of that list stays open, and is read on from the last position until a child
 * is reaped. (The kernel finds the position by counting: some 20 ns for each orphan.)
 *
 * Owns:    an entry for each orphan, and a descriptor.
 * Threads: orphans_new, orphans_adopt and orphans_reap from the main thread, the rest from any. The
 *          lock guards the table and the list; it is not held while a process is examined.
 * Blocks:  orphans_find, as proc.h; a process that hangs when it is examined blocks only that
 *          thread. The rest never.
 * Limits:  an entry of some 120 bytes for each orphan; there are at most as many as the kernel
 *          allows processes. */
#ifndef EXEC_ORPHANS_H
#define EXEC_ORPHANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/family.h"

struct orphans;

/* Makes this process adopt orphans from now on. False: an old kernel (before 3.4). */
bool orphans_adopt(void);

/* Whether this process adopts orphans. */
bool orphans_are_adopted(void);

/* Call it after orphans_adopt. `prefix`: the beginning of the variable's entry ("NAME="); *kept*.
 * NULL: out of memory. If this process adopts no orphans or /proc is not usable, no orphan is ever
 * found. */
struct orphans *orphans_new(const char *prefix);

/* NULL is fine. */
void orphans_free(struct orphans *orphans);

/* Reaps the orphans that have ended; call it after SIGCHLD. True: time was over, there may be
 * more. */
bool orphans_reap(struct orphans *orphans, int64_t until_us);

/* True: there is certainly no orphan with that mark. False: there may be one, call orphans_find.
 * For an event loop: it never waits, and takes no longer if there are many orphans. */
bool orphans_none(struct orphans *orphans, const struct family_mark *mark);

/* A search, in parts; starts as {0}, with `since` set by the caller. */
struct orphans_search {
    bool begun;
    unsigned rereads;
    uint64_t last;            /* number of the newest orphan that counts */
    unsigned long long since; /* orphans with an earlier start time are ignored */
};

enum orphans_answer {
    ORPHANS_FOUND, /* all were proposed */
    ORPHANS_MORE,  /* time is over: call again */
    ORPHANS_WAIT   /* one cannot be recognized yet: call again in a moment */
};

/* Proposes to the family the orphans that have the mark or may have it, and those that exit, as
 * their children may have it. Proposes nothing before it returns ORPHANS_FOUND. */
enum orphans_answer orphans_find(struct orphans *orphans, struct orphans_search *search,
                                 struct family *family, const struct family_mark *mark,
                                 int64_t until_us);

#endif
