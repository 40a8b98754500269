/* Who a client is for good: what its jobs belong to. A renewed certificate, with another key and
 * serial number, is the same owner; another name, or the same by another CA, is not.
 *
 *   SHA-256 over  a word of our own  the public key of the configured CA that the chain ends in
 *                 the common names and all alternative names, sorted
 *
 * each with its length (4 bytes, big-endian) before it. */
#include "tls/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509v3.h>

static const char purpose[] = "afar owner 1";

/* A name as it is compared and hashed: its kind, and what it is. */
struct name {
    uint8_t *data;
    size_t size;
};

struct names {
    struct name *at;
    size_t count;
    bool failed; /* out of memory */
};

/* Adds `kind` and `data`. */
static void add(struct names *names, const char *kind, const uint8_t *data, int size)
{
    size_t kind_bytes = strlen(kind);
    struct name *longer = realloc(names->at, (names->count + 1) * sizeof *longer);
    if (longer == NULL || size < 0) {
        names->at = longer != NULL ? longer : names->at;
        names->failed = true;
        return;
    }
    names->at = longer;
    uint8_t *copy = malloc(kind_bytes + (size_t)size);
    if (copy == NULL) {
        names->failed = true;
        return;
    }
    memcpy(copy, kind, kind_bytes);
    if (size > 0)
        memcpy(copy + kind_bytes, data, (size_t)size);
    names->at[names->count++] = (struct name){.data = copy, .size = kind_bytes + (size_t)size};
}

static void close_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->at[i].data);
    free(names->at);
}

/* As UTF-8 where it is a string: the CA may write it another way next time. */
static void add_common_names(struct names *names, const X509 *leaf)
{
    const X509_NAME *subject = X509_get_subject_name(leaf);
    for (int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1); at >= 0;
         at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) {
        const ASN1_STRING *string = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
        unsigned char *utf8 = NULL;
        int size = ASN1_STRING_to_UTF8(&utf8, string);
        if (size >= 0)
            add(names, "cn", utf8, size);
        else
            add(names, "cn", ASN1_STRING_get0_data(string), ASN1_STRING_length(string));
        OPENSSL_free(utf8);
    }
}

static void add_alternatives(struct names *names, const X509 *leaf)
{
    GENERAL_NAMES *list = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        unsigned char *der = NULL;
        int size = i2d_GENERAL_NAME(sk_GENERAL_NAME_value(list, i), &der);
        add(names, "an", der, size);
        OPENSSL_free(der);
    }
    GENERAL_NAMES_free(list);
}

static int compare(const void *left, const void *right)
{
    const struct name *a = left;
    const struct name *b = right;
    int order = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

static bool hash_one(EVP_MD_CTX *digest, const void *data, size_t size)
{
    const uint8_t length[4] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8),
                               (uint8_t)size};
    return EVP_DigestUpdate(digest, length, sizeof length) == 1 &&
           EVP_DigestUpdate(digest, data, size) == 1;
}

static bool hash_all(const X509 *anchor, const struct names *names, uint8_t owner[TLS_OWNER_BYTES])
{
    unsigned char *key = NULL;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    int key_bytes = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(anchor), &key);
    bool done =
        digest != NULL && key_bytes > 0 && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
        hash_one(digest, purpose, sizeof purpose) && hash_one(digest, key, (size_t)key_bytes);
    for (size_t i = 0; i < names->count && done; i++)
        done = hash_one(digest, names->at[i].data, names->at[i].size);
    done = done && EVP_DigestFinal_ex(digest, owner, NULL) == 1;
    EVP_MD_CTX_free(digest);
    OPENSSL_free(key);
    return done;
}

bool tls_owner(X509 *leaf, const STACK_OF(X509) * chain, struct tls_owner *owner)
{
    struct names names = {0};
    const X509 *anchor = chain != NULL ? sk_X509_value(chain, sk_X509_num(chain) - 1) : NULL;
    if (anchor != NULL) {
        add_common_names(&names, leaf);
        add_alternatives(&names, leaf);
    }
    bool done = !names.failed;
    owner->is_pin = names.count == 0;
    if (done && owner->is_pin) {
        done = tls_pin_hash(leaf, owner->hash);
    } else if (done) {
        qsort(names.at, names.count, sizeof *names.at, compare);
        done = hash_all(anchor, &names, owner->hash);
    }
    close_names(&names);
    return done;
}

void tls_owner_text(const struct tls_owner *owner, char text[IDENTITY_OWNER_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char *at = text + snprintf(text, IDENTITY_OWNER_BYTES, "%s", owner->is_pin ? "pin:" : "");
    at += snprintf(at, sizeof "sha256:", "%s", "sha256:");
    for (size_t i = 0; i < TLS_OWNER_BYTES; i++) {
        *at++ = digits[owner->hash[i] >> 4];
        *at++ = digits[owner->hash[i] & 15];
    }
    *at = '\0';
}
