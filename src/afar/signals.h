/* The signals that are passed on to the remote command.
 *
 * Owns:    a signalfd, and the thread's signal mask from open to close.
 * Threads: the only one.
 * Blocks:  never.
 * Limits:  none. */
#ifndef AFAR_SIGNALS_H
#define AFAR_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

struct signals {
    int fd; /* to poll for POLLIN */
    sigset_t mask;
    sigset_t before;
};

/* INT, TERM, HUP, QUIT, USR1 and USR2 come through `fd` from now on, except those that are ignored
 * (as nohup(1) and a shell's background jobs have it); for a command on a terminal WINCH, TSTP and
 * CONT, too. False: errno says why. */
bool signals_open(struct signals *signals, bool on_terminal);

/* While something else is waited for than `fd`, the signals do what they would do without this: end
 * the program. */
void signals_let_through(const struct signals *signals);
void signals_hold_back(const struct signals *signals);

/* Gives the signals back their dispositions; those that came and were not read are forgotten. */
void signals_close(struct signals *signals);

/* The next signal, or 0. */
int signals_next(const struct signals *signals);

#endif
