/* Ends, at the start of a server, the processes that a killed server has left.
 *
 * Each command that is not kept and must not leave processes carries AFAR_SERVER in its
 * environment: the name of its server's process. When a server is killed, the first processes of
 * its commands die with it (PDEATHSIG); what they had started is recognised by that name once no
 * process with that pid and start time exists, or by a cgroup of that name. Commands of a server
 * that still runs, and processes in another pid namespace, are left alone.
 *
 * Owns:    a thread, until it is done.
 * Threads: the main one.
 * Blocks:  remains_sweep and remains_stop, for at most REMAINS_WAIT_MS each. If reading /proc
 *          hangs, only the thread does.
 * Limits:  REMAINS_MAX_MS for all of it. */
#ifndef SERVER_REMAINS_H
#define SERVER_REMAINS_H

#include "base/log.h"
#include "exec/cgroup.h"
#include "server/kept.h"

#define SERVER_VARIABLE "AFAR_SERVER="

enum { REMAINS_WAIT_MS = 1000, REMAINS_MAX_MS = 30000, REMAINS_NAME_BYTES = 128 };

struct remains;

/* "AFAR_SERVER=BOOT.PID.START.RANDOM" for this process; "" if /proc cannot be used. */
void remains_name(char name[REMAINS_NAME_BYTES], const char *random);

/* Starts the thread and waits REMAINS_WAIT_MS for it, so that ports that a dead server's commands
 * have bound are free before this one listens. Logs what was ended. `log`, `kept` (NULL: no kept
 * commands; otherwise all of them have been entered) and `cgroups` (NULL: none) are *kept*. End
 * with remains_stop. NULL: no memory or no thread, which is logged. */
struct remains *remains_sweep(struct log *log, struct kept *kept, const struct cgroups *cgroups);

/* Stops the thread and frees everything. False: the thread hangs and still uses the log; nothing is
 * freed. NULL is fine. */
bool remains_stop(struct remains *remains);

#endif
