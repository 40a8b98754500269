/* The least that a program with mutual TLS can do: shake hands, close. `make bench` compares with
 * it.
 *
 *   hello PORT CA CERT KEY            in full
 *   hello PORT CA CERT KEY SESSION    the same, and keeps the session in that file
 *   hello PORT SESSION                resumes it
 *
 * Like afar it neither reads OpenSSL's configuration nor cleans up. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

static const unsigned char alpn[] = "\x06"
                                    "afar/1";

static SSL_CTX *make_context(void)
{
    const uint64_t lean = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT;
    if (OPENSSL_init_ssl(lean, NULL) != 1)
        return NULL;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_set_alpn_protos(context, alpn, sizeof alpn - 1) != 0)
        return NULL;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    return context;
}

static bool use_files(SSL_CTX *context, char **files)
{
    return SSL_CTX_load_verify_locations(context, files[0], NULL) == 1 &&
           SSL_CTX_use_certificate_file(context, files[1], SSL_FILETYPE_PEM) == 1 &&
           SSL_CTX_use_PrivateKey_file(context, files[2], SSL_FILETYPE_PEM) == 1;
}

static bool use_session(SSL *ssl, const char *path)
{
    FILE *file = fopen(path, "re");
    SSL_SESSION *session = file != NULL ? PEM_read_SSL_SESSION(file, NULL, NULL, NULL) : NULL;
    if (file != NULL)
        (void)fclose(file);
    bool used = session != NULL && SSL_set_session(ssl, session) == 1;
    SSL_SESSION_free(session);
    return used;
}

/* It comes after the handshake: each read ends where one has come. */
static bool keep_session(SSL *ssl, const char *path)
{
    char byte = 0;
    while (SSL_SESSION_is_resumable(SSL_get0_session(ssl)) == 0) {
        if (SSL_read(ssl, &byte, 1) > 0 || SSL_get_error(ssl, -1) != SSL_ERROR_WANT_READ)
            return false;
    }
    FILE *file = fopen(path, "we");
    return file != NULL && PEM_write_SSL_SESSION(file, SSL_get0_session(ssl)) == 1 &&
           fclose(file) == 0;
}

static bool dial(SSL *ssl, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    return fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
           SSL_set_fd(ssl, fd) == 1;
}

int main(int argc, char **argv)
{
    SSL_CTX *context = make_context();
    bool resumes = argc == 3;
    if (context == NULL || (argc != 3 && argc != 5 && argc != 6) ||
        (!resumes && !use_files(context, argv + 2)))
        _exit(2);
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || (resumes && !use_session(ssl, argv[2])) || !dial(ssl, argv[1]) ||
        SSL_connect(ssl) != 1 || (resumes && SSL_session_reused(ssl) != 1))
        _exit(1);
    if (argc == 6 && !keep_session(ssl, argv[5]))
        _exit(3);
    (void)SSL_shutdown(ssl);
    _exit(0);
}
