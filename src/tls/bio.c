#include "tls/internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/bio.h>

/* Records that leave together: a system call for each would cost more than encrypting it. */
struct tls_socket {
    int fd;
    struct tls_guard *guard; /* kept; NULL: reading is not bounded here */
    uint8_t *held;           /* NULL: what is written is sent at once */
    size_t room;             /* in it */
    size_t start;            /* of what has not been sent */
    size_t end;
};

/* What TLS adds to a record (RFC 8446 §5.2: header, content type, tag), and more. */
enum { RECORD_EXTRA_BYTES = 64 };
enum { HELD_MAX_BYTES = TLS_BATCH_BYTES + TLS_BATCH_RECORDS * RECORD_EXTRA_BYTES };
/* Of a client: its certificates, 4 KiB with an ordinary chain, and a request, mostly 1 KiB and at
 * most one record. Less than malloc gets from the kernel each time. */
enum { FLIGHT_MAX_BYTES = 32 * 1024 };

static struct tls_socket *socket_of(BIO *bio)
{
    return BIO_get_data(bio);
}

static bool worth_retrying(int sys_errno)
{
    return sys_errno == EAGAIN || sys_errno == EINTR;
}

static int socket_read(BIO *bio, char *data, int size)
{
    const struct tls_socket *socket = socket_of(bio);
    ssize_t count = 0;

    BIO_clear_retry_flags(bio);
    if (size <= 0)
        return 0;
    if (socket->guard != NULL && tls_guard_spent(socket->guard)) {
        BIO_set_retry_read(bio);
        return -1;
    }
    do {
        count = recv(socket->fd, data, (size_t)size, 0);
    } while (count < 0 && errno == EINTR);
    if (count > 0 && socket->guard != NULL)
        socket->guard->turn_bytes += (size_t)count;
    if (count < 0 && worth_retrying(errno))
        BIO_set_retry_read(bio);
    if (count == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return (int)count;
}

static ssize_t send_some(const struct tls_socket *socket, const void *data, size_t size)
{
    ssize_t count = 0;
    do {
        count = send(socket->fd, data, size, MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    return count;
}

static int socket_write(BIO *bio, const char *data, int size)
{
    struct tls_socket *socket = socket_of(bio);

    BIO_clear_retry_flags(bio);
    if (size <= 0)
        return 0;
    if (socket->held != NULL && socket->room - socket->end >= (size_t)size) {
        memcpy(socket->held + socket->end, data, (size_t)size);
        socket->end += (size_t)size;
        return size;
    }
    /* Nothing may overtake what is held. */
    enum afar_status status = tls_bio_release(bio);
    if (status != AFAR_OK) {
        if (status == AFAR_EAGAIN)
            BIO_set_retry_write(bio);
        return -1;
    }
    ssize_t count = send_some(socket, data, (size_t)size);
    if (count < 0 && worth_retrying(errno))
        BIO_set_retry_write(bio);
    return (int)count;
}

static bool hold(BIO *bio, size_t room)
{
    struct tls_socket *socket = BIO_get_data(bio);
    if (BIO_method_type(bio) != BIO_TYPE_SOCKET)
        return false;
    if (socket->held == NULL) {
        socket->held = malloc(room);
        socket->room = room;
    }
    return socket->held != NULL;
}

bool tls_bio_hold(BIO *bio)
{
    return hold(bio, HELD_MAX_BYTES);
}

bool tls_bio_hold_flight(BIO *bio)
{
    return hold(bio, FLIGHT_MAX_BYTES);
}

enum afar_status tls_bio_release(BIO *bio)
{
    struct tls_socket *socket = BIO_get_data(bio);
    if (BIO_method_type(bio) != BIO_TYPE_SOCKET)
        return AFAR_OK;
    while (socket->start < socket->end) {
        ssize_t count =
            send_some(socket, socket->held + socket->start, socket->end - socket->start);
        if (count < 0)
            return worth_retrying(errno) ? AFAR_EAGAIN : AFAR_ESYSTEM;
        socket->start += (size_t)count;
    }
    free(socket->held);
    socket->held = NULL;
    socket->start = socket->end = 0;
    return AFAR_OK;
}

static int socket_destroy(BIO *bio)
{
    struct tls_socket *socket = BIO_get_data(bio);
    if (socket != NULL)
        free(socket->held);
    free(socket);
    return 1;
}

static long socket_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH: /* nothing is held back */
    case BIO_CTRL_DUP:
        return 1;
    case BIO_CTRL_EOF:
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default: /* OpenSSL asks for much that a socket does not have */
        return 0;
    }
}

bool tls_bio_guard(BIO *bio, struct tls_guard *guard)
{
    if (BIO_method_type(bio) != BIO_TYPE_SOCKET)
        return false;
    socket_of(bio)->guard = guard;
    return true;
}

BIO_METHOD *tls_bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOCKET, "afar socket");

    if (method == NULL)
        return NULL;
    if (BIO_meth_set_read(method, socket_read) != 1 ||
        BIO_meth_set_write(method, socket_write) != 1 ||
        BIO_meth_set_ctrl(method, socket_ctrl) != 1 ||
        BIO_meth_set_destroy(method, socket_destroy) != 1) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

BIO *tls_bio_new(const BIO_METHOD *method, int fd)
{
    BIO *bio = BIO_new(method);
    struct tls_socket *socket = calloc(1, sizeof *socket);

    if (bio == NULL || socket == NULL) {
        free(socket);
        BIO_free(bio);
        return NULL;
    }
    socket->fd = fd;
    BIO_set_data(bio, socket);
    BIO_set_init(bio, 1);
    return bio;
}
