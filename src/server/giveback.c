#include "server/giveback.h"

#include <stdlib.h> /* defines __GLIBC__ */
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/clock.h"
#include "base/list.h"

/* Gives back all free pages of all arenas, except those at an arena's end: glibc gives these back
 * only when memory right before them is freed by a thread that uses that arena. */
static void give_back(struct giveback *giveback)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
    giveback->given_back(giveback->user);
}

void giveback_trim_own(void)
{
    /* Each block is smaller than what malloc(3) maps separately (128 KiB at least), so that it
     * comes from this thread's arena; all together are larger than the gaps there and than what
     * malloc(3) keeps at the arena's end. So the arena grows, and when the blocks are freed, its
     * whole end is given back. The blocks are never touched. */
    enum { BLOCK_BYTES = 120 * 1024, BLOCKS = 512 };
    void *volatile blocks[BLOCKS]; /* volatile, or the compiler would remove unused blocks */
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = malloc(BLOCK_BYTES);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static void look(struct timer *timer)
{
    struct giveback *giveback = list_object(timer, struct giveback, timer);
    size_t count = giveback->count(giveback->user);
    if (count > giveback->most)
        giveback->most = count;
    /* While more than half of the connections are left, wait for the others. */
    if (giveback->most - count >= GIVEBACK_MIN && count <= giveback->most / 2) {
        give_back(giveback);
        giveback->most = count;
    }
    if (giveback->most >= GIVEBACK_MIN)
        timer_arm(giveback->timers, timer, clock_deadline_ms(GIVEBACK_LOOK_MS));
}

enum afar_status giveback_open(struct giveback *giveback, struct timers *timers,
                               size_t (*count)(void *user), void (*given_back)(void *user),
                               void *user, struct afar_error *err)
{
    *giveback =
        (struct giveback){.timers = timers, .count = count, .given_back = given_back, .user = user};
    enum afar_status status = timer_attach(timers, &giveback->timer, look, err);
    if (status != AFAR_OK)
        giveback->timers = NULL;
    return status;
}

void giveback_close(struct giveback *giveback)
{
    if (giveback->timers != NULL)
        timer_detach(giveback->timers, &giveback->timer);
    giveback->timers = NULL;
}

void giveback_note(struct giveback *giveback, size_t count)
{
    if (count > giveback->most)
        giveback->most = count;
    if (giveback->most >= GIVEBACK_MIN && giveback->timer.deadline_ms == DEADLINE_NEVER)
        timer_arm(giveback->timers, &giveback->timer, clock_deadline_ms(GIVEBACK_LOOK_MS));
}
