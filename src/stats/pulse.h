/* Tells whether a thread's event loop still turns. Each loop stores when a turn starts and ends, so
 * a check only reads, and wakes no thread. A loop that waits for events is healthy, however long it
 * waits; one that has been in the same turn for seconds is not.
 *
 * Owns:    a number.
 * Threads: pulse_begin and pulse_end from the loop's thread; pulse_turn_ms from any.
 * Blocks:  never.
 * Limits:  none. After a whole process was stopped and continued it looks stuck until its turns
 *          end. */
#ifndef STATS_PULSE_H
#define STATS_PULSE_H

#include <stdatomic.h>
#include <stdint.h>

struct pulse {
    _Atomic int64_t begun_ms; /* start of the turn; PULSE_RESTS: waiting for events */
};

#define PULSE_RESTS INT64_MAX

void pulse_init(struct pulse *pulse);

/* The start and the end of a turn; now_ms as of clock_now_ms. */
void pulse_begin(struct pulse *pulse, int64_t now_ms);
void pulse_end(struct pulse *pulse);

/* How long the present turn has lasted; 0: the loop waits for events. */
int64_t pulse_turn_ms(const struct pulse *pulse, int64_t now_ms);

#endif
