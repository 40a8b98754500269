#include "afar/signals.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
static const int of_terminals[] = {SIGWINCH, SIGTSTP, SIGCONT};

/* Adds the signals that are not ignored. */
static void add(struct signals *signals, const int *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            (void)sigaddset(&signals->mask, numbers[i]);
    }
}

bool signals_open(struct signals *signals, bool on_terminal)
{
    (void)sigemptyset(&signals->mask);
    add(signals, passed_on, sizeof passed_on / sizeof passed_on[0]);
    if (on_terminal)
        add(signals, of_terminals, sizeof of_terminals / sizeof of_terminals[0]);
    signals->fd = signalfd(-1, &signals->mask, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals->fd < 0)
        return false;
    (void)sigprocmask(SIG_BLOCK, &signals->mask, &signals->before);
    return true;
}

void signals_let_through(const struct signals *signals)
{
    (void)sigprocmask(SIG_SETMASK, &signals->before, NULL);
}

void signals_hold_back(const struct signals *signals)
{
    (void)sigprocmask(SIG_BLOCK, &signals->mask, NULL);
}

int signals_next(const struct signals *signals)
{
    struct signalfd_siginfo info;
    ssize_t got = 0;
    do {
        got = read(signals->fd, &info, sizeof info);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

void signals_close(struct signals *signals)
{
    while (signals_next(signals) != 0)
        continue;
    (void)close(signals->fd);
    (void)sigprocmask(SIG_SETMASK, &signals->before, NULL);
}
