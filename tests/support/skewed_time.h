/* A wall clock that a test sets, as our own code sees it: time(2) of the archives, but not of
 * shared libraries. The test says "// wrap: time".
 *
 * Owns:    skew_s.
 * Threads: one.
 * Blocks:  never.
 * Limits:  none. */
#ifndef SUPPORT_SKEWED_TIME_H
#define SUPPORT_SKEWED_TIME_H

#include <time.h>

extern time_t skew_s; /* added to what it is */

/* What it is. */
time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);

#endif
