#include "support/custom_cert.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

enum { DAY_S = 86400, MINUTE_S = 60 };

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void add_extensions(X509 *certificate, X509 *issuer, const struct custom_cert_order *order)
{
    add_extension(certificate, issuer, NID_basic_constraints,
                  order->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(certificate, issuer, NID_key_usage,
                  order->is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
    add_extension(certificate, issuer, NID_authority_key_identifier, "keyid");
    if (!order->is_ca)
        add_extension(certificate, issuer, NID_ext_key_usage,
                      order->is_server ? "serverAuth" : "clientAuth");
    if (order->comment_bytes > 0) {
        char *comment = calloc(1, order->comment_bytes + 1);
        assert_non_null(comment);
        memset(comment, 'c', order->comment_bytes);
        add_extension(certificate, issuer, NID_netscape_comment, comment);
        free(comment);
    }
    if (order->strange) {
        ASN1_OBJECT *object = OBJ_txt2obj("1.2.3.4.5", 1);
        ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        assert_int_equal(ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05", 1), 1);
        X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, object, 1, value);
        assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
        X509_EXTENSION_free(extension);
        ASN1_OCTET_STRING_free(value);
        ASN1_OBJECT_free(object);
    }
    if (order->names != NULL)
        assert_int_equal(X509_add1_ext_i2d(certificate, NID_subject_alt_name, order->names, 0, 0),
                         1);
}

void custom_cert_make(struct custom_cert *made, const struct custom_cert_order *order)
{
    uint32_t serial = 0;
    made->key = order->rsa_bits > 0 ? EVP_RSA_gen(order->rsa_bits)
                                    : EVP_EC_gen(order->curve != NULL ? order->curve : "P-256");
    made->certificate = X509_new();
    assert_non_null(made->key);
    assert_non_null(made->certificate);
    assert_int_equal(RAND_bytes((unsigned char *)&serial, sizeof serial), 1);
    X509 *certificate = made->certificate;
    const struct custom_cert *issuer = order->issuer != NULL ? order->issuer : made;
    X509_NAME *name = X509_get_subject_name(certificate);
    for (size_t i = 0; i < 4 && order->common_names[i] != NULL; i++)
        assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                                    (const void *)order->common_names[i], -1, -1,
                                                    0),
                         1);
    assert_int_equal(X509_set_version(certificate, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial + 1ULL), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate),
                                    order->begins_s != 0 ? order->begins_s : -MINUTE_S));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate),
                                    order->valid_s != 0 ? order->valid_s : DAY_S));
    assert_int_equal(X509_set_pubkey(certificate, made->key), 1);
    assert_int_equal(X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate)),
                     1);
    add_extensions(certificate, issuer->certificate, order);
    assert_true(X509_sign(certificate, issuer->key, EVP_sha256()) > 0);
}

void custom_cert_close(struct custom_cert *issued)
{
    X509_free(issued->certificate);
    EVP_PKEY_free(issued->key);
    *issued = (struct custom_cert){.certificate = NULL};
}

void custom_cert_add_name(GENERAL_NAMES **names, int type, const char *bytes, size_t size)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *string = ASN1_IA5STRING_new();
    if (*names == NULL)
        *names = sk_GENERAL_NAME_new_null();
    assert_non_null(*names);
    assert_non_null(name);
    assert_non_null(string);
    assert_int_equal(ASN1_STRING_set(string, bytes, (int)size), 1);
    GENERAL_NAME_set0_value(name, type, string);
    assert_true(sk_GENERAL_NAME_push(*names, name) > 0);
}

void custom_cert_write(const struct custom_cert *issued, const struct custom_cert *also,
                       const char *cert_path, const char *key_path)
{
    FILE *file = fopen(cert_path, "we");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, issued->certificate), 1);
    if (also != NULL)
        assert_int_equal(PEM_write_X509(file, also->certificate), 1);
    assert_int_equal(fclose(file), 0);
    if (key_path == NULL)
        return;
    file = fopen(key_path, "we");
    assert_non_null(file);
    assert_int_equal(fchmod(fileno(file), 0600), 0);
    assert_int_equal(PEM_write_PrivateKey(file, issued->key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
}

static void add_revoked(X509_CRL *list, const struct custom_cert *revoked, ASN1_TIME *when)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    assert_non_null(entry);
    assert_int_equal(
        X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->certificate)), 1);
    assert_int_equal(X509_REVOKED_set_revocationDate(entry, when), 1);
    assert_int_equal(X509_CRL_add0_revoked(list, entry), 1);
}

void custom_cert_write_list(const struct custom_cert *issuer, const struct custom_cert *revoked,
                            const char *path)
{
    custom_cert_write_list_until(issuer, revoked, DAY_S, path);
}

void custom_cert_write_list_until(const struct custom_cert *issuer,
                                  const struct custom_cert *revoked, long ends_s, const char *path)
{
    X509_CRL *list = X509_CRL_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -MINUTE_S);
    ASN1_TIME *later = X509_gmtime_adj(NULL, ends_s);
    assert_non_null(list);
    assert_int_equal(X509_CRL_set_version(list, 1), 1);
    assert_int_equal(X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer->certificate)), 1);
    assert_int_equal(X509_CRL_set1_lastUpdate(list, now), 1);
    assert_int_equal(X509_CRL_set1_nextUpdate(list, later), 1);
    if (revoked != NULL)
        add_revoked(list, revoked, now);
    assert_true(X509_CRL_sign(list, issuer->key, EVP_sha256()) > 0);
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509_CRL(file, list), 1);
    assert_int_equal(fclose(file), 0);
    ASN1_TIME_free(now);
    ASN1_TIME_free(later);
    X509_CRL_free(list);
}
