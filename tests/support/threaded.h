/* Commands as afard starts them: from another thread than the main one, which is a subreaper and
 * has nothing but orphans for children.
 *
 * Owns:    a struct threaded owns its thread, its process and its pipes, until threaded_close.
 * Threads: the main one.
 * Blocks:  until test_deadline_ms at most; then the test fails.
 * Limits:  a line of output. */
#ifndef SUPPORT_THREADED_H
#define SUPPORT_THREADED_H

#include <pthread.h>

#include "exec/orphans.h"
#include "exec/process.h"
#include "exec/spawn.h"
#include "exec/sweep.h"

/* The thread lives as long as its command. */
struct threaded {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started; /* guarded by lock */
    bool over;    /* guarded by lock */
    const char *script;
    char variable[64]; /* "AFAR_JOB=…" */
    struct spawn_result result;
    enum afar_status status;
    struct process process;
    char line[128]; /* what it has printed */
};

/* Makes the process a subreaper whose orphans are known by AFAR_JOB. NULL: it cannot be. */
struct orphans *threaded_orphans(void);

/* Starts sh -c SCRIPT; `name` is part of its variable. */
void threaded_start(struct threaded *command, const char *name, const char *script);

struct family_mark threaded_mark(const struct threaded *command);

/* Reads one line of what it prints. */
void threaded_expect_line(struct threaded *command);

/* Waits for the end of its first process, which stays a zombie. */
void threaded_expect_end(const struct threaded *command);

/* Does what the order says to the end, as a job does: leader, mark and orphans are filled in. */
void threaded_sweep(struct threaded *command, struct sweep *sweep, struct orphans *orphans,
                    const struct sweep_order *order);

/* KILL until nothing is left of it. */
void threaded_sweep_away(struct threaded *command, struct orphans *orphans);

struct process_end threaded_close(struct threaded *command);

/* Reaps until the main thread has no child, dead or alive. */
void expect_no_orphans(struct orphans *orphans);

bool is_child_of_main_thread(pid_t pid);

#endif
