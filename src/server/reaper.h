/* Reaps the orphans that have ended (exec/orphans.h), on the main thread's loop.
 *
 * The kernel says SIGCHLD for each job's command too, which is not for this thread: so it looks at
 * most ten times a second, however many commands end.
 *
 * Owns:    a signalfd and a timer.
 * Threads: the loop's, which must be the process's main thread, and must have blocked SIGCHLD.
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
    bool more; /* the last turn was too short for all */
};

/* `orphans` is *kept*. Where no orphans come to this process there is nothing to do, and nothing is
 * opened. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status reaper_open(struct reaper *reaper, struct loop *loop, struct orphans *orphans,
                             struct afar_error *err);

/* One that is not open may be closed too, if all of it is 0. */
void reaper_close(struct reaper *reaper);

#endif
