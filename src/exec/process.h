/* A running command: signals to its group, its end, its resource use.
 *
 * Owns:    a struct process owns the pidfd; process_reap closes it.
 * Threads: one owner.
 * Blocks:  never.
 * Limits:  none. For its descendants see sweep.h. */
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

/* Signals the command's process group. The leader must not have been reaped, as otherwise another
 * group could have its number. False: the group is empty or may not be signalled. */
bool process_signal_group(pid_t leader, int number);

/* True if process_reap would not return AFAR_EAGAIN now. */
bool process_has_ended(const struct process *process);

/* Whether the process has ended by exiting, not by a signal, and has not been reaped. */
bool process_has_exited(const struct process *process);

/* Reaps the process, after which its pid may be reused. AFAR_EAGAIN: it still runs.
 * AFAR_ESYSTEM. */
enum afar_status process_reap(struct process *process, struct process_end *end,
                              struct afar_error *err);

#endif
