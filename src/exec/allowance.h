/* What this process may use of the machine: memory and processors, as its cgroups (v2 or v1) and its
 * affinity say. In a container that is less than the machine has.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  reads files of /proc and /sys.
 * Limits:  ALLOWANCE_DEPTH_MAX cgroups, one in another. */
#ifndef EXEC_ALLOWANCE_H
#define EXEC_ALLOWANCE_H

#include <stdint.h>

enum { ALLOWANCE_DEPTH_MAX = 32 };

/* `root` is put before the paths that are read: "", but in tests. What cannot be read limits nothing. */

/* The least of the machine's memory and the limits of all cgroups that this process is in. */
uint64_t allowance_memory_bytes(const char *root);

/* At least 1: the processors that it may run on, and of their time what the cgroups leave it, rounded
 * up. */
unsigned allowance_processors(const char *root);

#endif
