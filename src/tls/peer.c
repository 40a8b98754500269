/* All names of a client, from the certificate that it showed. They are made when a rule asks and
 * not kept: ten thousand clients may be idle. */
#include "tls/internal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "tls/error.h"

enum { NAME_BYTES = 1024 };

/* A name with a NUL in it, or one that is not plain text, is left out: whoever compares strings
 * would see another name than the CA did. */
static enum afar_status add(struct peer *peer, const char *kind, const ASN1_STRING *string,
                            struct afar_error *err)
{
    unsigned char *utf8 = NULL;
    char name[NAME_BYTES];
    enum afar_status status = AFAR_OK;
    int size = ASN1_STRING_to_UTF8(&utf8, string);
    if (tls_copy_name(name, sizeof name, kind, utf8, size))
        status = peer_add(peer, name, "", err);
    OPENSSL_free(utf8);
    return status;
}

static enum afar_status add_alternatives(struct peer *peer, X509 *certificate,
                                         struct afar_error *err)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    enum afar_status status = AFAR_OK;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && status == AFAR_OK; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_URI)
            status = add(peer, "uri:", name->d.uniformResourceIdentifier, err);
        else if (name->type == GEN_DNS)
            status = add(peer, "dns:", name->d.dNSName, err);
        else if (name->type == GEN_EMAIL)
            status = add(peer, "email:", name->d.rfc822Name, err);
    }
    GENERAL_NAMES_free(names);
    return status;
}

static enum afar_status add_common_names(struct peer *peer, const X509 *certificate,
                                         struct afar_error *err)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    enum afar_status status = AFAR_OK;
    for (int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
         at >= 0 && status == AFAR_OK; at = X509_NAME_get_index_by_NID(subject, NID_commonName, at))
        status = add(peer, "cn:", X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), err);
    return status;
}

enum afar_status tls_peer(const struct transport *base, struct peer *peer, struct afar_error *err)
{
    const struct transport_tls *transport = (const struct transport_tls *)(const void *)base;
    const unsigned char *at = transport->chain;
    char pin[TLS_PIN_BYTES];
    peer->kind = IDENTITY_CERTIFICATE;
    if (at == NULL)
        return peer_add(peer, "anonymous", "", err);
    ERR_clear_error();
    X509 *leaf = d2i_X509(NULL, &at, (long)transport->chain_bytes);
    enum afar_status status = leaf == NULL ? tls_fail_local(err, "d2i_X509") : AFAR_OK;
    /* What a certificate says that only its key lets in, its owner says, and nobody else. */
    if (status == AFAR_OK && transport->vouched)
        status = add_alternatives(peer, leaf, err);
    if (status == AFAR_OK && transport->vouched)
        status = add_common_names(peer, leaf, err);
    if (status == AFAR_OK && !tls_pin(leaf, pin))
        status = tls_fail_local(err, "EVP_Digest");
    if (status == AFAR_OK)
        status = peer_add(peer, "pin:sha256:", pin, err);
    X509_free(leaf);
    ERR_clear_error();
    return status;
}
