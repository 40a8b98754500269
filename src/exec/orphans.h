/* The processes that the server has adopted: descendants of jobs whose parents have died. As a
 * child subreaper (prctl(2)) or as PID 1 the kernel gives them to the server's main thread, and to
 * no other: a job's leader stays with the thread that started it, which must live as long as the
 * leader. So what the main thread has for children are orphans, and nothing else.
 *
 * Whose an orphan is, is told by its session, which a leader that has not been reaped still names,
 * or by a variable in its environment that each of the job's processes was started with. One that
 * has left its parents, its session and its environment behind cannot be told from a stranger.
 *
 * There may be thousands of strangers, and each command's end asks for its orphans. So each orphan
 * is looked at once, when it is new, and remembered by its session and variable; the end of a
 * command costs one look at whether there are new ones. The kernel appends them to the list of the
 * main thread's children: the file of that list stays open, and is read on from where it ended, as
 * long as nobody was reaped. (Where it was, the kernel counts: some 20 ns for each orphan.)
 *
 * Owns:    what it knows of each orphan, and a descriptor.
 * Threads: orphans_new, orphans_adopt and orphans_reap from the main thread, the rest from any. The
 *          lock guards the table and the list; it is not held while a process is looked at.
 * Blocks:  orphans_find as proc.h says; a process that cannot be examined holds one thread only.
 *          The rest never.
 * Limits:  an entry of some 120 bytes for each orphan, of which there are as many as the kernel
 *          allows processes. */
#ifndef EXEC_ORPHANS_H
#define EXEC_ORPHANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/family.h"

struct orphans;

/* From now on orphans come to this process. False: an old kernel (before 3.4). */
bool orphans_adopt(void);

/* Whether they do. */
bool orphans_are_adopted(void);

/* After orphans_adopt. `prefix`: what the variable's entry begins with ("NAME="); *kept*. NULL: out
 * of memory. */
struct orphans *orphans_new(const char *prefix);
void orphans_free(struct orphans *orphans);

/* Reaps those that have ended; after SIGCHLD. True: time was over, there may be more. */
bool orphans_reap(struct orphans *orphans, int64_t until_us);

/* True: there is certainly no orphan with that mark. False: ask orphans_find. For an event loop: it
 * never waits, and takes no longer where there are many. */
bool orphans_none(struct orphans *orphans, const struct family_mark *mark);

/* A search, in parts; starts as {0}. */
struct orphans_search {
    bool begun;
    unsigned rereads;
    uint64_t last;            /* the newest orphan at the beginning: those after it do not count */
    unsigned long long since; /* who was born earlier is not meant; the caller's */
};

enum orphans_answer {
    ORPHANS_FOUND, /* all that there are were proposed */
    ORPHANS_MORE,  /* time is over: call again */
    ORPHANS_WAIT   /* somebody cannot be known yet: call again in a moment */
};

/* Proposes to the family those that carry the mark or may carry it, and those that are dying, whose
 * children may carry it. (With ORPHANS_FOUND only.) */
enum orphans_answer orphans_find(struct orphans *orphans, struct orphans_search *search,
                                 struct family *family, const struct family_mark *mark,
                                 int64_t until_us);

#endif
