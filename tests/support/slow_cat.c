#include "support/slow_cat.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

struct slow_cat {
    int release_fd;
    unsigned ends;
    uint64_t every;
    uint64_t released;
    uint64_t got; /* from standard input */
    uint64_t put;
    bool ended;
    size_t start;
    size_t end;
    char bytes[SLOW_FULL_BYTES];
};

static volatile sig_atomic_t effects_fd; /* of the process that is the command */

static void say(char effect)
{
    ssize_t written = write(effects_fd, &effect, 1);
    (void)written;
}

static void on_signal(int number)
{
    int kept = errno;
    say(number == SIGUSR1 ? SLOW_CAT_USR1 : SLOW_CAT_USR2);
    errno = kept;
}

static bool stopped(const struct slow_cat *cat, enum slow_end end, uint64_t moved)
{
    return (cat->ends & (unsigned)end) != 0 && moved / cat->every > cat->released;
}

static size_t piece(const struct slow_cat *cat, enum slow_end end, size_t size)
{
    size_t most = (cat->ends & (unsigned)end) != 0 ? SLOW_PIECE_BYTES : SLOW_FULL_BYTES;
    return size < most ? size : most;
}

/* False: standard input has failed. */
static bool take(struct slow_cat *cat)
{
    ssize_t got = read(STDIN_FILENO, cat->bytes + cat->end,
                       piece(cat, SLOW_CAT_READS, sizeof cat->bytes - cat->end));
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    cat->ended = got == 0;
    cat->got += (uint64_t)got;
    cat->end += (size_t)got;
    return true;
}

/* False: standard output has no reader. */
static bool give(struct slow_cat *cat)
{
    size_t size = piece(cat, SLOW_CAT_WRITES, cat->end - cat->start);
    if ((cat->ends & (unsigned)SLOW_CAT_ODD) != 0 && size > SLOW_ODD_BYTES)
        size = SLOW_ODD_BYTES;
    ssize_t put = write(STDOUT_FILENO, cat->bytes + cat->start, size);
    if (put < 0)
        return errno == EAGAIN || errno == EINTR;
    cat->put += (uint64_t)put;
    cat->start += (size_t)put;
    if (cat->start == cat->end)
        cat->start = cat->end = 0;
    return true;
}

static void take_release(struct slow_cat *cat)
{
    char tokens[64];
    ssize_t got = read(cat->release_fd, tokens, sizeof tokens);
    if (got > 0)
        cat->released += (uint64_t)got;
}

static bool turn(struct slow_cat *cat)
{
    bool in =
        !cat->ended && cat->end < sizeof cat->bytes && !stopped(cat, SLOW_CAT_READS, cat->got);
    bool out = cat->end > cat->start && !stopped(cat, SLOW_CAT_WRITES, cat->put);
    struct pollfd polls[3] = {{.fd = cat->release_fd, .events = POLLIN},
                              {.fd = in ? STDIN_FILENO : -1, .events = POLLIN},
                              {.fd = out ? STDOUT_FILENO : -1, .events = POLLOUT}};
    if (poll(polls, 3, -1) < 0)
        return errno == EINTR;
    if (polls[0].revents != 0)
        take_release(cat);
    if (in && polls[1].revents != 0 && !take(cat))
        return false;
    return !out || polls[2].revents == 0 || give(cat);
}

int slow_cat_main(int argc, char **argv)
{
    static struct slow_cat cat;
    if (argc != 6)
        return 2;
    effects_fd = open(argv[2], O_WRONLY | O_CLOEXEC);
    cat.release_fd = open(argv[3], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    cat.ends = (unsigned)strtoul(argv[4], NULL, 10);
    cat.every = strtoull(argv[5], NULL, 10);
    if (effects_fd < 0 || cat.release_fd < 0 || cat.every == 0)
        return 2;
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGUSR1, &action, NULL);
    (void)sigaction(SIGUSR2, &action, NULL);
    say(SLOW_CAT_READY);
    (void)fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    (void)fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    while (!cat.ended || cat.end > cat.start) {
        if (!turn(&cat))
            return 1;
    }
    return 0;
}
