#include "afar/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void input_open(struct input *input, int fd)
{
    struct stat info;
    char path[64];
    input->fd = fd;
    input->own_fd = -1;
    input->is_socket = input->is_pipe = input->ended = false;
    input->failure = 0;
    input->start = input->end = 0;
    if (fstat(fd, &info) != 0)
        return;
    input->is_socket = S_ISSOCK(info.st_mode);
    input->is_pipe = S_ISFIFO(info.st_mode);
    if (!S_ISFIFO(info.st_mode) && !isatty(fd))
        return;
    /* poll(2) says that there is something; another reader of the same pipe may still be faster,
     * and a read must not wait then. See output.c for why the flag needs a description of our own.
     */
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    input->own_fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (input->own_fd >= 0)
        input->fd = input->own_fd;
}

void input_close(struct input *input)
{
    if (input->own_fd >= 0)
        (void)close(input->own_fd);
    input->own_fd = -1;
}

bool input_read(struct input *input)
{
    if (input->ended || input->start < input->end)
        return true;
    ssize_t got = 0;
    do {
        got = input->is_socket ? recv(input->fd, input->data, sizeof input->data, MSG_DONTWAIT)
                               : read(input->fd, input->data, sizeof input->data);
    } while (got < 0 && errno == EINTR);

    if (got < 0 && errno == EAGAIN)
        return false;
    /* It was full: whoever writes into it shall wait less often. */
    if (input->is_pipe && got >= PIPE_USUAL_BYTES) {
        input->is_pipe = false;
        (void)fcntl(input->fd, F_SETPIPE_SZ, INPUT_BYTES);
    }
    input->start = 0;
    input->end = got > 0 ? (size_t)got : 0;
    input->ended = got <= 0;
    /* A closed stdin is an empty one, and so is a terminal that has gone (EIO). */
    if (got < 0 && errno != EBADF && errno != EIO && errno != ECONNRESET)
        input->failure = errno;
    return true;
}
