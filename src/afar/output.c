#include "afar/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "afar/reopen.h"

enum {
    PIPE_GROWN_BYTES = 262144,
    /* How much a terminal that is ready for writing takes at least: a pseudo-terminal has room for
     * 256 bytes then (the size of Linux's buffers), and each byte may become two, as a newline
     * does. */
    TERMINAL_PIECE_BYTES = 128
};

void output_open(struct output *output, int fd, const char *name)
{
    struct stat info;
    *output = (struct output){.name = name, .fd = fd, .own_fd = -1, .kind = OUTPUT_PLAIN};
    if (fstat(fd, &info) != 0)
        return;
    if (S_ISSOCK(info.st_mode))
        output->kind = OUTPUT_SOCKET;
    else if (S_ISFIFO(info.st_mode) || reopen_is_terminal(fd, &info)) {
        output->own_fd = reopen_own(fd, &info, O_WRONLY);
        output->kind = output->own_fd >= 0 ? OUTPUT_NONBLOCKING : OUTPUT_CAREFUL;
        output->fd = output->own_fd >= 0 ? output->own_fd : fd;
        /* A pipe that is ready for writing takes at least PIPE_BUF: pipe(7). */
        output->piece_bytes = S_ISFIFO(info.st_mode) ? PIPE_BUF : TERMINAL_PIECE_BYTES;
    }
    output->may_grow = S_ISFIFO(info.st_mode);
}

void output_close(struct output *output)
{
    if (output->own_fd >= 0)
        (void)close(output->own_fd);
    output->own_fd = -1;
}

static ssize_t write_carefully(const struct output *output, const void *data, size_t size)
{
    struct pollfd ready = {.fd = output->fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(output->fd, data, size < output->piece_bytes ? size : output->piece_bytes);
}

static ssize_t write_once(const struct output *output, const void *data, size_t size)
{
    switch (output->kind) {
    case OUTPUT_SOCKET:
        return send(output->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    case OUTPUT_CAREFUL:
        return write_carefully(output, data, size);
    case OUTPUT_PLAIN:
    case OUTPUT_NONBLOCKING:
        break;
    }
    return write(output->fd, data, size);
}

size_t output_write(struct output *output, const void *data, size_t size)
{
    size_t done = 0;
    while (done < size && !output->closed && output->failure == 0) {
        ssize_t written = write_once(output, (const char *)data + done, size - done);
        if (written >= 0) {
            done += (size_t)written;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN && output->may_grow) {
            /* It is full: make it larger, so that we wait less often for its reader. */
            output->may_grow = false;
            if (fcntl(output->fd, F_SETPIPE_SZ, PIPE_GROWN_BYTES) > 0)
                continue;
            errno = EAGAIN;
        }
        if (errno == EAGAIN) {
            output->blocked = true;
            return done;
        }
        /* A standard error that was closed on purpose (2>&-) is not a failure. */
        if (errno == EPIPE || errno == ECONNRESET ||
            (errno == EBADF && output->fd == STDERR_FILENO))
            output->closed = true;
        else
            output->failure = errno;
    }
    return size;
}
