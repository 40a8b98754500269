/* Monotonic time. Deadlines are absolute `int64_t deadline_ms` on CLOCK_MONOTONIC.
 *
 * Owns nothing; any thread; never blocks. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define DEADLINE_NEVER INT64_MAX

int64_t clock_now_us(void);
int64_t clock_now_ms(void);

/* The same of CLOCK_BOOTTIME, which goes on while the machine sleeps. Not for deadlines of the other
 * clock. */
int64_t clock_awake_or_not_ms(void);

/* now + timeout_ms, without overflow; DEADLINE_NEVER for a timeout of 0 or less ("no timeout"). */
int64_t clock_deadline_ms(int64_t timeout_ms);

/* What poll(2) and epoll_wait(2) want: -1 for DEADLINE_NEVER, 0 for one that has passed, else the
 * milliseconds until then (at most INT_MAX). */
int clock_poll_timeout(int64_t deadline_ms);

#endif
