#include "base/clock.h"

#include <limits.h>
#include <time.h>

int64_t clock_now_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_ms(void)
{
    return clock_now_us() / 1000;
}

int64_t clock_awake_or_not_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_BOOTTIME, &now); /* cannot fail either */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_deadline_ms(int64_t timeout_ms)
{
    if (timeout_ms <= 0)
        return DEADLINE_NEVER;
    int64_t now_ms = clock_now_ms();
    return timeout_ms > DEADLINE_NEVER - now_ms ? DEADLINE_NEVER : now_ms + timeout_ms;
}

int clock_poll_timeout(int64_t deadline_ms)
{
    if (deadline_ms == DEADLINE_NEVER)
        return -1;
    int64_t now_ms = clock_now_ms();
    if (deadline_ms <= now_ms)
        return 0;
    int64_t left_ms = deadline_ms - now_ms;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}
