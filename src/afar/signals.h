/* Receives the signals that are passed on to the remote command.
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

/* From now on INT, TERM, HUP, QUIT, USR1 and USR2 come through `fd`; for a command on a terminal
 * also WINCH, TSTP and CONT. Signals that are ignored stay ignored (nohup(1), a shell's background
 * jobs). False: see errno. */
bool signals_open(struct signals *signals, bool on_terminal);

/* Between these two, signals have their usual effect and end the program: for waiting on something
 * other than `fd`. */
void signals_let_through(const struct signals *signals);
void signals_hold_back(const struct signals *signals);

/* Restores the signal mask; discards signals that were not read. */
void signals_close(struct signals *signals);

/* The next signal; 0: none. */
int signals_next(const struct signals *signals);

#endif
