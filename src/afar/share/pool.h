/* Connections that wait for a client: opened, and asked whether they are still good, by a thread,
 * because both wait for the server.
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
    char version[POOL_VERSION_BYTES]; /* of the server */
    int64_t heard_ms;                 /* when it was last known to be good */
};

struct pool_thread;

struct pool {
    struct pool_connection idle[POOL_IDLE_MAX]; /* the newest last */
    size_t count;
    size_t opening;   /* under way */
    size_t verifying; /* likewise */
    bool failed;      /* the last that was opened could not be */
    bool refused; /* … because one of the two does not accept the other, or the key has changed */
    struct pool_thread *thread;
};

/* Opens as `options` say, for as long as the key is this one. Both are copied; what the options point
 * to is the process's. False: out of memory. */
bool pool_open(struct pool *pool, const struct options *options, const struct share_key *key);

/* The thread may wait for a server for a while; then it ends. */
void pool_close(struct pool *pool);

/* Begins to open so many more, as far as they may wait here. */
void pool_want(struct pool *pool, size_t count);

/* There is none, and none is under way. */
bool pool_is_empty(const struct pool *pool);

/* One that was heard of lately, or false: then *later says that one is being asked just now, or was
 * sent to be. */
bool pool_take(struct pool *pool, struct pool_connection *connection, int64_t now_ms, bool *later);

/* One whose client has gone, and which is good (*moved*). */
void pool_give_back(struct pool *pool, struct pool_connection *connection, int64_t now_ms);

/* Readable where the thread has something: then pool_collect. */
int pool_fd(const struct pool *pool);
void pool_collect(struct pool *pool, int64_t now_ms);

/* What to poll of those that wait, `count` of them; and then, with the answers. The server says
 * nothing to one that waits, unless it closes it. */
void pool_watch(const struct pool *pool, struct pollfd watched[POOL_IDLE_MAX]);
void pool_check(struct pool *pool, const struct pollfd watched[POOL_IDLE_MAX]);

#endif
