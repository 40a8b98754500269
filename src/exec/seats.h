/* Seats: low descriptors, kept for the ends of pipes that commands are born with.
 *
 * A child begins with a copy of its parent's table of descriptors, and closes what it does not
 * want. With ten thousand connections that is 2 ms for each command, twice what all the rest of
 * `true` takes. But a table that is shared at first and copied by close_range(2) is copied only up
 * to where the closing begins (CLOSE_RANGE_UNSHARE): a child whose pipes sit low copies little.
 *
 * Owns:    SEATS times three descriptors, of /dev/null while nobody sits there.
 * Threads: any; a mutex.
 * Blocks:  never.
 * Limits:  SEATS children at a time; who finds none is spawned all the same, only slower. */
#ifndef EXEC_SEATS_H
#define EXEC_SEATS_H

/* As many workers' companions as are usually in the middle of a spawn. */
enum { SEATS = 8, SEAT_DESCRIPTORS = 3 };

struct seats;

/* Takes the lowest descriptors that are free: call it before the others are opened. NULL: no memory
 * or no descriptors for it. */
struct seats *seats_open(void);
void seats_close(struct seats *seats);

/* Copies `fds` to a seat, close-on-exec; where one is -1 there is /dev/null, for reading. Returns
 * the first descriptor of the seat, of SEAT_DESCRIPTORS in a row, or -1 where all are taken (or
 * `seats` is NULL). */
int seats_take(struct seats *seats, const int fds[SEAT_DESCRIPTORS]);

/* Gives back what seats_take has returned; -1 is fine. The copies are closed. */
void seats_leave(struct seats *seats, int first);

#endif
