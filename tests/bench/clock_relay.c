/* The least that gets a stream to another process by TCP: read, send; receive, write. What a server
 * and a client could at best do, who do the same and keep account of it. */
#include "bench/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/far.h"

enum { PIECE_BYTES = 262144 };

static void copy(int from, int to)
{
    char *data = malloc(PIECE_BYTES);
    if (data == NULL)
        clock_give_up("relay", "out of memory");
    (void)fcntl(from, F_SETPIPE_SZ, PIECE_BYTES); /* where it is a pipe */
    for (;;) {
        ssize_t got = read(from, data, PIECE_BYTES);
        if (got == 0)
            break;
        for (ssize_t done = 0; done < got;) {
            ssize_t written = write(to, data + done, (size_t)(got - done));
            if (written < 0)
                clock_give_up("relay: write", strerror(errno));
            done += written;
        }
        if (got < 0)
            clock_give_up("relay: read", strerror(errno));
    }
    free(data);
}

/* To where `address` is, or to a relay there. */
static void set_back(struct sockaddr_in *address, int round_trip_ms)
{
    struct far *far = far_start(ntohs(address->sin_port), (int64_t)round_trip_ms * 500);
    if (far == NULL)
        clock_give_up("relay", strerror(errno));
    address->sin_port = htons(far_port(far));
}

void clock_relay(int round_trip_ms)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int status = 0;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || far < 0 ||
        bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        clock_give_up("relay", strerror(errno));
    if (round_trip_ms > 0)
        set_back(&address, round_trip_ms);
    if (connect(far, (const struct sockaddr *)&address, sizeof address) != 0)
        clock_give_up("relay", strerror(errno));
    int near = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    pid_t pid = near < 0 ? -1 : fork();
    if (pid < 0)
        clock_give_up("relay", strerror(errno));
    if (pid == 0) {
        (void)close(near);
        copy(STDIN_FILENO, far);
        _exit(EXIT_SUCCESS);
    }
    (void)close(far);
    copy(near, STDOUT_FILENO);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        clock_give_up("relay", "the other half has failed");
}
