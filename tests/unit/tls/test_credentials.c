// wrap: malloc calloc realloc strdup read
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "support/alloc_fault.h"
#include "support/custom_cert.h"
#include "support/tls_pair.h"

static struct test_certs certs;
static char file_path[TEST_CERT_PATH_BYTES]; /* for what a test writes */
static char key_path[TEST_CERT_PATH_BYTES];

static int read_errno;     /* every read fails so; 0: none does */
static int read_interrupt; /* that many reads are interrupted first */

ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size)
{
    if (read_interrupt > 0) {
        read_interrupt--;
        errno = EINTR;
        return -1;
    }
    if (read_errno != 0) {
        errno = read_errno;
        return -1;
    }
    return __real_read(fd, data, size > 100 ? 100 : size); /* always short */
}

static int set_up(void **state)
{
    (void)state;
    if (!test_certs_make(&certs))
        return -1;
    (void)snprintf(file_path, sizeof file_path, "%s/own.pem", certs.folder);
    (void)snprintf(key_path, sizeof key_path, "%s/own-key.pem", certs.folder);
    (void)umask(077); /* a key that others can read is refused, which is another test's */
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(file_path);
    (void)unlink(key_path);
    test_certs_remove(&certs);
    return 0;
}

static int clear_faults(void **state)
{
    (void)state;
    read_errno = read_interrupt = 0;
    return 0;
}

