/* How much memory and how many processors this process may use, by its cgroups (v2 or v1) and its
 * affinity. In a container that can be less than the machine has.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  reads files of /proc and /sys.
 * Limits:  ALLOWANCE_DEPTH_MAX levels of cgroups. */
#ifndef EXEC_ALLOWANCE_H
#define EXEC_ALLOWANCE_H

#include <stdint.h>

enum { ALLOWANCE_DEPTH_MAX = 32 };

/* `root` is a prefix of the paths that are read: "", except in tests. A limit that cannot be read
 * counts as no limit. */

/* The minimum of the machine's memory and the limits of all cgroups that this process is in. */
uint64_t allowance_memory_bytes(const char *root);

/* The minimum of the processors that this process may run on and of its cgroups' quotas of
 * processor time, rounded up; at least 1. */
unsigned allowance_processors(const char *root);

#endif
