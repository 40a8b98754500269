#include "bench/clock.h"

#include <poll.h>
#include <stdio.h>
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

void clock_true_end(struct afar_client *client)
{
    struct afar_error err;
    clock_check(afar_wait(client, CLOCK_PATIENCE_MS, &err), &err);
    if (afar_exit_status(afar_receipt(client)) != 0)
        clock_give_up("true", "did not end with status 0");
}

enum { JOB_BYTES = 33 };

static void note_started(void *user, const char *job)
{
    (void)snprintf(user, JOB_BYTES, "%s", job);
}

void clock_begin(struct afar_client *client, const struct afar_command *command, char *job)
{
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_started = note_started, .user = job);
    struct afar_error err;
    job[0] = '\0';
    clock_check(afar_start(client, command, &callbacks, &err), &err);
    clock_check(afar_process(client, &err), &err);
    while (job[0] == '\0') {
        struct pollfd one = {.fd = afar_fd(client), .events = afar_events(client)};
        if (poll(&one, 1, CLOCK_PATIENCE_MS) == 0)
            clock_give_up("afar", "a command does not start");
        clock_check(afar_process(client, &err), &err);
    }
}
