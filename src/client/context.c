#include <stdlib.h>

#include "client/client.h"
#include "client/sized.h"

void afar_begin_program(void)
{
    tls_program_begin();
}

static enum afar_status make(struct afar_context **context,
                             const struct afar_credentials *credentials, struct afar_error *err)
{
    struct afar_credentials given;
    if (credentials != NULL &&
        sized_take(&given, sizeof given, credentials, "afar_credentials", err) != AFAR_OK)
        return AFAR_EINVAL;
    struct afar_context *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a context");
    enum afar_status status = AFAR_OK;
    if (credentials != NULL) {
        const struct tls_client_options options = {
            .ca_file = given.ca_file,
            .cert_file = given.cert_file,
            .key_file = given.key_file,
            .pin = given.pin,
            .trust = given.trust_alone != NULL ? given.trust_alone : given.trust,
            .trust_user = given.trust_user,
            .trust_alone = given.trust_alone != NULL,
            .defer = given.session_folder != NULL};
        status = session_files_init(&made->sessions, &given, err);
        if (status == AFAR_OK)
            status = tls_context_client_new(&made->tls, &options, err);
    }
    if (status != AFAR_OK) {
        afar_context_free(made);
        return status;
    }
    *context = made;
    return AFAR_OK;
}

enum afar_status afar_context_new(struct afar_context **context,
                                  const struct afar_credentials *credentials,
                                  struct afar_error *err)
{
    struct afar_error why = {0};
    *context = NULL;
    return client_tell(make(context, credentials, &why), &why, err);
}

void afar_context_free(struct afar_context *context)
{
    if (context == NULL)
        return;
    tls_context_free(context->tls);
    session_files_close(&context->sessions);
    free(context);
}
