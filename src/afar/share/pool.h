/* Idle connections that wait for a client. A thread opens them and checks by a ping that they still
 * work, because both wait for the server.
 *
 * Owns:    the connections until they are taken.
 * Threads: one owner, and one of its own.
 * Blocks:  never; the thread does, for the time to connect.
 * Limits:  POOL_IDLE_MAX connections, POOL_JOBS_MAX under way. */
#ifndef AFAR_SHARE_POOL_H
#define AFAR_SHARE_POOL_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "afar/options.h"
#include "afar/share/key.h"

enum { POOL_IDLE_MAX = 4, POOL_JOBS_MAX = 8, POOL_VERSION_BYTES = 32 };

struct pool_connection {
    struct afar_client *client;       /* NULL: none */
    char version[POOL_VERSION_BYTES]; /* the server's */
    int64_t heard_ms;                 /* when it was last known to work */
};

struct pool_thread;

struct pool {
    struct pool_connection idle[POOL_IDLE_MAX]; /* the newest last */
    size_t count;
    size_t opening;   /* connections being opened */
    size_t verifying; /* connections being checked */
    bool failed;      /* the last attempt to open one failed */
    bool refused;     /* … because one side rejects the other, or the key has changed */
    struct pool_thread *thread;
};

/* Starts the thread. It opens connections as `options` say, while the key made from them is `key`.
 * Both are copied, but strings in the options are borrowed for the life of the process. False: out
 * of memory, or no thread. */
bool pool_open(struct pool *pool, const struct options *options, const struct share_key *key);

/* Closes the connections. The thread ends when it no longer waits for a server. */
void pool_close(struct pool *pool);

/* Begins to open up to `count` more connections, within the limits. */
void pool_want(struct pool *pool, size_t count);

/* True if there is no connection, and none being opened or checked. */
bool pool_is_empty(const struct pool *pool);

/* Takes a connection that was known to work recently. False: none; then *later says that one is
 * being checked. */
bool pool_take(struct pool *pool, struct pool_connection *connection, int64_t now_ms, bool *later);

/* Takes back a working connection whose client is gone. *connection is reset; the connection is
 * closed if there is no room. */
void pool_give_back(struct pool *pool, struct pool_connection *connection, int64_t now_ms);

/* Readable when the thread has results: then call pool_collect. */
int pool_fd(const struct pool *pool);
void pool_collect(struct pool *pool, int64_t now_ms);

/* pool_watch fills `watched` with what to poll for the `count` idle connections; pool_check takes
 * the results, and closes a connection on which anything has come: a server sends nothing on an
 * idle one except its end. */
void pool_watch(const struct pool *pool, struct pollfd watched[POOL_IDLE_MAX]);
void pool_check(struct pool *pool, const struct pollfd watched[POOL_IDLE_MAX]);

#endif
