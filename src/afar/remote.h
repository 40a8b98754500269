/* The server that a subcommand talks to: its URL, the credentials, the connection.
 *
 * Owns:    the URL, the context, the connection, and a jump host's process (remote_close).
 * Threads: one.
 * Blocks:  remote_connect: until connected, for --connect-timeout at most; and until the user has
 *          answered a question.
 * Limits:  none. */
#ifndef AFAR_REMOTE_H
#define AFAR_REMOTE_H

#include <stdbool.h>

#include <afar/afar.h>

#include "afar/hosts.h"
#include "afar/jump.h"
#include "afar/options.h"
#include "afar/paths.h"
#include "afar/trust.h"

/* How to reach a server otherwise than by dialling its URL. */
struct remote_route {
    int family;                /* 4 or 6; 0: either */
    const char *local_address; /* NULL: any */
    /* Returns a connected stream to the server; -1: the reason was reported. NULL: the URL is
     * dialled. */
    int (*open)(void *user);
    /* After connecting over such a stream has failed: true if its maker has reported why. NULL: it
     * has not. */
    bool (*has_said)(void *user);
    void *user;
};

struct remote {
    const char *host;  /* as the user wrote it, for messages */
    struct host entry; /* from the file of hosts, if the user wrote a name */
    char *url;         /* with the wanted protocol */
    int64_t connect_timeout_ms;
    int64_t reply_timeout_ms;         /* for the tutorial's protocols; 0: none */
    int64_t silence_ms;               /* -1: the library's */
    int64_t reconnect_ms;             /* how long to retry a lost connection; 0: not at all */
    const struct remote_route *route; /* NULL: the URL is dialled */
    int64_t share_ms;                 /* start a share that ends when idle this long; 0: do not */
    bool share_joins;                 /* use an existing share, even if share_ms is 0 */
    bool shared;                      /* the connection came from a share */
    struct options asked;             /* the options for the jump host; its lists are borrowed */
    struct jump jump;                 /* if the entry has `via`: the jump host … */
    struct remote_route via;          /* … and the route through it */
    bool request_follows;             /* set before connecting: see struct afar_route */
    bool tries_again;                 /* does not report that the server was not reached */
    bool secure;                      /* it is TLS, and needs credentials */
    struct credential_paths paths;
    struct trust trust; /* asked if neither a CA nor a pin decides */
    struct afar_context *context;
    struct afar_client *client; /* NULL: not connected */
};

/* If *share_ms is -1, sets it from the host's entry. False: a bad value was reported. */
bool remote_take_share(int64_t *share_ms, const struct host *entry);

/* Finds the host's entry and the credentials. `assumed`: the protocol if neither the URL nor
 * --protocol names one; NULL: afar. The struct must not be moved until remote_close, which is
 * needed in any case. False: the reason was reported. */
bool remote_open(struct remote *remote, const struct options *options, const char *assumed);
void remote_close(struct remote *remote);

/* Connects, unless connected. False: the reason was reported. */
bool remote_connect(struct remote *remote);

/* Tries once to connect to the server itself, without a share; the client is in *remote. Reports
 * nothing. Errors: as afar_connect_by. */
enum afar_status remote_dial(struct remote *remote, struct afar_error *err);

/* In a child process: closes the copy of the connection, which stays the parent's. */
void remote_forget_connection(struct remote *remote);

/* The `stream` for afar_resume; 0: dial the URL; -1: none, and the reason was reported. */
int remote_stream(const struct remote *remote);

/* Reads the credentials again for the next connection; if that fails, keeps the old ones. False:
 * there are none, which was reported. */
bool remote_renew(struct remote *remote);

/* Closes a connection that is no longer usable. */
void remote_disconnect(struct remote *remote);

/* True if the URL is for one of the tutorial's shell protocols, sized or headed. */
bool remote_is_shell(const struct remote *remote);

#endif