static void write_file(const char *data, size_t size)
{
    FILE *file = fopen(file_path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static size_t slurp(const char *path, char *data, size_t size)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t got = fread(data, 1, size, file);
    assert_int_equal(fclose(file), 0);
    return got;
}

static enum afar_status load_identity(const char *cert, const char *key, struct afar_error *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    assert_non_null(ctx);
    enum afar_status status = tls_load_identity(ctx, cert, key, err);
    SSL_CTX_free(ctx);
    return status;
}

static enum afar_status load_trust(const char *ca, struct afar_error *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    assert_non_null(ctx);
    enum afar_status status = tls_load_trust(ctx, ca, true, err);
    SSL_CTX_free(ctx);
    return status;
}

static void refused(enum afar_status status, const struct afar_error *err, const char *path,
                    const char *why)
{
    assert_int_equal(status, AFAR_EINVAL);
    tls_pair_assert_line(err, path);
    tls_pair_assert_line(err, why);
}

static void test_good_files(void **state)
{
    (void)state;
    struct afar_error err;
    static const enum test_cert good[] = {TEST_SERVER, TEST_SERVER_CHAIN, TEST_CLIENT_URI};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(load_identity(certs.cert[good[i]], certs.key[good[i]], &err), AFAR_OK);
    assert_int_equal(load_trust(certs.cert[TEST_CA], &err), AFAR_OK);
    assert_int_equal(load_trust(NULL, &err), AFAR_OK); /* the system's */
}

/* A certificate and its key in one file, as some tools like it; and text around them. */
static void test_one_file_for_both(void **state)
{
    (void)state;
    struct afar_error err;
    char data[8192];
    size_t size = (size_t)snprintf(data, sizeof data, "Some words of what this is.\n");

    size += slurp(certs.key[TEST_SERVER], data + size, sizeof data - size);
    size += slurp(certs.cert[TEST_SERVER], data + size, sizeof data - size);
    write_file(data, size);
    assert_int_equal(load_identity(file_path, file_path, &err), AFAR_OK);
}

static void test_missing_and_unreadable(void **state)
{
    (void)state;
    struct afar_error err;
    const char *cert = certs.cert[TEST_SERVER];
    const char *key = certs.key[TEST_SERVER];

    refused(load_identity("/nowhere/cert.pem", key, &err), &err, "'/nowhere/cert.pem'",
            "the certificate file");
    assert_int_equal(err.sys_errno, ENOENT);
    tls_pair_assert_line(&err, "No such file or directory");
    refused(load_identity(cert, "/nowhere/key.pem", &err), &err, "'/nowhere/key.pem'",
            "the key file");
    refused(load_trust("/nowhere/ca.pem", &err), &err, "'/nowhere/ca.pem'", "the CA file");
    refused(load_identity(certs.folder, key, &err), &err, certs.folder, "Is a directory");
    read_errno = EIO;
    refused(load_identity(cert, key, &err), &err, cert, "Input/output error");
    assert_int_equal(err.sys_errno, EIO);
}

static void test_interrupted_reads(void **state)
{
    (void)state;
    read_interrupt = 3;
    assert_int_equal(load_identity(certs.cert[TEST_SERVER], certs.key[TEST_SERVER], NULL), AFAR_OK);
    assert_int_equal(read_interrupt, 0);
}

static void test_no_pem(void **state)
{
    (void)state;
    struct afar_error err;
    const char *cert = certs.cert[TEST_SERVER];
    const char *key = certs.key[TEST_SERVER];

    write_file("", 0);
    refused(load_identity(file_path, key, &err), &err, file_path, "contains no PEM certificate");
    refused(load_identity(cert, file_path, &err), &err, file_path, "contains no PEM private key");
    refused(load_trust(file_path, &err), &err, file_path, "contains no PEM certificate");
    write_file("not a certificate\n", 18);
    refused(load_identity(file_path, key, &err), &err, file_path, "contains no PEM certificate");
    /* Mixed up: a person's most frequent mistake. */
    refused(load_identity(key, cert, &err), &err, key, "contains no PEM certificate");
    refused(load_identity(cert, cert, &err), &err, cert, "contains no PEM private key");
    refused(load_trust(key, &err), &err, key, "contains no PEM certificate");
}

/* Cut at every byte, a file is damaged or empty, but never half accepted. */
static void test_cut_files(void **state)
{
    (void)state;
    struct afar_error err;
    char data[8192];
    const char *key = certs.key[TEST_SERVER_CHAIN];
    size_t size = slurp(certs.cert[TEST_SERVER_CHAIN], data, sizeof data);
    const char *second = strstr(data + 1, "-----BEGIN");
    assert_non_null(second);
    size_t leaf_size = (size_t)(second - data);

    for (size_t cut = 0; cut < size - 1; cut += 13) {
        write_file(data, cut);
        enum afar_status status = load_identity(file_path, key, &err);
        /* Within the second one's first line there is nothing yet that says a second one begins. */
        bool whole =
            cut + 1 >= leaf_size && cut < leaf_size + strlen("-----BEGIN CERTIFICATE-----");
        assert_int_equal(status, whole ? AFAR_OK : AFAR_EINVAL);
    }
    for (size_t cut = 0; cut < leaf_size - 1; cut += 13) {
        write_file(data, cut);
        assert_int_equal(load_trust(file_path, &err), AFAR_EINVAL);
    }
    size = slurp(key, data, sizeof data);
    for (size_t cut = 0; cut < size - 1; cut += 7) {
        write_file(data, cut);
        assert_int_equal(load_identity(certs.cert[TEST_SERVER_CHAIN], file_path, &err),
                         AFAR_EINVAL);
    }
}

static void test_damaged(void **state)
{
    (void)state;
    struct afar_error err;
    char data[8192];
    size_t size = slurp(certs.cert[TEST_SERVER_CHAIN], data, sizeof data);
    const char *second = strstr(data + 1, "-----BEGIN");
    assert_non_null(second);

    data[(size_t)(second - data) + 100] = '!';
    write_file(data, size);
    refused(load_identity(file_path, certs.key[TEST_SERVER_CHAIN], &err), &err, file_path,
            "is damaged after its first certificate");
    refused(load_trust(file_path, &err), &err, file_path, "is damaged after 1 certificates");
    data[100] = '!';
    write_file(data, size);
    refused(load_identity(file_path, certs.key[TEST_SERVER_CHAIN], &err), &err, file_path,
            "is damaged");
    size = slurp(certs.key[TEST_SERVER], data, sizeof data);
    data[60] = '!';
    write_file(data, size);
    refused(load_identity(certs.cert[TEST_SERVER], file_path, &err), &err, file_path, "is damaged");
}

static void test_key_of_another_certificate(void **state)
{
    (void)state;
    struct afar_error err;

    refused(load_identity(certs.cert[TEST_SERVER], certs.key[TEST_CLIENT], &err), &err,
            certs.key[TEST_CLIENT], "does not belong to the certificate in '");
    tls_pair_assert_line(&err, certs.cert[TEST_SERVER]);
}

static void test_encrypted_key(void **state)
{
    (void)state;
    struct afar_error err;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *file = fopen(file_path, "w");

    assert_non_null(key);
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, EVP_aes_256_cbc(),
                                          (const unsigned char *)"secret", 6, NULL, NULL),
                     1);
    assert_int_equal(fclose(file), 0);
    EVP_PKEY_free(key);
    refused(load_identity(certs.cert[TEST_SERVER], file_path, &err), &err, file_path,
            "is encrypted; a key without a passphrase is needed");
}

static void test_keys_in_other_formats(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size; /* 0: of a string */
        const char *line;
    } keys[] = {
        {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n"
         "-----END OPENSSH PRIVATE KEY-----\n",
         0, "is in OpenSSH's own format: convert a copy of it (ssh-keygen -p -m PEM -f COPY"},
        {"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", 0, "is in PuTTY's own format"},
        {"0\x81\x87\x02\x01\x00", 6, "is not PEM but binary (DER or PKCS #12)"},
        {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 0,
         "contains no PEM private key"},
        {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0, "is damaged"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct afar_error err;
        write_file(keys[i].text, keys[i].size > 0 ? keys[i].size : strlen(keys[i].text));
        refused(load_identity(certs.cert[TEST_SERVER], file_path, &err), &err, file_path,
                keys[i].line);
    }
}

