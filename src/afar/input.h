/* Standard input, read without waiting and without touching the flags of a file description that
 * other programs share.
 *
 * Owns:    a descriptor of its own for pipes and terminals, and what was read and not yet taken.
 * Threads: one.
 * Blocks:  only on what has no such notion: regular files.
 * Limits:  INPUT_BYTES read ahead. */
#ifndef AFAR_INPUT_H
#define AFAR_INPUT_H

#include <stdbool.h>
#include <stddef.h>

/* What a pipe holds by itself (pipe(7)), and one that was full. */
enum { PIPE_USUAL_BYTES = 65536, INPUT_BYTES = 262144 };

struct input {
    int fd;     /* to read from and to poll */
    int own_fd; /* -1: none */
    bool is_socket;
    bool is_terminal;
    bool is_pipe; /* that was never full yet */
    bool ended;
    int failure;  /* errno of a read that failed, 0: none; then it has ended too */
    size_t start; /* of what was read and not taken */
    size_t end;
    char data[INPUT_BYTES];
};

void input_open(struct input *input, int fd);
void input_close(struct input *input);

/* Reads once, where nothing is left of the last time. False: there was nothing, for now. */
bool input_read(struct input *input);

#endif
