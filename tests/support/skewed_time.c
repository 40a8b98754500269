#include "support/skewed_time.h"

#include <stddef.h>

time_t skew_s;

time_t __wrap_time(time_t *out)
{
    time_t now = __real_time(NULL) + skew_s;
    if (out != NULL)
        *out = now;
    return now;
}
