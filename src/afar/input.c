#include "afar/input.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "afar/reopen.h"

void input_open(struct input *input, int fd)
{
    struct stat info;
    input->fd = fd;
    input->own_fd = -1;
    input->is_socket = input->is_pipe = input->is_terminal = input->ended = false;
    input->failure = 0;
    input->start = input->end = 0;
    if (fstat(fd, &info) != 0)
        return;
    input->is_socket = S_ISSOCK(info.st_mode);
    input->is_pipe = S_ISFIFO(info.st_mode);
    input->is_terminal = reopen_is_terminal(fd, &info);
    if (!input->is_pipe && !input->is_terminal)
        return;
    /* After poll(2), another reader of the same pipe may be faster; our read must not wait then. */
    input->own_fd = reopen_own(fd, &info, O_RDONLY);
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
    /* It was full: make it larger, so that its writer waits less often. */
    if (input->is_pipe && got >= PIPE_USUAL_BYTES) {
        input->is_pipe = false;
        (void)fcntl(input->fd, F_SETPIPE_SZ, INPUT_BYTES);
    }
    input->start = 0;
    input->end = got > 0 ? (size_t)got : 0;
    input->ended = got <= 0;
    /* A closed stdin counts as empty (nohup(1) gives one that cannot be read), and so does a
     * terminal that is gone. After any other error, data is missing. */
    if (got < 0 && errno != EBADF && !(input->is_terminal && errno == EIO))
        input->failure = errno;
    return true;
}
