/* Standard output or error, written without waiting and without touching the flags of a file
 * description that other programs share.
 *
 * Owns:    a descriptor of its own for pipes and terminals; the one given stays the caller's.
 * Threads: one.
 * Blocks:  only on what has no such notion: regular files.
 * Limits:  none; keeps nothing. */
#ifndef AFAR_OUTPUT_H
#define AFAR_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

enum output_kind {
    OUTPUT_PLAIN,       /* regular files and devices: write(2) does not wait */
    OUTPUT_NONBLOCKING, /* a pipe or terminal with a description of our own */
    OUTPUT_CAREFUL,     /* one that cannot be opened again: small writes, asked for before */
    OUTPUT_SOCKET
};

struct output {
    const char *name; /* for messages */
    int fd;           /* to write to and to poll */
    int own_fd;       /* -1: none */
    enum output_kind kind;
    size_t piece_bytes; /* careful: so much at once is taken without waiting */
    bool blocked;       /* wait for POLLOUT before the next write */
    bool may_grow;      /* a pipe that was never full yet */
    bool closed;        /* nobody reads it any more: what comes is dropped */
    int failure;        /* errno of a write that failed otherwise, 0: none; what comes is dropped */
};

void output_open(struct output *output, int fd, const char *name);
void output_close(struct output *output);

/* Returns how many bytes were written or dropped; fewer than `size`: blocked. */
size_t output_write(struct output *output, const void *data, size_t size);

#endif
