#include "exec/confine.h"

#include <sys/resource.h>

int confine_resource(enum confine_limit limit)
{
    static const int resources[CONFINE_LIMITS] = {
        [CONFINE_NOFILE] = RLIMIT_NOFILE, [CONFINE_CORE] = RLIMIT_CORE,
        [CONFINE_NPROC] = RLIMIT_NPROC,   [CONFINE_AS] = RLIMIT_AS,
        [CONFINE_CPU] = RLIMIT_CPU,       [CONFINE_FSIZE] = RLIMIT_FSIZE,
    };
    return resources[limit];
}
