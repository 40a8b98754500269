#include "exec/orphans.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/proc.h"

/* As in process.c: what is found is stopped, and what is stopped cannot fork. */
enum { ROUNDS_MAX = 8 };

struct orphans {
    pthread_mutex_t lock; /* held while the main thread's children are reaped, or listed */
};

struct orphans *orphans_new(void)
{
    struct orphans *orphans = calloc(1, sizeof *orphans);
    if (orphans != NULL)
        (void)pthread_mutex_init(&orphans->lock, NULL);
    return orphans;
}

void orphans_free(struct orphans *orphans)
{
    if (orphans == NULL)
        return;
    (void)pthread_mutex_destroy(&orphans->lock);
    free(orphans);
}

bool orphans_adopt(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) == 0;
}

bool orphans_are_adopted(void)
{
    int subreaper = 0;
    (void)prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0L, 0L, 0L);
    return subreaper != 0 || getpid() == 1;
}

void orphans_reap(struct orphans *orphans)
{
    siginfo_t info;
    (void)pthread_mutex_lock(&orphans->lock);
    do {
        info.si_pid = 0;
    } while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WNOTHREAD) == 0 && info.si_pid != 0);
    (void)pthread_mutex_unlock(&orphans->lock);
}

/* One walk; *family is made when it is first needed, and stays NULL while there is no orphan at
 * all. Returns how many of that mark are new. */
static size_t find(struct orphans *orphans, struct family **family, const struct family_mark *mark)
{
    pid_t *pids = NULL;
    size_t found = 0;
    (void)pthread_mutex_lock(&orphans->lock);
    size_t count = proc_children(getpid(), getpid(), &pids);
    (void)pthread_mutex_unlock(&orphans->lock);
    if (count > 0 && *family == NULL)
        *family = family_new();
    if (*family != NULL)
        found = family_add_marked(*family, pids, count, mark);
    free(pids);
    return found;
}

size_t orphans_signal(struct orphans *orphans, const struct family_mark *mark, int number)
{
    struct family *family = NULL;
    size_t found = find(orphans, &family, mark);
    if (family == NULL)
        return 0;
    /* Another look, also where nothing was found: one may have been handed on meanwhile, just after
     * we had looked where it went. */
    for (int round = 0; number == SIGKILL && round < ROUNDS_MAX; round++) {
        if (found > 0)
            (void)family_signal(family, SIGSTOP);
        found = find(orphans, &family, mark);
        if (found == 0)
            break;
    }
    size_t count = family_signal(family, number);
    family_free(family);
    return count;
}
