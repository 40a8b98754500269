#include "tls/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tls/error.h"
#include "tls/keygen.h"

/* The system's whole certificate store is about 220 KiB. */
enum { FILE_MAX_BYTES = 4 * 1024 * 1024 };

struct file {
    char *data;
    size_t size;
    mode_t mode;
};

static void file_close(struct file *file)
{
    if (file->data != NULL)
        OPENSSL_cleanse(file->data, file->size); /* it may be a private key */
    free(file->data);
    file->data = NULL;
}

/* Reads what is left of `fd`, up to the limit and one byte more. */
static enum afar_status read_rest(int fd, struct file *file, const char *what, const char *path,
                                  struct afar_error *err)
{
    file->data = malloc(FILE_MAX_BYTES + 1);
    file->size = 0;
    if (file->data == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory while reading '%s'", path);
    for (;;) {
        ssize_t count = read(fd, file->data + file->size, FILE_MAX_BYTES + 1 - file->size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            (void)afar_fail_errno(err, errno, "cannot read %s '%s'", what, path);
            if (err != NULL)
                err->code = AFAR_EINVAL; /* the option that names the file is wrong */
            return AFAR_EINVAL;
        }
        file->size += (size_t)count;
        if (count == 0)
            return AFAR_OK;
        if (file->size > FILE_MAX_BYTES)
            return afar_fail(err, AFAR_EINVAL, "%s '%s' is larger than %d bytes", what, path,
                             FILE_MAX_BYTES);
    }
}

/* A private key that others can read is nobody's; a group may, as Debian's ssl-cert and volumes of
 * Kubernetes have it. */
static enum afar_status check_private(const struct file *file, const char *path,
                                      struct afar_error *err)
{
    if ((file->mode & (S_IRWXO | S_IWGRP)) == 0)
        return AFAR_OK;
    return afar_fail(
        err, AFAR_EINVAL,
        "the key file '%s' can be read or changed by others, and may be known to them: "
        "chmod g-w,o= it, or make a new key",
        path);
}

static enum afar_status file_read(struct file *file, BIO **bio, const char *what, const char *path,
                                  struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    struct stat info = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    *bio = NULL;
    if (fd < 0) {
        (void)afar_fail_errno(err, errno, "cannot read %s '%s'", what, path);
        if (err != NULL)
            err->code = AFAR_EINVAL;
        return AFAR_EINVAL;
    }
    if (fstat(fd, &info) != 0)
        status = afar_fail_errno(err, errno, "cannot examine %s '%s'", what, path);
    else
        status = read_rest(fd, file, what, path, err);
    file->mode = info.st_mode;
    (void)close(fd);
    if (status != AFAR_OK)
        return status;
    *bio = BIO_new_mem_buf(file->data, (int)file->size);
    return *bio == NULL ? tls_fail_local(err, "BIO_new_mem_buf") : AFAR_OK;
}

/* Says whether the last PEM_read… stopped because there was nothing more to read, and empties the
 * error queue. */
static bool at_end(void)
{
    unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

/* What OpenSSL has against a certificate that it could read. */
static enum afar_status fail_unusable(struct afar_error *err, const char *what, const char *path)
{
    const char *why = tls_reason(ERR_peek_last_error());
    enum afar_status status =
        afar_fail(err, AFAR_EINVAL, "%s '%s' cannot be used: %s", what, path, why);
    ERR_clear_error();
    return status;
}

/* The first certificate; *leaf is the caller's. */
static enum afar_status read_leaf(BIO *bio, const char *path, X509 **leaf, struct afar_error *err)
{
    ERR_clear_error();
    *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (*leaf != NULL)
        return AFAR_OK;
    if (at_end())
        return afar_fail(err, AFAR_EINVAL, "the certificate file '%s' contains no PEM certificate",
                         path);
    return afar_fail(err, AFAR_EINVAL, "the certificate file '%s' is damaged", path);
}

static enum afar_status read_chain(struct tls_credential *credential, const char *path,
                                   struct afar_error *err)
{
    static const char what[] = "the certificate file";
    struct file file = {0};
    BIO *bio = NULL;
    X509 *next = NULL;

    enum afar_status status = file_read(&file, &bio, what, path, err);
    if (status == AFAR_OK)
        status = read_leaf(bio, path, &credential->leaf, err);
    if (status != AFAR_OK)
        goto out;
    credential->chain = sk_X509_new_null();
    if (credential->chain == NULL) {
        status = tls_fail_local(err, "sk_X509_new_null");
        goto out;
    }
    for (;;) {
        ERR_clear_error();
        next = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (next == NULL)
            break;
        if (sk_X509_push(credential->chain, next) <= 0) {
            status = tls_fail_local(err, "sk_X509_push");
            goto out;
        }
        next = NULL; /* moved */
    }
    if (!at_end())
        status = afar_fail(err, AFAR_EINVAL, "%s '%s' is damaged after its first certificate", what,
                           path);
out:
    X509_free(next);
    BIO_free(bio);
    file_close(&file);
    return status;
}

enum afar_status tls_file_pin(const char *cert_file, char pin[TLS_PIN_BYTES],
                              struct afar_error *err)
{
    struct file file = {0};
    BIO *bio = NULL;
    X509 *leaf = NULL;

    enum afar_status status = file_read(&file, &bio, "the certificate file", cert_file, err);
    if (status == AFAR_OK)
        status = read_leaf(bio, cert_file, &leaf, err);
    if (status == AFAR_OK && !tls_pin(leaf, pin))
        status = tls_fail_local(err, "X509_get_X509_PUBKEY");
    X509_free(leaf);
    BIO_free(bio);
    file_close(&file);
    return status;
}

/* A server must not stop at a terminal and ask; so there is no passphrase. */
static int no_passphrase(char *buffer, int size, int writing, void *asked)
{
    (void)buffer;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

/* OpenSSL tries every kind of key that there is, which takes longer than all of the rest: the
 * certificate tells which it is. NULL: not of that kind. */
static EVP_PKEY *decode_key(BIO *bio, const EVP_PKEY *public_key, bool *asked)
{
    EVP_PKEY *key = NULL;
    const char *type = public_key != NULL ? EVP_PKEY_get0_type_name(public_key) : NULL;
    OSSL_DECODER_CTX *decoder =
        OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", NULL, type, EVP_PKEY_KEYPAIR, NULL, NULL);
    if (decoder != NULL && OSSL_DECODER_CTX_set_pem_password_cb(decoder, no_passphrase, asked) == 1)
        (void)OSSL_DECODER_from_bio(decoder, bio);
    OSSL_DECODER_CTX_free(decoder);
    return key;
}

static bool contains(const struct file *file, const char *text)
{
    return memmem(file->data, file->size, text, strlen(text)) != NULL;
}

/* No key could be read from it. */
static enum afar_status fail_key(const struct file *file, const char *path, bool asked,
                                 struct afar_error *err)
{
    static const char what[] = "the key file";
    bool der = file->size > 4 && (uint8_t)file->data[0] == 0x30;
    /* (In a program that knows no ciphers by name it is not asked for in the old format.) */
    if (asked || contains(file, "ENCRYPTED"))
        return afar_fail(err, AFAR_EINVAL,
                         "%s '%s' is encrypted; a key without a passphrase is needed", what, path);
    if (contains(file, "BEGIN OPENSSH PRIVATE KEY"))
        return afar_fail(
            err, AFAR_EINVAL,
            "%s '%s' is in OpenSSH's own format: convert a copy of it (ssh-keygen -p -m "
            "PEM -f COPY, not for Ed25519), or make a key for Afar (afar keygen)",
            what, path);
    if (contains(file, "PuTTY-User-Key-File"))
        return afar_fail(err, AFAR_EINVAL, "%s '%s' is in PuTTY's own format; PEM is needed", what,
                         path);
    if (der)
        return afar_fail(
            err, AFAR_EINVAL,
            "%s '%s' is not PEM but binary (DER or PKCS #12): convert it, as by openssl "
            "pkey -inform DER or openssl pkcs12 -noenc",
            what, path);
    if (!contains(file, "PRIVATE KEY-----"))
        return afar_fail(err, AFAR_EINVAL, "%s '%s' contains no PEM private key", what, path);
    return afar_fail(err, AFAR_EINVAL, "%s '%s' is damaged", what, path);
}

static enum afar_status read_key(struct tls_credential *credential, const char *cert_file,
                                 const char *path, struct afar_error *err)
{
    static const char what[] = "the key file";
    struct file file = {0};
    BIO *bio = NULL;
    EVP_PKEY *key = NULL;
    bool asked = false;

    enum afar_status status = file_read(&file, &bio, what, path, err);
    if (status != AFAR_OK)
        goto out;
    ERR_clear_error();
    key = decode_key(bio, X509_get0_pubkey(credential->leaf), &asked);
    if (key == NULL && !asked && BIO_reset(bio) == 1)
        key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
    if (key == NULL) {
        status = fail_key(&file, path, asked, err);
        ERR_clear_error();
        goto out;
    }
    status = check_private(&file, path, err);
    if (status != AFAR_OK)
        goto out;
    if (X509_check_private_key(credential->leaf, key) != 1) {
        ERR_clear_error();
        status = afar_fail(err, AFAR_EINVAL,
                           "the key in '%s' does not belong to the certificate in "
                           "'%s'",
                           path, cert_file);
        goto out;
    }
    credential->key = key;
    key = NULL;
out:
    EVP_PKEY_free(key);
    BIO_free(bio);
    file_close(&file);
    return status;
}

/* TLS 1.3 signs with few kinds of keys (RFC 8446 §4.2.3); with another the handshake would fail,
 * and the peer could not know why. */
static enum afar_status check_kind(const EVP_PKEY *key, const char *path, struct afar_error *err)
{
    static const char *const kinds[] = {"RSA", "RSA-PSS", "ED25519", "ED448"};
    static const char *const curves[] = {"prime256v1", "secp384r1", "secp521r1"};
    const char *kind = EVP_PKEY_get0_type_name(key);
    char curve[80] = "";
    for (size_t i = 0; kind != NULL && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kind, kinds[i]) == 0)
            return AFAR_OK;
    }
    (void)EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL);
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (strcmp(curve, curves[i]) == 0)
            return AFAR_OK;
    }
    ERR_clear_error();
    if (kind != NULL && strcmp(kind, "EC") == 0)
        return afar_fail(
            err, AFAR_EINVAL,
            "the key in '%s' is on the curve %s, which TLS 1.3 cannot use: P-256, P-384 "
            "or P-521 is needed",
            path, curve[0] != '\0' ? curve : "of a kind without a name");
    return afar_fail(
        err, AFAR_EINVAL,
        "the key in '%s' is of the kind %s, which TLS 1.3 cannot use: RSA, EC, Ed25519 "
        "or Ed448 is needed",
        path, kind != NULL ? kind : "unknown");
}

