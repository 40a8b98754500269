#include "net/tls_internal.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/bio.h>

/* The descriptor is kept in the BIO's data pointer, as a number. */
static int fd_of(BIO *bio)
{
    return (int)(intptr_t)BIO_get_data(bio);
}

static bool worth_retrying(int sys_errno)
{
    return sys_errno == EAGAIN || sys_errno == EINTR;
}

static int socket_read(BIO *bio, char *data, int size)
{
    ssize_t count = 0;

    BIO_clear_retry_flags(bio);
    if (size <= 0)
        return 0;
    do {
        count = recv(fd_of(bio), data, (size_t)size, 0);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && worth_retrying(errno))
        BIO_set_retry_read(bio);
    if (count == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return (int)count;
}

static int socket_write(BIO *bio, const char *data, int size)
{
    ssize_t count = 0;

    BIO_clear_retry_flags(bio);
    if (size <= 0)
        return 0;
    do {
        count = send(fd_of(bio), data, (size_t)size, MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && worth_retrying(errno))
        BIO_set_retry_write(bio);
    return (int)count;
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

BIO_METHOD *tls_bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOCKET, "afar socket");

    if (method == NULL)
        return NULL;
    if (BIO_meth_set_read(method, socket_read) != 1 ||
        BIO_meth_set_write(method, socket_write) != 1 ||
        BIO_meth_set_ctrl(method, socket_ctrl) != 1) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

BIO *tls_bio_new(const BIO_METHOD *method, int fd)
{
    BIO *bio = BIO_new(method);

    if (bio == NULL)
        return NULL;
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    return bio;
}

/* Called by the BIO around each of its operations. */
static long watch(BIO *bio, int operation, const char *data, size_t size, int argi, long argl,
                  int result, size_t *processed)
{
    struct transport_tls *transport = (struct transport_tls *)(void *)BIO_get_callback_arg(bio);

    (void)size;
    (void)argi;
    (void)argl;
    if (operation != (BIO_CB_READ | BIO_CB_RETURN) || result <= 0 || processed == NULL)
        return result;
    size_t room = sizeof transport->first - transport->first_size;
    size_t count = *processed < room ? *processed : room;
    memcpy(transport->first + transport->first_size, data, count);
    transport->first_size += count;
    return result;
}

void tls_bio_watch(struct transport_tls *transport)
{
    BIO *bio = SSL_get_rbio(transport->ssl);
    BIO_set_callback_arg(bio, (char *)transport);
    BIO_set_callback_ex(bio, watch);
}

void tls_bio_unwatch(struct transport_tls *transport)
{
    BIO *bio = SSL_get_rbio(transport->ssl);
    if (bio == NULL)
        return;
    BIO_set_callback_ex(bio, NULL);
    BIO_set_callback_arg(bio, NULL);
}
