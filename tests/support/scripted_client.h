/* A client whose server is a script: for the unit tests of src/client/.
 *
 * Owns:    client and script.
 * Threads: one.
 * Blocks:  never.
 * Limits:  support/script.h's. */
#ifndef SUPPORT_SCRIPTED_CLIENT_H
#define SUPPORT_SCRIPTED_CLIENT_H

#include "client/client.h"
#include "support/script.h"
#include "support/slow_reader.h"

struct scripted_client {
    struct script script;
    struct afar_client *client;
    struct slow_reader reader;
    struct afar_error err;
};

/* cmocka's setup and teardown; *state is the struct. */
int scripted_client_setup(void **state);
int scripted_client_teardown(void **state);

/* Sends a request for the command "x" (id 1, 2, … in turn), which is then taken out of what the
 * client sent. */
void scripted_client_start(struct scripted_client *it, bool with_stdin, bool with_digest);

/* The same, and the server's "started" with this window. */
void scripted_client_run(struct scripted_client *it, bool with_stdin, unsigned window);

enum afar_status scripted_client_process(struct scripted_client *it);

#endif
