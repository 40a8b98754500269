#include <afar/keygen.h>

#include <stdio.h>

#include "client/client.h"
#include "client/sized.h"
#include "tls/keygen.h"

_Static_assert((int)AFAR_PIN_BYTES == (int)TLS_PIN_BYTES &&
                   (int)AFAR_NAME_MAX_BYTES == (int)TLS_COMMON_NAME_MAX_BYTES &&
                   (int)AFAR_KEY_DAYS_MAX == (int)TLS_KEY_DAYS_MAX,
               "what the header promises is what is made");

enum afar_status afar_keygen(struct afar_identity *identity,
                             const struct afar_keygen_options *options, struct afar_error *err)
{
    struct afar_keygen_options given;
    struct afar_identity result = AFAR_IDENTITY_INIT();
    struct tls_identity made = {0};
    struct afar_error why = {0};
    enum afar_status status = sized_clear(identity, "afar_identity", &why);
    if (status == AFAR_OK)
        status = sized_take(&given, sizeof given, options, "afar_keygen_options", &why);
    if (status != AFAR_OK)
        return client_tell(status, &why, err);
    const struct tls_keygen_options wanted = {
        .name = given.name, .hosts = given.hosts, .days = given.days};
    status = tls_keygen(&made, &wanted, &why);
    if (status != AFAR_OK)
        return client_tell(status, &why, err);
    result.cert_pem = made.cert_pem;
    result.key_pem = made.key_pem;
    (void)snprintf(result.pin, sizeof result.pin, "%s", made.pin);
    sized_give(identity, &result, sizeof result);
    return AFAR_OK;
}

void afar_identity_close(struct afar_identity *identity)
{
    if (identity == NULL)
        return;
    struct tls_identity made = {.cert_pem = identity->cert_pem, .key_pem = identity->key_pem};
    tls_identity_close(&made);
    (void)sized_clear(identity, "afar_identity", NULL);
}

enum afar_status afar_pin(const char *cert_file, char pin[AFAR_PIN_BYTES], struct afar_error *err)
{
    struct afar_error why = {0};
    return client_tell(tls_file_pin(cert_file, pin, &why), &why, err);
}
