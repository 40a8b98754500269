#include <stdlib.h>

#include "client/client.h"

void afar_begin_program(void)
{
    tls_program_begin();
}

enum afar_status afar_context_new(struct afar_context **context,
                                  const struct afar_credentials *credentials,
                                  struct afar_error *err)
{
    *context = NULL;
    struct afar_context *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a context");
    enum afar_status status = AFAR_OK;
    if (credentials != NULL) {
        const struct tls_client_options options = {.ca_file = credentials->ca_file,
                                                   .cert_file = credentials->cert_file,
                                                   .key_file = credentials->key_file,
                                                   .pin = credentials->pin,
                                                   .trust = credentials->trust,
                                                   .trust_user = credentials->trust_user,
                                                   .defer = credentials->session_folder != NULL};
        status = session_files_init(&made->sessions, credentials, err);
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

void afar_context_free(struct afar_context *context)
{
    if (context == NULL)
        return;
    tls_context_free(context->tls);
    session_files_close(&context->sessions);
    free(context);
}
