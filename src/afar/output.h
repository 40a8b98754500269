/* Writes standard output or error without waiting, and without changing the flags of a file
 * description that other programs share.
 *
 * Owns:    a descriptor of its own for pipes and terminals; the given one stays the caller's.
 * Threads: one.
 * Blocks:  only on regular files, which cannot be written without waiting.
 * Limits:  none; keeps nothing. */
#ifndef AFAR_OUTPUT_H
#define AFAR_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

enum output_kind {
    OUTPUT_PLAIN,       /* regular files and devices: write(2) does not wait */
    OUTPUT_NONBLOCKING, /* a pipe or terminal, opened again by us */
    OUTPUT_CAREFUL,     /* one that cannot be opened again: small writes after poll(2) */
    OUTPUT_SOCKET
};

struct output {
    const char *name; /* for messages */
    int fd;           /* to write and to poll */
    int own_fd;       /* -1: none */
    enum output_kind kind;
    size_t piece_bytes; /* for OUTPUT_CAREFUL: a write of this size does not wait */
    bool blocked;       /* wait for POLLOUT before the next write */
    bool may_grow;      /* a pipe that was never full yet */
    bool closed;        /* the reader is gone: more output is dropped */
    int failure;        /* errno of another failed write; 0: none. More output is dropped */
};

void output_open(struct output *output, int fd, const char *name);
void output_close(struct output *output);

/* Returns how many bytes were written or dropped; fewer than `size`: blocked. */
size_t output_write(struct output *output, const void *data, size_t size);

#endif
