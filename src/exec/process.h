/* A running command and what descends from it: signals, its end, its resource use.
 *
 * Owns:    a struct process owns the pidfd; process_reap closes it.
 * Threads: one owner.
 * Blocks:  never.
 * Limits:  process_signal_tree looks at FAMILY_MAX descendants at most. */
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

/* Signals the group (false: as above) and every descendant that /proc still connects with the
 * leader, also those that made sessions of their own. A descendant whose parent has died is not
 * connected any more: that one is for orphans.h. */
bool process_signal_tree(pid_t leader, int number);

/* Takes the command's end, for good: its pid may be reused after this. AFAR_EAGAIN: it still runs.
 * AFAR_ESYSTEM. */
enum afar_status process_reap(struct process *process, struct process_end *end,
                              struct afar_error *err);

#endif
