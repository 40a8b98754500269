/* What OpenSSL does for the whole process when it is first used, and again at its end: for a
 * program that connects once, a third of its time. A library must not decide that for its host; the
 * program may. */
#include "tls/tls.h"

#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/cryptoerr_legacy.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include "tls/error.h"

/* By name OpenSSL finds all ciphers and digests that it has ever had, once it has made a table of
 * some hundred names. TLS does not use it. What does: signatures of certificates, which name their
 * digest (the weak ones too: they are refused by our level of security, which says so), and our own
 * digests. */
static void add_digests(void)
{
    const EVP_MD *const digests[] = {EVP_md5(),      EVP_sha1(),     EVP_sha224(),
                                     EVP_sha256(),   EVP_sha384(),   EVP_sha512(),
                                     EVP_sha3_256(), EVP_sha3_384(), EVP_sha3_512()};
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++)
        (void)EVP_add_digest(digests[i]);
}

/* Each of these does nothing where the texts are there. They are deprecated because OpenSSL loads
 * them by itself, which it was told not to do. */
static void load_reasons(void)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    (void)ERR_load_SSL_strings();
    (void)ERR_load_X509_strings();
    (void)ERR_load_X509V3_strings();
    (void)ERR_load_ASN1_strings();
    (void)ERR_load_PEM_strings();
    (void)ERR_load_EVP_strings();
    (void)ERR_load_EC_strings();
    (void)ERR_load_RSA_strings();
    (void)ERR_load_RAND_strings();
#pragma GCC diagnostic pop
}

const char *tls_reason(unsigned long code)
{
    const char *text = ERR_reason_error_string(code);
    if (text == NULL) {
        load_reasons();
        text = ERR_reason_error_string(code);
    }
    return text != NULL ? text : "no reason given";
}

void tls_program_begin(void)
{
    uint64_t options = OPENSSL_INIT_NO_ATEXIT; /* the kernel frees faster */
    options |= OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS;
    options |= OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS; /* but see tls_reason */
    if (getenv("OPENSSL_CONF") == NULL)             // NOLINT(concurrency-mt-unsafe)
        options |= OPENSSL_INIT_NO_LOAD_CONFIG;
    /* Where this fails, it is tried again, and reported, when OpenSSL is used. */
    (void)OPENSSL_init_crypto(options, NULL);
    add_digests();
}
