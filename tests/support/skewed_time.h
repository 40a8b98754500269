/* A wall clock that a test sets, for our own code: time(2) in our archives, not in shared
 * libraries. The test contains "// wrap: time".
 *
 * Owns:    skew_s.
 * Threads: one.
 * Blocks:  never.
 * Limits:  none. */
#ifndef SUPPORT_SKEWED_TIME_H
#define SUPPORT_SKEWED_TIME_H

#include <time.h>

extern time_t skew_s; /* added to the real time */

/* The real time. */
time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);

#endif
