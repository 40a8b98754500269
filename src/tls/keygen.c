#include "tls/keygen.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "tls/error.h"
#include "tls/internal.h"

/* Clocks differ a little: a certificate is valid from an hour ago. */
enum { BACKDATED_S = 3600, DNS_NAME_MAX_BYTES = 253 /* RFC 1035 §2.3.4, as text */ };

/* What is being made. */
struct making {
    const struct tls_keygen_options *options;
    EVP_PKEY *key;
    X509 *cert;
};

/* ---- what is asked for ----------------------------------------------------------------------- */

static bool is_address(const char *host, unsigned char address[16], int *size)
{
    *size = 4;
    if (inet_pton(AF_INET, host, address) == 1)
        return true;
    *size = 16;
    return inet_pton(AF_INET6, host, address) == 1;
}

/* RFC 1123 §2.1, and '_', which is in use; "*." in front, as certificates have it. */
static bool is_dns_name(const char *host)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t size = strlen(host);
    const char *rest = strncmp(host, "*.", 2) == 0 ? host + 2 : host;
    return rest[0] != '\0' && rest[0] != '.' && rest[0] != '-' && size <= DNS_NAME_MAX_BYTES &&
           rest[strlen(rest) - 1] != '.' && strspn(rest, letters) == strlen(rest) &&
           strstr(rest, "..") == NULL;
}

static enum afar_status check(const struct tls_keygen_options *options, struct afar_error *err)
{
    char copy[TLS_COMMON_NAME_MAX_BYTES + 1];
    unsigned char address[16];
    int size = 0;
    const unsigned char *name = (const unsigned char *)options->name;
    if (options->name == NULL ||
        !tls_copy_name(copy, sizeof copy, "", name, (int)strnlen(options->name, sizeof copy)))
        return afar_fail(err, AFAR_EINVAL, "'%.80s' is not a name: expected 1 to %d bytes of text",
                         options->name != NULL ? options->name : "", TLS_COMMON_NAME_MAX_BYTES);
    if (options->days < 1 || options->days > TLS_KEY_DAYS_MAX)
        return afar_fail(err, AFAR_EINVAL, "%u is not a number of days from 1 to %d", options->days,
                         TLS_KEY_DAYS_MAX);
    for (const char *const *host = options->hosts; host != NULL && *host != NULL; host++) {
        if (!is_address(*host, address, &size) && !is_dns_name(*host))
            return afar_fail(err, AFAR_EINVAL,
                             "'%.128s' is not a server's name or address, such as "
                             "build7.example.org, 192.0.2.7 or ::1",
                             *host);
    }
    return AFAR_OK;
}

/* ---- the certificate ------------------------------------------------------------------------- */

static enum afar_status add_extension(X509 *cert, int nid, const char *value,
                                      struct afar_error *err)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool added = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added ? AFAR_OK : tls_fail_local(err, "X509_add_ext");
}

/* As values and not by a line for OpenSSL's configuration, in which a name could say more. */
static bool add_host(GENERAL_NAMES *names, const char *host)
{
    unsigned char address[16];
    int size = 0;
    bool by_address = is_address(host, address, &size);
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = by_address ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (name == NULL || value == NULL ||
        ASN1_STRING_set(value, by_address ? (const void *)address : (const void *)host,
                        by_address ? size : -1) != 1) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return false;
    }
    GENERAL_NAME_set0_value(name, by_address ? GEN_IPADD : GEN_DNS, value);
    if (sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

static enum afar_status add_hosts(X509 *cert, const char *const *hosts, struct afar_error *err)
{
    if (hosts == NULL || *hosts == NULL)
        return AFAR_OK;
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool added = names != NULL;
    for (; added && *hosts != NULL; hosts++)
        added = add_host(names, *hosts);
    if (added)
        added = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return added ? AFAR_OK : tls_fail_local(err, "X509_add1_ext_i2d");
}

static enum afar_status add_extensions(const struct making *making, struct afar_error *err)
{
    static const struct {
        int nid;
        const char *value;
    } extensions[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "clientAuth,serverAuth"},
        {NID_subject_key_identifier, "hash"},
    };
    enum afar_status status = AFAR_OK;
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0] && status == AFAR_OK; i++)
        status = add_extension(making->cert, extensions[i].nid, extensions[i].value, err);
    return status == AFAR_OK ? add_hosts(making->cert, making->options->hosts, err) : status;
}

