/* A network with long ways, until it is ended: see support/far.h. */
#include "bench/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/far.h"

void clock_far(int port, int round_trip_ms)
{
    struct far *far = far_start((uint16_t)port, (int64_t)round_trip_ms * 500);
    if (far == NULL)
        clock_give_up("far", strerror(errno));
    (void)printf("%u\n", (unsigned)far_port(far));
    (void)fflush(stdout);
    for (;;)
        (void)pause();
}
