/* Peers that are accepted because of their key, no matter who issued their certificate. */
#include "tls/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* As security level 2 wants of chains: RSA 2048, P-224 and up. */
enum { SECURITY_BITS_MIN = 112 };

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, TLS_PIN_BYTES);
}

enum afar_status tls_pins_set(struct tls_context *context, char *const *pins, size_t count,
                              struct afar_error *err)
{
    static const char digits[] = "0123456789abcdef";
    if (count == 0)
        return AFAR_OK;
    context->pins = calloc(count, sizeof *context->pins);
    if (context->pins == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for pins");
    for (size_t i = 0; i < count; i++) {
        if (strspn(pins[i], digits) != TLS_PIN_BYTES - 1 || pins[i][TLS_PIN_BYTES - 1] != '\0')
            return afar_fail(err, AFAR_EINVAL, "'%.80s' is not a pin: expected 64 digits 0-9a-f",
                             pins[i]);
        memcpy(context->pins[i], pins[i], TLS_PIN_BYTES);
    }
    context->pin_count = count;
    qsort(context->pins, count, sizeof *context->pins, compare);
    return AFAR_OK;
}

/* Nobody but the certificate's owner vouches for it: no issuer that we know. */
static bool is_unknown(int error)
{
    switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_UNTRUSTED:
        return true;
    default:
        return false;
    }
}

static void say(char note[TLS_NOTE_BYTES], const char *text)
{
    (void)snprintf(note, TLS_NOTE_BYTES, "the client's key is one that a rule names, but %s", text);
}

/* What the key's owner, being known, can still have done wrong. */
static bool check_leaf(X509 *leaf, char note[TLS_NOTE_BYTES])
{
    char when[40];
    if (X509_cmp_current_time(X509_get0_notBefore(leaf)) >= 0) {
        say(note, "its certificate is not valid yet; is the clock right?");
        return false;
    }
    if (X509_cmp_current_time(X509_get0_notAfter(leaf)) <= 0) {
        tls_time_text(X509_get0_notAfter(leaf), when, sizeof when);
        say(note, "its certificate expired on ");
        (void)strncat(note, when, TLS_NOTE_BYTES - strlen(note) - 1);
        return false;
    }
    if (X509_check_purpose(leaf, X509_PURPOSE_SSL_CLIENT, 0) != 1) {
        say(note, "its certificate is not made for clients: it lacks the extended key usage "
                  "clientAuth");
        return false;
    }
    if (EVP_PKEY_get_security_bits(X509_get0_pubkey(leaf)) < SECURITY_BITS_MIN) {
        say(note, "it is too short to be safe");
        return false;
    }
    return true;
}

/* By the lists that we have of its issuer, whatever else was wrong first: whoever keeps back an
 * intermediate certificate keeps OpenSSL from getting as far. */
static bool is_revoked(X509_STORE_CTX *store, X509 *leaf)
{
    X509_REVOKED *entry = NULL;
    ERR_clear_error();
    STACK_OF(X509_CRL) *lists = X509_STORE_CTX_get1_crls(store, X509_get_issuer_name(leaf));
    bool revoked = lists == NULL && ERR_peek_error() != 0; /* no memory: nobody knows */
    for (int i = 0; i < sk_X509_CRL_num(lists); i++)
        revoked |= X509_CRL_get0_by_cert(sk_X509_CRL_value(lists, i), &entry, leaf) == 1;
    sk_X509_CRL_pop_free(lists, X509_CRL_free);
    return revoked;
}

bool tls_pins_accept_client(const struct tls_context *context, X509_STORE_CTX *store,
                            char note[TLS_NOTE_BYTES])
{
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    int error = X509_STORE_CTX_get_error(store);
    char pin[TLS_PIN_BYTES] = "";
    if (leaf == NULL || !tls_pin(leaf, pin))
        return false;
    bool known = context->pin_count > 0 && bsearch(pin, context->pins, context->pin_count,
                                                   sizeof *context->pins, compare) != NULL;
    size_t used = strlen(note);
    if (!known && is_unknown(error) && used < TLS_NOTE_BYTES)
        (void)snprintf(note + used, TLS_NOTE_BYTES - used, "; to let it in: client = pin:sha256:%s",
                       pin);
    /* A CA that we know says that the key is no longer its owner's. */
    if (!known || error == X509_V_ERR_CERT_REVOKED)
        return false;
    note[0] = '\0';
    if (is_revoked(store, leaf)) {
        say(note, "its certificate has been revoked");
        return false;
    }
    return check_leaf(leaf, note);
}

bool tls_pins_accept_server(const struct transport_tls *transport, X509 *leaf, int error,
                            char note[TLS_NOTE_BYTES])
{
    const struct tls_context *context = transport->context;
    char pin[TLS_PIN_BYTES] = "";
    if (leaf == NULL || !tls_pin(leaf, pin))
        return false;
    if (context->pin_count > 0) {
        if (memcmp(context->pins[0], pin, sizeof pin) == 0)
            return true;
        (void)snprintf(note, TLS_NOTE_BYTES,
                       "the server's key is not the pinned one: it shows sha256:%s", pin);
        return false;
    }
    if (!is_unknown(error) || context->trust == NULL)
        return false;
    return context->trust(context->trust_user, transport->server_name, pin);
}
