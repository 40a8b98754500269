/* Does a thread's event loop still turn? Each loop notes when a turn begins and when it ends; what
 * asks looks at that, and wakes nobody. A loop that waits for events is healthy, however long it
 * does; one that has been in the same turn for seconds is not.
 *
 * Owns:    a number.
 * Threads: pulse_begin and pulse_end from the loop's thread; the question from any.
 * Blocks:  never.
 * Limits:  none. A whole process that was stopped and goes on looks stuck until its turns end. */
#ifndef STATS_PULSE_H
#define STATS_PULSE_H

#include <stdatomic.h>
#include <stdint.h>

struct pulse {
    _Atomic int64_t begun_ms; /* PULSE_RESTS: it waits for events */
};

#define PULSE_RESTS INT64_MAX

void pulse_init(struct pulse *pulse);

/* A turn's two ends; now_ms as clock_now_ms gives it. */
void pulse_begin(struct pulse *pulse, int64_t now_ms);
void pulse_end(struct pulse *pulse);

/* For how long the present turn has lasted; 0: it waits for events. */
int64_t pulse_turn_ms(const struct pulse *pulse, int64_t now_ms);

#endif
