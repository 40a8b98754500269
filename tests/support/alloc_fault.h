/* Makes one allocation fail. The test names all four calls on a line of its own:
 *
 *     // wrap: malloc calloc realloc strdup
 *
 *     for (int n = 1;; n++) {
 *         alloc_fault_arm(n);
 *         … call, which must fail where it fired, and leak nothing …
 *         if (!alloc_fault_fired())
 *             break;
 *     }
 *
 * Owns:    nothing; process-wide state, for tests of one thread.
 * Threads: one.
 * Blocks:  never.
 * Limits:  allocations inside shared libraries are not seen, but for cJSON's. */
#ifndef SUPPORT_ALLOC_FAULT_H
#define SUPPORT_ALLOC_FAULT_H

#include <stdbool.h>

/* The nth allocation from now on fails, once; 0: none. Arms cJSON's allocations too. */
void alloc_fault_arm(int nth);

/* Whether it has failed since; disarms. */
bool alloc_fault_fired(void);

#endif
