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

#include "afar/hosts.h"
#include "afar/jump.h"
#include "afar/options.h"
#include "afar/paths.h"
#include "afar/trust.h"

/* How to reach it otherwise. */
struct remote_route {
    int family;                /* 4 or 6; 0: either */
    const char *local_address; /* NULL: any */
    /* Makes a connected stream that leads there; -1: it has been said why there is none. NULL: the
     * URL is dialled. */
    int (*open)(void *user);
    /* After a stream of that kind was of no use: whoever made it has said why. NULL: it has not. */
    bool (*has_said)(void *user);
    void *user;
};

struct remote {
    const char *host;  /* as the user wrote it, for messages */
    struct host entry; /* of the file of hosts, where the user wrote a name */
    char *url;         /* with the protocol that was asked for */
    int64_t connect_timeout_ms;
    int64_t silence_ms;   /* -1: the library's */
    int64_t reconnect_ms; /* a lost connection is tried again for so long; 0: it is not */
    const struct remote_route *route; /* NULL: the URL is dialled */
    int64_t share_ms;        /* a share is begun, which ends when idle for so long; 0: none */
    bool share_joins;        /* one that is there is used, also where none is begun */
    bool shared;             /* the connection is one that a share has handed out */
    struct options asked;    /* for the jump host: its lists are the caller's */
    struct jump jump;        /* by the entry's `via`, … */
    struct remote_route via; /* … and then this is the route */
    bool request_follows;    /* set before connecting: as afar_route's */
    bool secure;             /* it needs credentials: */
    struct credential_paths paths;
    struct trust trust; /* asked where neither a CA nor a pin decides */
    struct afar_context *context;
    struct afar_client *client; /* NULL: not connected */
};

/* What the file of hosts says of sharing, where *share_ms is -1. False: it has been said what is
 * wrong. */
bool remote_take_share(int64_t *share_ms, const struct host *entry);

/* The struct must stay where it is until remote_close. Reads the credentials, where the URL needs
 * any. `assumed`: the protocol where neither the URL nor
 * --protocol names one; NULL: afar. False: it has been said why. */
bool remote_open(struct remote *remote, const struct options *options, const char *assumed);
void remote_close(struct remote *remote);

/* Connects, unless that has been done. False: it has been said why. */
bool remote_connect(struct remote *remote);

/* One attempt to connect to the server itself; the client is in *remote. Says nothing; as
 * afar_connect_by. */
enum afar_status remote_dial(struct remote *remote, struct afar_error *err);

/* In a child process: the connection stays the parent's. */
void remote_forget_connection(struct remote *remote);

/* What afar_resume's `stream` is to be; 0: the URL is dialled. */
int remote_stream(const struct remote *remote);

/* Credentials are read anew for the next connection; where they cannot be, the old ones stay. False:
 * there are none, as has been said. */
bool remote_renew(struct remote *remote);

/* Closes a connection that is of no use any more. */
void remote_disconnect(struct remote *remote);

/* Whether the URL is for one of the tutorial's shell protocols, sized or headed. */
bool remote_is_shell(const struct remote *remote);

#endif
