#include "support/scripted_client.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

int scripted_client_setup(void **state)
{
    struct scripted_client *it = calloc(1, sizeof *it);
    assert_non_null(it);
    script_init(&it->script);
    assert_int_equal(afar_client_new_on_transport(&it->client, script_transport(&it->script),
                                                  "tcp://there:1", &it->err),
                     AFAR_OK);
    *state = it;
    return 0;
}

int scripted_client_teardown(void **state)
{
    struct scripted_client *it = *state;
    afar_close(it->client);
    assert_true(it->script.freed);
    script_close(&it->script);
    free(it);
    return 0;
}

void scripted_client_start(struct scripted_client *it, bool with_stdin, bool with_digest)
{
    static const char *const argv[] = {"x", NULL};
    const struct afar_command command =
        AFAR_COMMAND_INIT(.argv = argv, .with_stdin = with_stdin, .with_digest = with_digest);
    const struct afar_callbacks callbacks = slow_reader_callbacks(&it->reader, 1);
    assert_int_equal(afar_start(it->client, &command, &callbacks, &it->err), AFAR_OK);
    assert_int_equal(script_count(&it->script, MESSAGE_EXEC, NULL), 1);
}

void scripted_client_run(struct scripted_client *it, bool with_stdin, unsigned window)
{
    char header[128];
    scripted_client_start(it, with_stdin, false);
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"started\",\"id\":%u,\"job\":\"j\",\"window\":%u}",
                   (unsigned)it->client->last_id, window);
    script_frame(&it->script, header);
    assert_int_equal(scripted_client_process(it), AFAR_OK);
    assert_int_equal(it->reader.started, 1);
}

enum afar_status scripted_client_process(struct scripted_client *it)
{
    return afar_process(it->client, &it->err);
}
