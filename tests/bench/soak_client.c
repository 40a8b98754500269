#include "bench/soak.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int soak_connect(uint16_t port, const char *from, int receive_bytes)
{
    const int one = 1;
    const struct timeval patience = {.tv_sec = SOAK_PATIENCE_MS / 1000};
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        soak_give_up("socket: %s", strerror(errno)); // NOLINT(concurrency-mt-unsafe)
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (receive_bytes > 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    if (from != NULL) {
        /* The port is chosen when it connects, or two connections could not share one. */
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (inet_pton(AF_INET, from, &address.sin_addr) != 1 ||
            bind(fd, (const struct sockaddr *)&address, sizeof address) != 0)
            soak_give_up("cannot bind to %s", from);
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        soak_give_up("cannot connect: %s", strerror(errno)); // NOLINT(concurrency-mt-unsafe)
    return fd;
}

/* ---- TLS without the library, because 10,000 of its connections would be more than needed ---- */

SSL_CTX *soak_tls_context(const struct soak *soak)
{
    static const unsigned char alpn[] = "\x06"
                                        "afar/1";
    const struct test_certs *certs = &soak->certs;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL ||
        SSL_CTX_use_certificate_file(context, certs->cert[TEST_CLIENT], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, certs->key[TEST_CLIENT], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_load_verify_locations(context, certs->cert[TEST_CA], NULL) != 1 ||
        SSL_CTX_set_alpn_protos(context, alpn, sizeof alpn - 1) != 0)
        soak_give_up("cannot make a TLS context");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return context;
}

SSL *soak_tls_connect(SSL_CTX *context, uint16_t port)
{
    int fd = soak_connect(port, NULL, 0);
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
        soak_give_up("a TLS handshake has failed");
    return ssl;
}

static bool read_whole(SSL *ssl, void *data, size_t size)
{
    char *at = data;
    while (size > 0) {
        size_t got = 0;
        if (SSL_read_ex(ssl, at, size, &got) != 1)
            return false;
        at += got;
        size -= got;
    }
    return true;
}

bool soak_tls_ping(SSL *ssl)
{
    static const char ping[] = "\x16\0\0\0{\"type\":\"ping\",\"id\":1}";
    uint8_t prefix[4];
    char header[256] = "";
    size_t sent = 0;
    if (SSL_write_ex(ssl, ping, sizeof ping - 1, &sent) != 1 ||
        !read_whole(ssl, prefix, sizeof prefix))
        return false;
    size_t size = (size_t)prefix[0] | (size_t)prefix[1] << 8;
    return size < sizeof header && read_whole(ssl, header, size) &&
           strstr(header, "\"pong\"") != NULL;
}

void soak_tls_close(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);
    SSL_free(ssl);
    (void)close(fd);
}

/* ---- the library ----------------------------------------------------------------------------- */

struct afar_context *soak_context(const struct soak *soak)
{
    const struct afar_credentials credentials =
        AFAR_CREDENTIALS_INIT(.ca_file = soak->certs.cert[TEST_CA],
                              .cert_file = soak->certs.cert[TEST_CLIENT],
                              .key_file = soak->certs.key[TEST_CLIENT]);
    struct afar_context *context = NULL;
    struct afar_error err;
    if (afar_context_new(&context, &credentials, &err) != AFAR_OK)
        soak_give_up("%s", err.message);
    return context;
}

struct afar_client *soak_client(struct afar_context *context, const char *url)
{
    struct afar_client *client = NULL;
    struct afar_error err;
    if (afar_connect(&client, context, url, SOAK_PATIENCE_MS, &err) != AFAR_OK)
        soak_give_up("%s", err.message);
    return client;
}

double soak_true_us(struct afar_client *client)
{
    const char *const argv[] = {"true", NULL};
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = argv);
    struct afar_error err;
    double begin_us = soak_now_us();
    if (afar_start(client, &command, NULL, &err) != AFAR_OK ||
        afar_wait(client, SOAK_PATIENCE_MS, &err) != AFAR_OK)
        soak_give_up("%s", err.message);
    double took_us = soak_now_us() - begin_us;
    const struct afar_receipt *receipt = afar_receipt(client);
    if (receipt == NULL || receipt->outcome != AFAR_OUTCOME_EXITED || receipt->code != 0)
        soak_give_up("a wrong receipt of true");
    return took_us;
}
