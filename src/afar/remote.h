/* The server that a subcommand talks to: its URL, the credentials, the connection.
 *
 * Owns:    the URL, the context and the connection (remote_close).
 * Threads: one.
 * Blocks:  remote_connect, until connected or --connect-timeout; where it has a question, until
 *          that is answered.
 * Limits:  none. */
#ifndef AFAR_REMOTE_H
#define AFAR_REMOTE_H

#include <stdbool.h>

#include <afar/afar.h>

#include "afar/options.h"
#include "afar/paths.h"
#include "afar/trust.h"

struct remote {
    const char *host; /* as the user wrote it, for messages */
    char *url;        /* with the protocol that was asked for */
    int64_t connect_timeout_ms;
    int64_t silence_ms;   /* -1: the library's */
    int64_t reconnect_ms; /* a lost connection is tried again for so long; 0: it is not */
    bool secure;          /* it needs credentials: */
    struct credential_paths paths;
    struct trust trust; /* asked where neither a CA nor a pin decides */
    struct afar_context *context;
    struct afar_client *client; /* NULL: not connected */
};

/* The struct must stay where it is until remote_close. Reads the credentials, where the URL needs
 * any. `assumed`: the protocol where neither the URL nor
 * --protocol names one; NULL: afar. False: it has been said why. */
bool remote_open(struct remote *remote, const struct options *options, const char *assumed);
void remote_close(struct remote *remote);

/* Connects, unless that has been done. False: it has been said why. */
bool remote_connect(struct remote *remote);

/* Credentials are read anew for the next connection; where they cannot be, the old ones stay. */
void remote_renew(struct remote *remote);

/* Closes a connection that is of no use any more. */
void remote_disconnect(struct remote *remote);

/* Whether the URL is for one of the tutorial's shell protocols, sized or headed. */
bool remote_is_shell(const struct remote *remote);

#endif