/* Kinds that nobody could shake hands with are refused here, where it can be told why. */
static void test_kinds_of_keys(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *curve; /* or length */
        const char *line;  /* NULL: it is good */
    } kinds[] = {
        {"EC", "P-256", NULL},
        {"EC", "P-384", NULL},
        {"EC", "P-521", NULL},
        {"ED25519", NULL, NULL},
        {"ED448", NULL, NULL},
        {"RSA", "2048", NULL},
        {"EC", "secp256k1", "is on the curve secp256k1, which TLS 1.3 cannot use: P-256, P-384"},
        {"EC", "brainpoolP256r1", "is on the curve brainpoolP256r1"},
        {"EC", "P-224", "is on the curve secp224r1"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct afar_error err;
        struct custom_cert made = {.certificate = X509_new()};
        bool is_ec = strcmp(kinds[i].type, "EC") == 0;
        bool is_rsa = strcmp(kinds[i].type, "RSA") == 0;
        made.key = is_ec    ? EVP_EC_gen(kinds[i].curve)
                   : is_rsa ? EVP_RSA_gen(2048)
                            : EVP_PKEY_Q_keygen(NULL, NULL, kinds[i].type);
        assert_non_null(made.key);
        assert_non_null(X509_gmtime_adj(X509_getm_notBefore(made.certificate), 0));
        assert_non_null(X509_gmtime_adj(X509_getm_notAfter(made.certificate), 1000));
        assert_int_equal(X509_set_pubkey(made.certificate, made.key), 1);
        assert_true(X509_sign(made.certificate, made.key, is_ec || is_rsa ? EVP_sha256() : NULL) >
                    0);
        custom_cert_write(&made, NULL, file_path, key_path);
        enum afar_status status = load_identity(file_path, key_path, &err);
        if (kinds[i].line == NULL && status != AFAR_OK)
            fail_msg("%s %s: %s", kinds[i].type, kinds[i].curve, err.message);
        if (kinds[i].line != NULL)
            refused(status, &err, key_path, kinds[i].line);
        custom_cert_close(&made);
    }
}

static void test_too_large(void **state)
{
    (void)state;
    struct afar_error err;

    write_file("", 0);
    assert_int_equal(truncate(file_path, 5 * 1024 * 1024), 0);
    refused(load_trust(file_path, &err), &err, file_path, "is larger than 4194304 bytes");
}

/* Too weak to be trusted, and said so before anybody connects. */
static void test_weak_key(void **state)
{
    (void)state;
    struct afar_error err;
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());

    assert_non_null(ctx);
    SSL_CTX_set_security_level(ctx, 5); /* 256 bits: P-256 is too weak for that */
    refused(tls_load_identity(ctx, certs.cert[TEST_SERVER], certs.key[TEST_SERVER], &err), &err,
            certs.cert[TEST_SERVER], "cannot be used: ee key too small");
    SSL_CTX_free(ctx);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        struct afar_error err;
        SSL_CTX *ctx = SSL_CTX_new(TLS_method());
        assert_non_null(ctx);
        alloc_fault_arm(n);
        enum afar_status status =
            tls_load_identity(ctx, certs.cert[TEST_SERVER], certs.key[TEST_SERVER], &err);
        bool fired = alloc_fault_fired();
        assert_int_equal(status, fired ? AFAR_ENOMEM : AFAR_OK);
        SSL_CTX_free(ctx);
        if (!fired)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good_files, clear_faults),
        cmocka_unit_test_setup(test_one_file_for_both, clear_faults),
        cmocka_unit_test_setup(test_missing_and_unreadable, clear_faults),
        cmocka_unit_test_setup(test_interrupted_reads, clear_faults),
        cmocka_unit_test_setup(test_no_pem, clear_faults),
        cmocka_unit_test_setup(test_cut_files, clear_faults),
        cmocka_unit_test_setup(test_damaged, clear_faults),
        cmocka_unit_test_setup(test_key_of_another_certificate, clear_faults),
        cmocka_unit_test_setup(test_encrypted_key, clear_faults),
        cmocka_unit_test_setup(test_keys_in_other_formats, clear_faults),
        cmocka_unit_test_setup(test_kinds_of_keys, clear_faults),
        cmocka_unit_test_setup(test_too_large, clear_faults),
        cmocka_unit_test_setup(test_weak_key, clear_faults),
        cmocka_unit_test_setup(test_no_memory, clear_faults),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
