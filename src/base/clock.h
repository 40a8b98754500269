/* Monotonic time. Deadlines are absolute `int64_t deadline_ms` on CLOCK_MONOTONIC.
 *
 * Owns nothing; any thread; never blocks. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define DEADLINE_NEVER INT64_MAX

int64_t clock_now_us(void);
int64_t clock_now_ms(void);

/* CLOCK_BOOTTIME, which also runs while the machine sleeps. Not comparable with deadlines. */
int64_t clock_awake_or_not_ms(void);

/* now + timeout_ms, without overflow; DEADLINE_NEVER for a timeout of 0 or less ("no timeout"). */
int64_t clock_deadline_ms(int64_t timeout_ms);

/* The time-out for poll(2) and epoll_wait(2): -1 for DEADLINE_NEVER, 0 for a deadline that has
 * passed, otherwise the milliseconds until then (at most INT_MAX). */
int clock_poll_timeout(int64_t deadline_ms);

#endif
