#include "support/watched.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { WATCHED_MAX = 4096 };
static atomic_int watched_by[WATCHED_MAX];   /* the epoll's descriptor, plus 1 */
static atomic_bool has_watched[WATCHED_MAX]; /* it is an epoll */

void watched_note(int epoll_fd, int operation, int fd)
{
    if (fd >= WATCHED_MAX || epoll_fd >= WATCHED_MAX || operation == EPOLL_CTL_MOD)
        return;
    atomic_store(&watched_by[fd], operation == EPOLL_CTL_ADD ? epoll_fd + 1 : 0);
    atomic_store(&has_watched[epoll_fd], true);
}

void watched_close(int fd)
{
    static const char problem[] = "a descriptor is closed that an epoll still has\n";
    if (fd < 0 || fd >= WATCHED_MAX)
        return;
    if (atomic_load(&watched_by[fd]) != 0) {
        if (write(STDERR_FILENO, problem, sizeof problem - 1) > 0)
            abort();
        abort();
    }
    for (int i = 0; atomic_load(&has_watched[fd]) && i < WATCHED_MAX; i++) {
        int its = fd + 1;
        (void)atomic_compare_exchange_strong(&watched_by[i], &its, 0);
    }
    atomic_store(&has_watched[fd], false);
}
