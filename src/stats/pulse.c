#include "stats/pulse.h"

void pulse_init(struct pulse *pulse)
{
    atomic_init(&pulse->begun_ms, PULSE_RESTS);
}

void pulse_begin(struct pulse *pulse, int64_t now_ms)
{
    atomic_store_explicit(&pulse->begun_ms, now_ms, memory_order_relaxed);
}

void pulse_end(struct pulse *pulse)
{
    atomic_store_explicit(&pulse->begun_ms, PULSE_RESTS, memory_order_relaxed);
}

int64_t pulse_turn_ms(const struct pulse *pulse, int64_t now_ms)
{
    int64_t begun_ms = atomic_load_explicit(&pulse->begun_ms, memory_order_relaxed);
    return begun_ms < now_ms ? now_ms - begun_ms : 0; /* a turn may have started after now_ms was
                                                         read */
}
