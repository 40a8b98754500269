/* Which hosts a server's certificate is for, and why not for another. */
#include "tls/internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/x509v3.h>

static bool is_address(const char *text)
{
    struct in6_addr address; /* has room for one of either kind */
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

/* As in a zone file. No client takes it for the name without the dot. */
static bool ends_in_dot(const char *name)
{
    const size_t size = strlen(name);
    return size > 1 && name[size - 1] == '.';
}

/* False: it is none, or not fit to be shown. */
static bool dns_text(const GENERAL_NAME *name, char *text, size_t size)
{
    const ASN1_STRING *string = name->d.dNSName;
    return name->type == GEN_DNS &&
           tls_copy_name(text, size, "", ASN1_STRING_get0_data(string), ASN1_STRING_length(string));
}

/* One subject alternative name in text; false for kinds that name no host. */
static bool host_text(const GENERAL_NAME *name, char *text, size_t size)
{
    const ASN1_STRING *string = NULL;
    const unsigned char *data = NULL;

    switch (name->type) {
    case GEN_DNS:
        if (!dns_text(name, text, size))
            return false;
        if (is_address(text))
            (void)strncat(text, " (as a DNS name)", size - strlen(text) - 1);
        return true;
    case GEN_IPADD:
        string = name->d.iPAddress;
        data = ASN1_STRING_get0_data(string);
        if (ASN1_STRING_length(string) == 4)
            return inet_ntop(AF_INET, data, text, (socklen_t)size) != NULL;
        if (ASN1_STRING_length(string) == 16)
            return inet_ntop(AF_INET6, data, text, (socklen_t)size) != NULL;
        return false;
    default:
        return false;
    }
}

void tls_names_text(X509 *certificate, char *text, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        char one[IDENTITY_NAME_BYTES];
        if (!host_text(sk_GENERAL_NAME_value(names, i), one, sizeof one))
            continue;
        size_t needed = strlen(one) + 2;
        if (used + needed + sizeof ", …" > size) {
            (void)snprintf(text + used, size - used, ", …");
            break;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", one);
    }
    if (text[0] == '\0')
        (void)snprintf(text, size, "no host name or address at all");
    GENERAL_NAMES_free(names);
}

bool tls_names_host(const X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char text[IDENTITY_NAME_BYTES];
        found = name->type == GEN_DNS
                    ? dns_text(name, text, sizeof text) && !ends_in_dot(text) && !is_address(text)
                    : host_text(name, text, sizeof text);
    }
    GENERAL_NAMES_free(names);
    return found;
}

/* Why a name with a star, which ends as the wanted one does, is not for that. */
static const char *star_reason(const char *wanted, size_t label_size, const char *rest)
{
    if (memchr(wanted, '.', label_size) != NULL)
        return "a '*' stands for one part of a name, without a dot";
    if (memchr(wanted, '_', label_size) != NULL)
        return "a '*' does not stand for a name with '_'";
    if (strchr(rest + 1, '.') == NULL)
        return "a '*' right below a top-level domain is not accepted";
    return NULL;
}

static const char *name_reason(const char *name, const char *wanted)
{
    size_t size = strlen(wanted);
    size_t rest_size = strlen(name) - 1;
    if (is_address(wanted))
        return strcasecmp(name, wanted) == 0
                   ? "it has that as a DNS name, and an address (IP:) is needed"
                   : NULL;
    if (ends_in_dot(name) && strncasecmp(name, wanted, size) == 0 && name[size] == '.')
        return "a name in a certificate must not end in a dot";
    if (strncmp(name, "*.", 2) == 0 && size > rest_size &&
        strcasecmp(wanted + size - rest_size, name + 1) == 0)
        return star_reason(wanted, size - rest_size, name + 1);
    if (strchr(name, '*') != NULL && strncmp(name, "*.", 2) != 0)
        return "a '*' is accepted only as the whole first part of a name";
    return NULL;
}

const char *tls_names_reason(X509 *certificate, const char *wanted)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    const char *reason = NULL;
    unsigned hosts = 0;
    for (int i = 0; reason == NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char text[IDENTITY_NAME_BYTES];
        hosts += name->type == GEN_DNS || name->type == GEN_IPADD;
        if (dns_text(name, text, sizeof text))
            reason = name_reason(text, wanted);
    }
    GENERAL_NAMES_free(names);
    if (reason == NULL && hosts == 0)
        reason = "a common name (CN) does not count, a subject alternative name is needed";
    return reason;
}
