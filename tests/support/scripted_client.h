/* A client whose server is a script: for the unit tests of src/client/.
 *
 * Owns:    the client and the script.
 * Threads: one.
 * Blocks:  never.
 * Limits:  those of support/script.h. */
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

/* Setup and teardown for cmocka; *state is the struct. */
int scripted_client_setup(void **state);
int scripted_client_teardown(void **state);

/* Requests the command "x" (ids 1, 2, …), and takes the request out of what the client has sent. */
void scripted_client_start(struct scripted_client *it, bool with_stdin, bool with_digest);

/* The same; then the server sends "started" with this window. */
void scripted_client_run(struct scripted_client *it, bool with_stdin, unsigned window);

enum afar_status scripted_client_process(struct scripted_client *it);

#endif
