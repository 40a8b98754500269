#include "tls/internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/utf8.h"

bool tls_pin_hash(const X509 *certificate, uint8_t hash[TLS_OWNER_BYTES])
{
    unsigned char *key = NULL;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key);
    bool done = size > 0 && EVP_Digest(key, (size_t)size, hash, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(key);
    return done;
}

bool tls_pin(const X509 *certificate, char pin[TLS_PIN_BYTES])
{
    uint8_t hash[TLS_OWNER_BYTES];
    bool done = tls_pin_hash(certificate, hash);
    for (size_t i = 0; done && i < sizeof hash; i++)
        (void)snprintf(pin + 2 * i, 3, "%02x", hash[i]);
    return done;
}

int64_t tls_time_unix(const ASN1_TIME *time)
{
    struct tm parts = {0};

    if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1)
        return 0;
    return (int64_t)timegm(&parts);
}

void tls_time_text(const ASN1_TIME *time, char *text, size_t size)
{
    struct tm parts = {0};

    if (ASN1_TIME_to_tm(time, &parts) != 1 ||
        strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
        (void)snprintf(text, size, "a time that cannot be read");
}

bool tls_copy_name(char *out, size_t size, const char *prefix, const unsigned char *name,
                   int length)
{
    if (length <= 0 || strlen(prefix) + (size_t)length >= size || !utf8_valid(name, (size_t)length))
        return false;
    for (int i = 0; i < length; i++) {
        bool c1 = name[i] == 0xC2 && i + 1 < length && name[i + 1] < 0xA0;
        if (name[i] < 0x20 || name[i] == 0x7F || c1)
            return false;
    }
    (void)snprintf(out, size, "%s%.*s", prefix, length, (const char *)name);
    return true;
}

static bool copy_common_name(char *out, size_t size, const char *prefix, const X509_NAME *name)
{
    unsigned char *utf8 = NULL;
    int at = -1;

    for (int next = -1;;) { /* the last one is the most specific */
        next = X509_NAME_get_index_by_NID(name, NID_commonName, next);
        if (next < 0)
            break;
        at = next;
    }
    if (at < 0)
        return false;
    const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, at);
    int length = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
    bool copied = tls_copy_name(out, size, prefix, utf8, length);
    OPENSSL_free(utf8);
    return copied;
}

void tls_subject_text(const X509_NAME *name, char *text, size_t size)
{
    char whole[256];

    if (name != NULL && copy_common_name(text, size, "CN=", name))
        return;
    if (name == NULL || X509_NAME_entry_count(name) == 0 ||
        X509_NAME_oneline(name, whole, sizeof whole) == NULL) {
        (void)snprintf(text, size, "without a name");
        return;
    }
    utf8_copy(text, size, whole);
}

static bool copy_alternative(char *out, size_t size, const GENERAL_NAMES *names, int type,
                             const char *prefix)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != type)
            continue;
        const ASN1_STRING *string = name->d.ia5; /* URI, DNS and email alike */
        if (tls_copy_name(out, size, prefix, ASN1_STRING_get0_data(string),
                          ASN1_STRING_length(string)))
            return true;
    }
    return false;
}

/* What no two keys share, for those without a name that can be shown or believed. */
static void copy_pin(char *out, size_t size, const X509 *certificate)
{
    char pin[TLS_PIN_BYTES] = "";
    (void)tls_pin(certificate, pin);
    (void)snprintf(out, size, "pin:sha256:%s", pin);
}

void tls_identity_name(X509 *certificate, bool vouched, char name[IDENTITY_NAME_BYTES])
{
    static const struct {
        int type;
        const char *prefix;
    } preferred[] = {{GEN_URI, "uri:"}, {GEN_DNS, "dns:"}, {GEN_EMAIL, "email:"}};
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool found = false;

    for (size_t i = 0; vouched && i < sizeof preferred / sizeof preferred[0] && !found; i++)
        found = copy_alternative(name, IDENTITY_NAME_BYTES, names, preferred[i].type,
                                 preferred[i].prefix);
    if (vouched && !found)
        found =
            copy_common_name(name, IDENTITY_NAME_BYTES, "cn:", X509_get_subject_name(certificate));
    if (!found)
        copy_pin(name, IDENTITY_NAME_BYTES, certificate);
    GENERAL_NAMES_free(names);
}

int64_t tls_chain_expiry(const STACK_OF(X509) * chain)
{
    int64_t earliest = 0;

    for (int i = 0; i < sk_X509_num(chain); i++) {
        int64_t expires_at = tls_time_unix(X509_get0_notAfter(sk_X509_value(chain, i)));
        if (i == 0 || expires_at < earliest)
            earliest = expires_at;
    }
    return earliest;
}
