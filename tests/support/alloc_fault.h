/* Makes one allocation fail. The test names the four functions on a line of its own:
 *
 *     // wrap: malloc calloc realloc strdup
 *
 *     for (int n = 1;; n++) {
 *         alloc_fault_arm(n);
 *         … a call, which must fail if the fault fired, and leak nothing …
 *         if (!alloc_fault_fired())
 *             break;
 *     }
 *
 * Owns:    nothing; process-wide state, for tests with one thread.
 * Threads: one.
 * Blocks:  never.
 * Limits:  allocations inside shared libraries are not intercepted, except cJSON's. */
#ifndef SUPPORT_ALLOC_FAULT_H
#define SUPPORT_ALLOC_FAULT_H

#include <stdbool.h>

/* The nth allocation from now on fails, once; 0: none. Also intercepts cJSON's allocations. */
void alloc_fault_arm(int nth);

/* Disarms. True: the allocation has failed since alloc_fault_arm. */
bool alloc_fault_fired(void);

#endif
