/* Spawns a command for a test: its output, or where the start failed.
 *
 * Owns:    nothing after a call has returned: no process, no descriptor.
 * Threads: one.
 * Blocks:  until the command has ended.
 * Limits:  SPAWNED_TEXT_BYTES of output. */
#ifndef SUPPORT_SPAWNED_H
#define SUPPORT_SPAWNED_H

#include "exec/spawn.h"

enum { SPAWNED_TEXT_BYTES = 8192 };

/* The number of open descriptors plus a constant: only for comparisons. */
unsigned spawned_descriptors(void);

/* Reads to the end of the file. */
void spawned_read_all(int fd, char *text, size_t size);

/* Waits for the end of the process, and closes its pidfd. The caller closes the other
 * descriptors. */
void spawned_reap(struct spawn_result *result);

/* Runs the command and returns its standard output in `text`; it must print nothing on standard
 * error. */
void spawned_run(const struct spawn_request *request, char text[SPAWNED_TEXT_BYTES]);

/* The start must fail at `stage` with `sys_errno`. *err: the message. */
void spawned_fail(const struct spawn_request *request, const char *stage, int sys_errno,
                  struct afar_error *err);

/* Call first in the test's main. Does not return if this process is the helper. True: running under
 * valgrind, which turns a child that shares our memory into a fork; skip the test and return
 * *status. */
bool spawned_main(int argc, char **argv, int *status);

#endif
