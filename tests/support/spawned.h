/* A command that is spawned for a test: what it prints, or where it failed.
 *
 * Owns:    nothing when a call has returned: no process, no descriptor.
 * Threads: one.
 * Blocks:  until the command has ended.
 * Limits:  SPAWNED_TEXT_BYTES of output. */
#ifndef SUPPORT_SPAWNED_H
#define SUPPORT_SPAWNED_H

#include "exec/spawn.h"

enum { SPAWNED_TEXT_BYTES = 8192 };

/* How many this process has open. */
unsigned spawned_descriptors(void);

/* Reads to the end of the file. */
void spawned_read_all(int fd, char *text, size_t size);

/* Waits for its end. Its descriptors but the pidfd are the caller's. */
void spawned_reap(struct spawn_result *result);

/* Runs it and gives what it prints on standard output; on standard error it must print nothing. */
void spawned_run(const struct spawn_request *request, char text[SPAWNED_TEXT_BYTES]);

/* It must fail at `stage` by `sys_errno`. `err` says what is said about it. */
void spawned_fail(const struct spawn_request *request, const char *stage, int sys_errno,
                  struct afar_error *err);

/* The test's main begins with it. True: it is the helper, or valgrind is at work, which makes a
 * fork of a child that shares our memory; *status is what main returns. */
bool spawned_main(int argc, char **argv, int *status);

#endif
