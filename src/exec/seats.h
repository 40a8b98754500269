/* Seats: low descriptors that are reserved for the standard streams of commands that are started.
 *
 * A child normally begins with a copy of its parent's descriptor table, and closes what it does not
 * need. With ten thousand connections this takes 2 ms for each command, twice as long as the rest
 * of running `true`. But if the child shares the table at first and unshares it with close_range(2)
 * and CLOSE_RANGE_UNSHARE, the kernel copies it only up to the first descriptor that is closed:
 * little, if the child's pipes have low descriptors.
 *
 * Owns:    SEATS times three descriptors, which refer to /dev/null while a seat is free.
 * Threads: any; a mutex.
 * Blocks:  never.
 * Limits:  SEATS children at a time; without a free seat a child starts too, but slower. */
#ifndef EXEC_SEATS_H
#define EXEC_SEATS_H

/* As many spawns as usually happen at the same time. */
enum { SEATS = 8, SEAT_DESCRIPTORS = 3 };

struct seats;

/* Reserves the lowest free descriptors: call it before other descriptors are opened. NULL: out of
 * memory, or /dev/null cannot be opened. If descriptors run out, there are fewer seats. */
struct seats *seats_open(void);

/* NULL is fine. */
void seats_close(struct seats *seats);

/* Copies `fds` to a free seat, close-on-exec; if one is -1, its place is /dev/null, for reading.
 * Returns the first of the SEAT_DESCRIPTORS consecutive descriptors; -1: no seat is free, a copy
 * failed, or `seats` is NULL. */
int seats_take(struct seats *seats, const int fds[SEAT_DESCRIPTORS]);

/* Frees a seat that seats_take has returned, and closes the copies. -1 is fine. */
void seats_leave(struct seats *seats, int first);

#endif
