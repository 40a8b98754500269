/* Commands started as afard starts them: from a thread that is not the main one. The process is a
 * subreaper, and the main thread has only orphans as children.
 *
 * Owns:    a struct threaded owns its thread, its process and its pipes, until threaded_close.
 * Threads: the main one.
 * Blocks:  at most until test_deadline_ms; then the test fails.
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
    char line[128]; /* what the command has printed */
};

/* Makes the process a subreaper that recognises orphans by AFAR_JOB. NULL: not possible. */
struct orphans *threaded_orphans(void);

/* Starts sh -c SCRIPT; `name` becomes part of its variable. */
void threaded_start(struct threaded *command, const char *name, const char *script);

struct family_mark threaded_mark(const struct threaded *command);

/* Reads one line of its output. */
void threaded_expect_line(struct threaded *command);

/* Waits for the end of its first process, which stays a zombie. */
void threaded_expect_end(const struct threaded *command);

/* Runs a sweep to its end, as a job does; fills in leader, mark and orphans of the order. */
void threaded_sweep(struct threaded *command, struct sweep *sweep, struct orphans *orphans,
                    const struct sweep_order *order);

/* Kills until nothing is left of the command. */
void threaded_sweep_away(struct threaded *command, struct orphans *orphans);

struct process_end threaded_close(struct threaded *command);

/* Reaps until the main thread has no child, living or zombie. */
void expect_no_orphans(struct orphans *orphans);

bool is_child_of_main_thread(pid_t pid);

#endif
