#include "bench/clock.h"

#include <stdlib.h>

struct afar_context *clock_context(void)
{
    static struct afar_context *context; /* for all connections, until the program ends */
    const struct afar_credentials credentials =
        AFAR_CREDENTIALS_INIT(.ca_file = getenv("AFAR_CA"), .cert_file = getenv("AFAR_CERT"),
                              .key_file = getenv("AFAR_KEY"));
    struct afar_error err;
    if (context == NULL)
        clock_check(afar_context_new(&context, &credentials, &err), &err);
    return context;
}

struct afar_client *clock_dial(const char *url)
{
    struct afar_client *client = NULL;
    struct afar_error err;
    clock_check(afar_connect(&client, clock_context(), url, CLOCK_PATIENCE_MS, &err), &err);
    return client;
}

void clock_check(enum afar_status status, const struct afar_error *err)
{
    if (status != AFAR_OK)
        clock_give_up("afar", err->message);
}

void clock_true_begin(struct afar_client *client)
{
    static const char *const words[] = {"/bin/true", NULL};
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = words);
    const struct afar_callbacks callbacks = AFAR_CALLBACKS_INIT();
    struct afar_error err;
    clock_check(afar_start(client, &command, &callbacks, &err), &err);
}