/* Positive, and never twice (RFC 5280 §4.1.2.2). */
static bool set_serial(X509 *cert)
{
    uint64_t serial = 0;
    return RAND_bytes((unsigned char *)&serial, sizeof serial) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), (serial >> 1) | 1) == 1;
}

static enum afar_status make(struct making *making, struct afar_error *err)
{
    const struct tls_keygen_options *options = making->options;
    const unsigned char *name = (const unsigned char *)options->name;
    making->key = EVP_EC_gen("P-256");
    if (making->key == NULL)
        return tls_fail_local(err, "EVP_EC_gen");
    X509 *cert = making->cert = X509_new();
    if (cert == NULL)
        return tls_fail_local(err, "X509_new");
    X509_NAME *subject = X509_get_subject_name(cert);
    if (X509_set_version(cert, X509_VERSION_3) != 1 || !set_serial(cert) ||
        X509_gmtime_adj(X509_getm_notBefore(cert), -(long)BACKDATED_S) == NULL ||
        X509_time_adj_ex(X509_getm_notAfter(cert), (int)options->days, 0, NULL) == NULL ||
        X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, name, -1, -1, 0) != 1 ||
        X509_set_issuer_name(cert, subject) != 1 || X509_set_pubkey(cert, making->key) != 1)
        return tls_fail_local(err, "X509_set");
    enum afar_status status = add_extensions(making, err);
    if (status == AFAR_OK && X509_sign(cert, making->key, EVP_sha256()) <= 0)
        status = tls_fail_local(err, "X509_sign");
    return status;
}

/* ---- as text --------------------------------------------------------------------------------- */

static char *text_of(BIO *bio)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    char *text = size > 0 ? malloc((size_t)size + 1) : NULL;
    if (text == NULL)
        return NULL;
    memcpy(text, data, (size_t)size);
    text[size] = '\0';
    return text;
}

static enum afar_status write_text(const struct making *making, struct tls_identity *identity,
                                   struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    BIO *key = BIO_new(BIO_s_secmem()); /* wiped when it grows and when it is freed */
    BIO *cert = BIO_new(BIO_s_mem());
    if (key == NULL || cert == NULL ||
        PEM_write_bio_PrivateKey(key, making->key, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_X509(cert, making->cert) != 1 || !tls_pin(making->cert, identity->pin)) {
        status = tls_fail_local(err, "PEM_write_bio");
        goto out;
    }
    identity->key_pem = text_of(key);
    identity->cert_pem = text_of(cert);
    if (identity->key_pem == NULL || identity->cert_pem == NULL)
        status = afar_fail(err, AFAR_ENOMEM, "out of memory for a key");
out:
    BIO_free(key);
    BIO_free(cert);
    return status;
}

void tls_identity_close(struct tls_identity *identity)
{
    if (identity->key_pem != NULL)
        OPENSSL_cleanse(identity->key_pem, strlen(identity->key_pem));
    free(identity->key_pem);
    free(identity->cert_pem);
    *identity = (struct tls_identity){0};
}

enum afar_status tls_keygen(struct tls_identity *identity, const struct tls_keygen_options *options,
                            struct afar_error *err)
{
    struct making making = {.options = options};
    *identity = (struct tls_identity){0};
    ERR_clear_error();
    enum afar_status status = check(options, err);
    if (status == AFAR_OK)
        status = make(&making, err);
    if (status == AFAR_OK)
        status = write_text(&making, identity, err);
    if (status != AFAR_OK)
        tls_identity_close(identity);
    X509_free(making.cert);
    EVP_PKEY_free(making.key);
    return status;
}