void tls_credential_close(struct tls_credential *credential)
{
    X509_free(credential->leaf);
    EVP_PKEY_free(credential->key);
    sk_X509_pop_free(credential->chain, X509_free);
    *credential = (struct tls_credential){0};
}

enum afar_status tls_credential_read(struct tls_credential *credential, const char *cert_file,
                                     const char *key_file, struct afar_error *err)
{
    *credential = (struct tls_credential){0};
    enum afar_status status = read_chain(credential, cert_file, err);
    if (status == AFAR_OK)
        status = read_key(credential, cert_file, key_file, err);
    if (status == AFAR_OK)
        status = check_kind(credential->key, key_file, err);
    if (status != AFAR_OK)
        tls_credential_close(credential);
    return status;
}

enum afar_status tls_credential_use(const struct tls_credential *credential, SSL *ssl,
                                    const char *cert_file, struct afar_error *err)
{
    ERR_clear_error();
    if (SSL_use_cert_and_key(ssl, credential->leaf, credential->key, credential->chain, 1) == 1)
        return AFAR_OK;
    return fail_unusable(err, "the certificate file", cert_file);
}

enum afar_status tls_load_identity(SSL_CTX *ctx, const char *cert_file, const char *key_file,
                                   struct afar_error *err)
{
    struct tls_credential credential;
    enum afar_status status = tls_credential_read(&credential, cert_file, key_file, err);
    if (status != AFAR_OK)
        return status;
    ERR_clear_error();
    if (SSL_CTX_use_cert_and_key(ctx, credential.leaf, credential.key, credential.chain, 1) != 1)
        status = fail_unusable(err, "the certificate file", cert_file);
    tls_credential_close(&credential);
    return status;
}

