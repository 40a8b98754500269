/* A set of processes, found through /proc by their parents or by a mark, and signalled. There may
 * be many thousands; so all functions that go through all members can work in parts: they stop at
 * `until_us` (base/clock.h), and return whether they have finished.
 *
 * A search has rounds: call family_begin_round, family_propose for the roots, and family_walk until
 * it has finished; repeat while family_found says that the round has found new members, as these
 * may have forked meanwhile.
 *
 * Owns:    its list. It keeps no descriptors: a member is identified by pid and start time.
 * Threads: one owner.
 * Blocks:  as proc.h.
 * Limits:  FAMILY_MAX members; a later search finds the rest once these have ended. A part may take
 *          longer than `until_us`, by the time for one process. */
#ifndef EXEC_FAMILY_H
#define EXEC_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <afar/receipt.h>

#include "exec/proc.h"

enum { FAMILY_MAX = 65536 };

struct family;

/* How to recognize a member whose parent is not one: one of the two must match. */
struct family_mark {
    pid_t session;        /* its session, if the leader has not been reaped; 0: not used */
    const char *variable; /* "NAME=value" in its environment */
};

/* NULL: out of memory, or /proc is missing or shows another pid namespace. */
struct family *family_new(void);
void family_free(struct family *family);

/* Begins a round of a search. */
void family_begin_round(struct family *family);

/* How many new members this round has found. */
size_t family_found(const struct family *family);

/* Proposes a process, or the children of one: the next family_walk examines each, and adds it if it
 * is a member. */
enum family_claim {
    FAMILY_SURE,  /* it is a member */
    FAMILY_MARKED /* it is a member if it has the mark */
};
void family_propose(struct family *family, pid_t pid, enum family_claim claim);
void family_propose_children(struct family *family, pid_t parent);

/* Adds the proposed processes and all descendants of members. With `stop` each member is stopped
 * (SIGSTOP) before its children are listed, so that it cannot fork. False: time is over, call
 * again. */
bool family_walk(struct family *family, const struct family_mark *mark, bool stop,
                 int64_t until_us);

/* Checks which members are still alive. With `count`, those that are and do not exit already are
 * counted, each once. False: time is over, call again. */
bool family_look(struct family *family, bool count, int64_t until_us);

/* The members that were counted. */
void family_describe(const struct family *family, struct afar_processes *processes);

/* Condemns the living members that have one of these pipes open or, if `terminal` is not NULL, the
 * terminal of that name; adds them to `holders`. False: time is over, call again. */
bool family_find_holders(struct family *family, const ino_t *pipes, size_t count,
                         const char *terminal, struct afar_processes *holders, int64_t until_us);

/* Signals every member that is still alive; never a new process with a member's pid. False: time is
 * over, call again with the same number. */
bool family_signal(struct family *family, int number, int64_t until_us);

/* With `spares`, only condemned members are counted and signalled from now on: those that
 * family_find_holders or family_condemn have condemned. The others are spared. */
void family_spare(struct family *family, bool spares);
void family_condemn(struct family *family, pid_t pid, unsigned long long start);

/* A member that is spared. */
struct family_member {
    pid_t pid;
    unsigned long long start;   /* its start time, as in struct proc_stat */
    char name[PROC_NAME_BYTES]; /* only of the first AFAR_PROCESSES_NAMED; else "" */
};

/* The spared members that were alive when last checked: their number; and a list of them, the
 * oldest first. The caller frees *members. False: out of memory. */
size_t family_spared(const struct family *family);
bool family_list(const struct family *family, struct family_member **members, size_t *count);

/* How many members were alive when family_look or family_signal last checked, without the spared
 * ones; includes members that may not be signalled, that exit already, or whose mark cannot be read
 * yet (the last get no signal). *denied: how many of them may not be signalled. */
size_t family_living(const struct family *family, size_t *denied);

#endif
