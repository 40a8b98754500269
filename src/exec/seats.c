#include "exec/seats.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct seats {
    int null_fd;
    int first[SEATS]; /* -1: there is no such seat */
    bool taken[SEATS];
    bool copies[SEATS][SEAT_DESCRIPTORS]; /* places that are not /dev/null; the taker's */
    pthread_mutex_t lock;                 /* guards taken */
};

static void close_seat(int first)
{
    for (int i = 0; first >= 0 && i < SEAT_DESCRIPTORS; i++)
        (void)close(first + i);
}

/* Opens the lowest three consecutive free descriptors. Gaps below that are too small stay free.
 * Returns the first; -1: none. */
static int open_seat(int null_fd)
{
    int from = STDERR_FILENO + 1;
    for (;;) {
        int first = fcntl(null_fd, F_DUPFD_CLOEXEC, from);
        int next = first;
        int count = 1;
        if (first < 0)
            return -1;
        while (count < SEAT_DESCRIPTORS && next == first + count - 1) {
            next = fcntl(null_fd, F_DUPFD_CLOEXEC, first + count);
            count += next == first + count;
        }
        if (count == SEAT_DESCRIPTORS)
            return first;
        while (count > 0)
            (void)close(first + --count);
        if (next < 0)
            return -1;
        (void)close(next);
        from = next;
    }
}

struct seats *seats_open(void)
{
    struct seats *seats = calloc(1, sizeof *seats);
    if (seats == NULL)
        return NULL;
    seats->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (seats->null_fd < 0 || pthread_mutex_init(&seats->lock, NULL) != 0) {
        if (seats->null_fd >= 0)
            (void)close(seats->null_fd);
        free(seats);
        return NULL;
    }
    for (int i = 0; i < SEATS; i++)
        seats->first[i] = open_seat(seats->null_fd);
    return seats;
}

void seats_close(struct seats *seats)
{
    if (seats == NULL)
        return;
    for (int i = 0; i < SEATS; i++)
        close_seat(seats->first[i]);
    (void)close(seats->null_fd);
    (void)pthread_mutex_destroy(&seats->lock);
    free(seats);
}

/* Takes the lowest free seat, as with it the child copies least. -1: none. */
static int choose(struct seats *seats)
{
    int chosen = -1;
    (void)pthread_mutex_lock(&seats->lock);
    for (int i = 0; i < SEATS && chosen < 0; i++) {
        if (seats->first[i] >= 0 && !seats->taken[i])
            chosen = i;
    }
    if (chosen >= 0)
        seats->taken[chosen] = true;
    (void)pthread_mutex_unlock(&seats->lock);
    return chosen;
}

/* Makes `place`, which is open, a copy of `fd`; dup3 closes the old one. */
static bool put(int fd, int place)
{
    int result = 0;
    do {
        result = dup3(fd, place, O_CLOEXEC);
    } while (result < 0 && errno == EINTR);
    return result >= 0;
}

static void leave(struct seats *seats, int seat)
{
    /* If the end of a pipe stayed open here, its reader would never see the end of file. */
    for (int i = 0; i < SEAT_DESCRIPTORS; i++) {
        if (seats->copies[seat][i])
            (void)put(seats->null_fd, seats->first[seat] + i);
        seats->copies[seat][i] = false;
    }
    (void)pthread_mutex_lock(&seats->lock);
    seats->taken[seat] = false;
    (void)pthread_mutex_unlock(&seats->lock);
}

int seats_take(struct seats *seats, const int fds[SEAT_DESCRIPTORS])
{
    int seat = seats == NULL ? -1 : choose(seats);
    for (int i = 0; seat >= 0 && i < SEAT_DESCRIPTORS; i++) {
        seats->copies[seat][i] = fds[i] >= 0;
        if (fds[i] < 0 || put(fds[i], seats->first[seat] + i))
            continue;
        leave(seats, seat);
        return -1;
    }
    return seat < 0 ? -1 : seats->first[seat];
}

void seats_leave(struct seats *seats, int first)
{
    for (int i = 0; first >= 0 && i < SEATS; i++) {
        if (seats->first[i] == first)
            leave(seats, i);
    }
}
