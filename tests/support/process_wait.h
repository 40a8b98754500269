/* Whether processes run and what they use, also those that this process did not start.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  expect_…: at most until test_deadline_ms; then the test fails.
 * Limits:  none. */
#ifndef SUPPORT_PROCESS_WAIT_H
#define SUPPORT_PROCESS_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* True if it runs; false for a zombie. */
bool process_runs(pid_t pid);

void expect_process_gone(pid_t pid);

/* Waits for all pids in a text, such as "echo $$ $!" prints. Fails if there is none. */
void expect_processes_gone(const char *pids);

/* Expects that it uses less than a third of a processor for 300 ms: that it does not spin. */
void expect_process_rests(pid_t pid);

/* How many processes have this "NAME=value" in their environment. */
size_t processes_with(const char *variable);

#endif
