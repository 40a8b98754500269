/* A running command: signals to its group, its end, its resource use.
 *
 * Owns:    a struct process owns the pidfd; process_reap closes it.
 * Threads: one owner.
 * Blocks:  never.
 * Limits:  none. (What descends from it is sweep.h's.) */
#ifndef EXEC_PROCESS_H
#define EXEC_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct process {
    pid_t pid;
    int pidfd;
};

struct process_end {
    bool exited; /* otherwise a signal killed it */
    int code;    /* exit status */
    int signal;
    bool core_dumped;
    uint64_t user_us;
    uint64_t system_us;
    uint64_t max_rss_bytes;
};

/* Signals the command's process group. The leader must not have been reaped: its pid keeps
 * strangers from being hit. False where the group is empty or may not be signalled. */
bool process_signal_group(pid_t leader, int number);

/* Whether process_reap would take its end now, or fail. */
bool process_has_ended(const struct process *process);

/* Of one that has ended and is not reaped: whether it has exited, so that no signal has killed it. */
bool process_has_exited(const struct process *process);

/* Takes the command's end, for good: its pid may be reused after this. AFAR_EAGAIN: it still runs.
 * AFAR_ESYSTEM. */
enum afar_status process_reap(struct process *process, struct process_end *end,
                              struct afar_error *err);

#endif
