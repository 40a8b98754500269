#include "server/reaper.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    PAUSE_MS = 100,
    /* If thousands end together, they are not all reaped in one turn. */
    TURN_US = 2000,
    NEXT_MS = 1
};

/* Reaps, and then does not watch SIGCHLD for a while; continues in the next turn if there is more.
 */
static void reap(struct reaper *reaper)
{
    bool more = orphans_reap(reaper->orphans, clock_now_us() + TURN_US);
    timer_arm(loop_timers(reaper->loop), &reaper->timer,
              clock_now_ms() + (more ? NEXT_MS : PAUSE_MS));
    reaper->more = more;
}

static void look(struct loop_source *source, uint32_t events)
{
    struct reaper *reaper = list_object(source, struct reaper, source);
    struct signalfd_siginfo info;
    (void)events;
    while (read(source->fd, &info, sizeof info) == (ssize_t)sizeof info)
        ;
    (void)loop_set_events(reaper->loop, source, 0, NULL); /* removing a watch cannot fail */
    reap(reaper);
}

static void pause_over(struct timer *timer)
{
    struct reaper *reaper = list_object(timer, struct reaper, timer);
    if (reaper->more)
        reap(reaper);
    else if (loop_set_events(reaper->loop, &reaper->source, EPOLLIN, NULL) != AFAR_OK)
        timer_arm(loop_timers(reaper->loop), timer, clock_now_ms() + PAUSE_MS);
}

enum afar_status reaper_open(struct reaper *reaper, struct loop *loop, struct orphans *orphans,
                             struct afar_error *err)
{
    *reaper = (struct reaper){.orphans = orphans};
    loop_source_init(&reaper->source);
    if (!orphans_are_adopted())
        return AFAR_OK;
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGCHLD);
    int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return afar_fail_errno(err, errno, "cannot make a signalfd");
    enum afar_status status = timer_attach(loop_timers(loop), &reaper->timer, pause_over, err);
    if (status == AFAR_OK) {
        status = loop_add(loop, &reaper->source, fd, EPOLLIN, look, err);
        if (status != AFAR_OK)
            timer_detach(loop_timers(loop), &reaper->timer);
    }
    if (status != AFAR_OK) {
        (void)close(fd);
        return status;
    }
    reaper->loop = loop;
    return AFAR_OK;
}

void reaper_close(struct reaper *reaper)
{
    if (reaper->loop == NULL)
        return;
    int fd = reaper->source.fd;
    loop_remove(reaper->loop, &reaper->source);
    (void)close(fd);
    timer_detach(loop_timers(reaper->loop), &reaper->timer);
    reaper->loop = NULL;
}
