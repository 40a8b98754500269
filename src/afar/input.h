/* Reads standard input without waiting, and without changing the flags of a file description that
 * other programs share.
 *
 * Owns:    a descriptor of its own for pipes and terminals, and what was read and not yet taken.
 * Threads: one.
 * Blocks:  only on regular files, which cannot be read without waiting.
 * Limits:  INPUT_BYTES read ahead. */
#ifndef AFAR_INPUT_H
#define AFAR_INPUT_H

#include <stdbool.h>
#include <stddef.h>

/* The default size of a pipe (pipe(7)), and the size to which a full one is set. */
enum { PIPE_USUAL_BYTES = 65536, INPUT_BYTES = 262144 };

struct input {
    int fd;     /* to read and to poll */
    int own_fd; /* -1: none */
    bool is_socket;
    bool is_terminal;
    bool is_pipe; /* a pipe that was never full yet */
    bool ended;
    int failure;  /* errno of a failed read; 0: none. Then `ended` is set too */
    size_t start; /* unread data: start to end */
    size_t end;
    char data[INPUT_BYTES];
};

void input_open(struct input *input, int fd);
void input_close(struct input *input);

/* Reads once, unless data is left. False: nothing to read now. */
bool input_read(struct input *input);

#endif
