/* The least that a program with mutual TLS can do: a full handshake, a close. The limit that `make bench`
 * compares with. hello PORT CA CERT KEY */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

int main(int argc, char **argv)
{
    static const unsigned char alpn[] = "\x06"
                                        "afar/1";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (argc != 5 || context == NULL || fd < 0)
        return 1;
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    if (SSL_CTX_load_verify_locations(context, argv[2], NULL) != 1 ||
        SSL_CTX_use_certificate_file(context, argv[3], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[4], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_set_alpn_protos(context, alpn, sizeof alpn - 1) != 0)
        return 1;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL *ssl = SSL_new(context);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 || ssl == NULL ||
        SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
        return 1;
    (void)SSL_shutdown(ssl);
    SSL_free(ssl);
    SSL_CTX_free(context);
    (void)close(fd);
    return 0;
}
