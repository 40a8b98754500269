/* Whether processes have ended, whoever started them.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  expect_…: until test_deadline_ms at most; then the test fails.
 * Limits:  none. */
#ifndef SUPPORT_PROCESS_WAIT_H
#define SUPPORT_PROCESS_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* It runs; a zombie does not. */
bool process_runs(pid_t pid);

void expect_process_gone(pid_t pid);

/* All the numbers in a text, as a shell's "echo $$ $!" gives them. Fails where there is none. */
void expect_processes_gone(const char *pids);

/* How many processes have this "NAME=value" in their environment. */
size_t processes_with(const char *variable);

#endif
