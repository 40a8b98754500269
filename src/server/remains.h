/* What a server has left that was killed: at the start of the next one it is ended.
 *
 * Each command that is neither kept nor may leave anything carries AFAR_SERVER, the name of its
 * server's process. A server that is killed takes its commands' first processes with it (PDEATHSIG);
 * what these had started is found by that name, as soon as no process has it any more, or is in a cgroup of that name. Another
 * server that lives is nobody's predecessor, and what lives in another pid namespace is not ours to
 * judge.
 *
 * Owns:    a thread, until it is done.
 * Threads: the main one.
 * Blocks:  remains_sweep, REMAINS_WAIT_MS at most; remains_stop likewise. Where /proc hangs, so does
 *          the thread alone.
 * Limits:  REMAINS_MAX_MS. */
#ifndef SERVER_REMAINS_H
#define SERVER_REMAINS_H

#include "base/log.h"
#include "exec/cgroup.h"
#include "server/kept.h"

#define SERVER_VARIABLE "AFAR_SERVER="

enum { REMAINS_WAIT_MS = 1000, REMAINS_MAX_MS = 30000, REMAINS_NAME_BYTES = 128 };

struct remains;

/* "AFAR_SERVER=BOOT.PID.START.RANDOM" of this process; "" where /proc does not tell. */
void remains_name(char name[REMAINS_NAME_BYTES], const char *random);

/* Begins, and waits for a while: what was bound by a dead server's commands is to be free again
 * before this one listens. What has been done is logged. `log` and `kept` (NULL: no kept commands,
 * else all of them have been picked up) are *kept*, as are `cgroups` (NULL: none). NULL: out of memory
 * or threads, which is logged. */
struct remains *remains_sweep(struct log *log, struct kept *kept, const struct cgroups *cgroups);

/* False: its thread hangs, and uses the log still. NULL is fine. */
bool remains_stop(struct remains *remains);

#endif
