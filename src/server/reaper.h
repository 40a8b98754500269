/* Reaps orphans that have ended (exec/orphans.h), on the main thread's loop.
 *
 * SIGCHLD also comes for each job's command, which is not reaped here: so this looks at most ten
 * times a second, however many commands end.
 *
 * Owns:    a signalfd and a timer.
 * Threads: the loop's, which must be the process's main thread, with SIGCHLD blocked.
 * Blocks:  never.
 * Limits:  2 ms of reaping in a turn. */
#ifndef SERVER_REAPER_H
#define SERVER_REAPER_H

#include "exec/orphans.h"
#include "loop/loop.h"

struct reaper {
    struct loop *loop; /* NULL: not open */
    struct orphans *orphans;
    struct loop_source source;
    struct timer timer;
    bool more; /* some orphans were left for the next turn */
};

/* `orphans` is *kept*. Opens nothing if this process does not adopt orphans. AFAR_ESYSTEM,
 * AFAR_ENOMEM. */
enum afar_status reaper_open(struct reaper *reaper, struct loop *loop, struct orphans *orphans,
                             struct afar_error *err);

/* Does nothing if the reaper is all zero or not open. */
void reaper_close(struct reaper *reaper);

#endif
