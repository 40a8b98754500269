/* A family of processes, as /proc shows it: found by their parents or by a mark, then signalled.
 * There may be many thousands, so that everything that goes through them all can be done in parts:
 * it goes on until `until_us` (base/clock.h) and says whether it has come to the end.
 *
 * A search goes in rounds: family_begin_round, then family_propose the roots, then family_walk to
 * the end; again while family_found says that the round has found somebody: what is found may have
 * forked meanwhile.
 *
 * Owns:    its list. No descriptor is kept: a member is named by pid and time of birth.
 * Threads: one owner.
 * Blocks:  as proc.h says.
 * Limits:  FAMILY_MAX members; who looks again finds the others once these have ended. A part ends
 *          with the process that it is at when its time is over. */
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

/* How a relative is recognised whose parent says nothing of it: one of the two is enough. */
struct family_mark {
    pid_t session;        /* the session of a leader that has not been reaped; 0: none */
    const char *variable; /* "NAME=value" in its environment */
};

/* NULL: out of memory, or /proc cannot be relied upon. */
struct family *family_new(void);
void family_free(struct family *family);

void family_begin_round(struct family *family);

/* Of this round: how many are new. */
size_t family_found(const struct family *family);

/* Each of these is looked at, and added where it is one of the family, by the next family_walk. */
enum family_claim {
    FAMILY_SURE,  /* it is one */
    FAMILY_MARKED /* it is one if it has the mark */
};
void family_propose(struct family *family, pid_t pid, enum family_claim claim);
void family_propose_children(struct family *family, pid_t parent);

/* Adds what was proposed, the children of all members, and theirs. With `stop` each member is
 * stopped first, as what is stopped cannot fork. False: time is over, call again. */
bool family_walk(struct family *family, const struct family_mark *mark, bool stop,
                 int64_t until_us);

/* Sees which members still live. With `count` those that do, and are not dying by themselves, are
 * counted, each once. False: time is over, call again. */
bool family_look(struct family *family, bool count, int64_t until_us);

/* Those that were counted. */
void family_describe(const struct family *family, struct afar_processes *processes);

/* Counts the living members that have one of these pipes open, or the terminal of that name (NULL:
 * none), and condemns them. False: time is over, call again. */
bool family_find_holders(struct family *family, const ino_t *pipes, size_t count,
                         const char *terminal, struct afar_processes *holders, int64_t until_us);

/* Signals every member that still lives, and no other process that may have its pid by now. False:
 * time is over, call again with the same number. */
bool family_signal(struct family *family, int number, int64_t until_us);

/* With `spares` only condemned members are counted and signalled from now on: who holds what
 * family_find_holders looks for, and those below. */
void family_spare(struct family *family, bool spares);
void family_condemn(struct family *family, pid_t pid, unsigned long long start);

/* One of those that stay. */
struct family_member {
    pid_t pid;
    unsigned long long start;   /* its time of birth, as struct proc_stat has it */
    char name[PROC_NAME_BYTES]; /* of the first AFAR_PROCESSES_NAMED; else "" */
};

/* The members that lived when family_look came to them and are not condemned: how many; and all of
 * them, the oldest first. *members is the caller's, to be freed. False: out of memory. */
size_t family_spared(const struct family *family);
bool family_list(const struct family *family, struct family_member **members, size_t *count);

/* How many lived when family_look or family_signal came to them, also those that may not be
 * signalled, that are dying already, or whose mark cannot be read yet (these are not signalled).
 * *denied: so many of them may not be signalled. */
size_t family_living(const struct family *family, size_t *denied);

#endif
