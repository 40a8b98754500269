#include "support/raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "support/program.h"

int raw_connect_from(uint16_t port, const char *source)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

int raw_connect(uint16_t port)
{
    return raw_connect_from(port, "0.0.0.0"); /* any */
}

void raw_send(int fd, const void *data, size_t size)
{
    const char *bytes = data;
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return; /* the peer has closed: the test looks at what it has sent */
        bytes += sent;
        size -= (size_t)sent;
    }
}

void raw_say(int fd, const char *format, ...)
{
    char header[512];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(header, sizeof header, format, args);
    va_end(args);
    assert_in_range(length, 1, sizeof header - 1);
    raw_send_frame(fd, header);
}

void raw_send_frame_with(int fd, const char *header, const void *payload, size_t size)
{
    size_t length = strlen(header);
    uint8_t *frame = malloc(4 + length + size);
    assert_non_null(frame);
    for (unsigned i = 0; i < 4; i++)
        frame[i] = (uint8_t)(length >> (8 * i));
    memcpy(frame + 4, header, length);
    if (size > 0)
        memcpy(frame + 4 + length, payload, size);
    raw_send(fd, frame, 4 + length + size);
    free(frame);
}

void raw_send_frame(int fd, const char *header)
{
    raw_send_frame_with(fd, header, NULL, 0);
}

/* One read. 0: the peer has closed. */
static size_t read_some(int fd, void *data, size_t size)
{
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, (int)test_deadline_ms()) == 0)
            fail_msg("nothing came");
        ssize_t got = recv(fd, data, size, 0);
        if (got >= 0)
            return (size_t)got;
        if (errno != EINTR)
            return 0;
    }
}

bool raw_read(int fd, void *data, size_t size)
{
    char *bytes = data;
    while (size > 0) {
        size_t got = read_some(fd, bytes, size);
        if (got == 0)
            return false;
        bytes += got;
        size -= got;
    }
    return true;
}

char *raw_read_header(int fd, char **payload)
{
    uint8_t prefix[4];
    if (payload != NULL)
        *payload = NULL;
    if (!raw_read(fd, prefix, sizeof prefix))
        return NULL;
    size_t length = (size_t)prefix[0] | (size_t)prefix[1] << 8 | (size_t)prefix[2] << 16 |
                    (size_t)prefix[3] << 24;
    assert_true(length >= 2 && length <= 65536);
    char *header = calloc(1, length + 1);
    assert_non_null(header);
    assert_true(raw_read(fd, header, length));

    const char *said = strstr(header, "\"size\":");
    size_t size = said == NULL ? 0 : (size_t)strtoul(said + 7, NULL, 10);
    char *body = calloc(1, size + 1);
    assert_non_null(body);
    assert_true(raw_read(fd, body, size));
    if (payload != NULL)
        *payload = body;
    else
        free(body);
    return header;
}

char *raw_read_rest(int fd, size_t *size)
{
    char *data = calloc(1, 1);
    *size = 0;
    for (;;) {
        char piece[65536];
        size_t got = read_some(fd, piece, sizeof piece);
        if (got == 0)
            return data;
        data = realloc(data, *size + got + 1);
        assert_non_null(data);
        memcpy(data + *size, piece, got);
        *size += got;
        data[*size] = '\0';
    }
}

void raw_reset(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)close(fd);
}

/* A filter on the socket drops all packets before TCP sees them: this needs no namespace, and on
 * most kernels no privilege. */
bool raw_pull_cable(int fd)
{
    struct sock_filter drop = {.code = BPF_RET | BPF_K, .k = 0};
    const struct sock_fprog program = {.len = 1, .filter = &drop};
    int result = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    if (result != 0 && errno == EPERM && geteuid() != 0)
        return false;
    assert_int_equal(result, 0);
    return true;
}
