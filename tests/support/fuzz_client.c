#include "support/fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "support/script.h"

enum { TURNS_MAX = 10000 };

static void require(bool promise)
{
    if (!promise)
        abort();
}

static size_t take(void *user, const void *data, size_t size)
{
    size_t *taken = user;
    (void)data;
    *taken += size;
    return size;
}

static void show(void *user, const char *json)
{
    (void)user;
    require(json[0] == '{' && strchr(json, '\n') == NULL);
}

/* Until there is no more data, the run has ended, or the connection is unusable. */
static enum afar_status run(struct afar_client *client)
{
    enum afar_status status = AFAR_OK;
    struct afar_error err;
    for (int i = 0; i < TURNS_MAX && status == AFAR_OK && afar_receipt(client) == NULL; i++) {
        status = afar_process(client, &err);
        require(status == AFAR_OK || err.message[0] != '\0');
    }
    return status;
}

void fuzz_client(const uint8_t *data, size_t size)
{
    static const char *const argv[] = {"x", NULL};
    struct script script;
    struct afar_client *client = NULL;
    size_t taken = 0;
    if (size == 0)
        return;
    const struct afar_command command =
        AFAR_COMMAND_INIT(.argv = argv, .with_stdin = (data[0] & 1) != 0,
                          .with_digest = (data[0] & 2) != 0);
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_stdout = take, .on_stderr = take,
                            .on_frame = (data[0] & 4) != 0 ? show : NULL, .user = &taken);
    script_init(&script);
    script.piece = (size_t)data[0] >> 3;
    require(afar_client_new_on_transport(&client, script_transport(&script), "it", NULL) ==
            AFAR_OK);
    require(afar_start(client, &command, &callbacks, NULL) == AFAR_OK);
    script_bytes(&script, data + 1, size - 1);
    script.at_end = AFAR_ECLOSED;
    enum afar_status status = run(client);
    /* There is no success without a receipt, and the receipt counts the delivered bytes. */
    require(status != AFAR_OK || afar_receipt(client) != NULL);
    const struct afar_receipt *receipt = afar_receipt(client);
    require(status == AFAR_OK || status == AFAR_EREFUSED || receipt == NULL);
    require(receipt == NULL || receipt->outcome == AFAR_OUTCOME_SERVER_LOST ||
            receipt->stdout_bytes + receipt->stderr_bytes == taken);
    afar_close(client);
    script_close(&script);
}
