#include <afar/keygen.h>

#include <stdio.h>

#include "net/tls_keygen.h"

_Static_assert((int)AFAR_PIN_BYTES == (int)TLS_PIN_BYTES &&
                   (int)AFAR_NAME_MAX_BYTES == (int)TLS_COMMON_NAME_MAX_BYTES &&
                   (int)AFAR_KEY_DAYS_MAX == (int)TLS_KEY_DAYS_MAX,
               "what the header promises is what is made");

enum afar_status afar_keygen(struct afar_identity *identity,
                             const struct afar_keygen_options *options, struct afar_error *err)
{
    const struct tls_keygen_options wanted = {
        .name = options->name, .hosts = options->hosts, .days = options->days};
    struct tls_identity made = {0};
    *identity = (struct afar_identity){0};
    enum afar_status status = tls_keygen(&made, &wanted, err);
    if (status != AFAR_OK)
        return status;
    identity->cert_pem = made.cert_pem;
    identity->key_pem = made.key_pem;
    (void)snprintf(identity->pin, sizeof identity->pin, "%s", made.pin);
    return AFAR_OK;
}

void afar_identity_close(struct afar_identity *identity)
{
    struct tls_identity made = {.cert_pem = identity->cert_pem, .key_pem = identity->key_pem};
    tls_identity_close(&made);
    *identity = (struct afar_identity){0};
}

enum afar_status afar_pin(const char *cert_file, char pin[AFAR_PIN_BYTES], struct afar_error *err)
{
    return tls_file_pin(cert_file, pin, err);
}