static enum afar_status trust(SSL_CTX *ctx, X509 *ca, const char *path, bool announce,
                              struct afar_error *err)
{
    /* One whose key or extensions OpenSSL could not make out (memory was short, or they are
     * damaged) is accepted by the store, and every peer that it has issued refused later. */
    if (X509_get0_pubkey(ca) == NULL || (X509_get_extension_flags(ca) & EXFLAG_INVALID) != 0)
        return fail_unusable(err, "a certificate in the CA file", path);
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) != 1)
        return tls_fail_local(err, "X509_STORE_add_cert");
    if (announce && SSL_CTX_add_client_CA(ctx, ca) != 1)
        return tls_fail_local(err, "SSL_CTX_add_client_CA");
    return AFAR_OK;
}

enum afar_status tls_load_trust(SSL_CTX *ctx, const char *ca_file, bool announce,
                                struct afar_error *err)
{
    static const char what[] = "the CA file";
    struct file file = {0};
    BIO *bio = NULL;
    X509 *ca = NULL;
    unsigned count = 0;

    ERR_clear_error();
    if (ca_file == NULL)
        return SSL_CTX_set_default_verify_paths(ctx) == 1
                   ? AFAR_OK
                   : tls_fail_local(err, "SSL_CTX_set_default_verify_paths");

    enum afar_status status = file_read(&file, &bio, what, ca_file, err);
    while (status == AFAR_OK) {
        ERR_clear_error();
        ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (ca == NULL)
            break;
        count++;
        status = trust(ctx, ca, ca_file, announce, err);
        X509_free(ca);
    }
    if (status == AFAR_OK && !at_end())
        status = afar_fail(err, AFAR_EINVAL, "%s '%s' is damaged after %u certificates", what,
                           ca_file, count);
    else if (status == AFAR_OK && count == 0)
        status = afar_fail(err, AFAR_EINVAL, "%s '%s' contains no PEM certificate", what, ca_file);
    BIO_free(bio);
    file_close(&file);
    return status;
}

/* A list that was added twice is refused by the store, and no harm. */
static enum afar_status add_list(SSL_CTX *ctx, X509_CRL *list, struct afar_error *err)
{
    if (X509_STORE_add_crl(SSL_CTX_get_cert_store(ctx), list) == 1 ||
        ERR_GET_REASON(ERR_peek_last_error()) == X509_R_CERT_ALREADY_IN_HASH_TABLE)
        return AFAR_OK;
    return tls_fail_local(err, "X509_STORE_add_crl");
}

enum afar_status tls_load_revoked(SSL_CTX *ctx, const char *crl_file, struct afar_error *err)
{
    static const char what[] = "the file of revocation lists";
    struct file file = {0};
    BIO *bio = NULL;
    unsigned count = 0;

    enum afar_status status = file_read(&file, &bio, what, crl_file, err);
    while (status == AFAR_OK) {
        ERR_clear_error();
        X509_CRL *list = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
        if (list == NULL)
            break;
        count++;
        status = add_list(ctx, list, err);
        X509_CRL_free(list);
    }
    if (status == AFAR_OK && !at_end())
        status =
            afar_fail(err, AFAR_EINVAL, "%s '%s' is damaged after %u lists", what, crl_file, count);
    else if (status == AFAR_OK && count == 0)
        status = afar_fail(err, AFAR_EINVAL, "%s '%s' contains no PEM list", what, crl_file);
    /* All of the chain: a CA may have been revoked too. */
    if (status == AFAR_OK &&
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx),
                                    X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) != 1)
        status = tls_fail_local(err, "X509_VERIFY_PARAM_set_flags");
    BIO_free(bio);
    file_close(&file);
    return status;
}
