#include "afar/share/pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <afar/relay.h>

#include "afar/remote.h"

enum {
    /* A connection that was silent for longer is checked: a network may drop it without notice
     * (some within minutes). */
    TRUSTED_MS = 60000,
    ASK_MS = 600 /* a client that waits for this waits for little longer */
};

/* A connection to open, or to check; and the result. */
struct job {
    struct pool_connection connection;
    bool opens;
    bool refused;
};

struct pool_thread {
    struct options options;
    struct share_key key;
    int wake_fd;
    pthread_mutex_t lock;
    pthread_cond_t some; /* there is a job, or `stop` is set */
    bool stop;           /* this and all that follows is guarded by the lock */
    int users;           /* the pool and the thread; the last one frees this */
    struct job todo[POOL_JOBS_MAX];
    size_t todo_count;
    struct job done[POOL_JOBS_MAX];
    size_t done_count;
};

/* ---- the thread ------------------------------------------------------------------------------ */

/* Opens a connection, with files read anew; the key must still be the share's. */
static bool dial(const struct pool_thread *thread, struct remote *remote, struct job *job)
{
    struct share_key key = {0};
    struct afar_error err = {0};
    struct afar_pong pong = AFAR_PONG_INIT();
    if (!remote_open(remote, &thread->options, NULL) || !share_key_make(&key, remote) ||
        !share_key_equal(&key, &thread->key)) {
        job->refused = true;
        share_key_close(&key);
        return false;
    }
    share_key_close(&key);
    enum afar_status status = remote_dial(remote, &err);
    /* With TLS 1.3 only an answer shows that the server has accepted our certificate. */
    if (status == AFAR_OK)
        status = afar_ping(remote->client, remote->connect_timeout_ms, &pong, &err);
    job->refused = status == AFAR_ETRUST || status == AFAR_EINVAL || status == AFAR_EPEER ||
                   strcmp(err.reason, "denied") == 0;
    if (status != AFAR_OK)
        return false;
    afar_keep_session(remote->client);
    (void)snprintf(job->connection.version, sizeof job->connection.version, "%s",
                   pong.server_version);
    return true;
}

static void open_one(const struct pool_thread *thread, struct job *job)
{
    struct remote remote;
    if (dial(thread, &remote, job)) {
        job->connection.client = remote.client;
        remote.client = NULL;
    }
    remote_close(&remote);
}

static void ask_one(struct job *job)
{
    struct afar_pong pong = AFAR_PONG_INIT();
    if (afar_ping(job->connection.client, ASK_MS, &pong, NULL) == AFAR_OK)
        return;
    afar_close(job->connection.client);
    job->connection.client = NULL;
}

static void free_jobs(struct job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        afar_close(jobs[i].connection.client);
}

static void free_thread(struct pool_thread *thread)
{
    if (thread->wake_fd >= 0)
        (void)close(thread->wake_fd);
    free_jobs(thread->todo, thread->todo_count);
    free_jobs(thread->done, thread->done_count);
    share_key_close(&thread->key);
    (void)pthread_cond_destroy(&thread->some);
    (void)pthread_mutex_destroy(&thread->lock);
    free(thread);
}

/* The pool or the thread no longer needs this. */
static void leave(struct pool_thread *thread)
{
    (void)pthread_mutex_lock(&thread->lock);
    thread->stop = true;
    bool last = --thread->users == 0;
    (void)pthread_cond_signal(&thread->some);
    (void)pthread_mutex_unlock(&thread->lock);
    if (last)
        free_thread(thread);
}

static bool next_job(struct pool_thread *thread, struct job *job)
{
    bool found = false;
    (void)pthread_mutex_lock(&thread->lock);
    while (thread->todo_count == 0 && !thread->stop)
        (void)pthread_cond_wait(&thread->some, &thread->lock);
    found = !thread->stop;
    if (found) {
        *job = thread->todo[0];
        thread->todo_count--;
        memmove(thread->todo, thread->todo + 1, thread->todo_count * sizeof thread->todo[0]);
    }
    (void)pthread_mutex_unlock(&thread->lock);
    return found;
}

static void *work(void *user)
{
    struct pool_thread *thread = user;
    struct job job;
    const uint64_t one = 1;
    while (next_job(thread, &job)) {
        if (job.opens)
            open_one(thread, &job);
        else
            ask_one(&job);
        (void)pthread_mutex_lock(&thread->lock);
        thread->done[thread->done_count++] = job; /* has room: add_job limits the jobs */
        (void)pthread_mutex_unlock(&thread->lock);
        if (write(thread->wake_fd, &one, sizeof one) != (ssize_t)sizeof one)
            break; /* cannot happen: the counter is far from full */
    }
    leave(thread);
    return NULL;
}

static bool add_job(struct pool *pool, const struct job *job)
{
    struct pool_thread *thread = pool->thread;
    if (pool->opening + pool->verifying >= POOL_JOBS_MAX)
        return false;
    if (job->opens)
        pool->opening++;
    else
        pool->verifying++;
    (void)pthread_mutex_lock(&thread->lock);
    thread->todo[thread->todo_count++] = *job;
    (void)pthread_cond_signal(&thread->some);
    (void)pthread_mutex_unlock(&thread->lock);
    return true;
}

/* ---- the pool -------------------------------------------------------------------------------- */

bool pool_open(struct pool *pool, const struct options *options, const struct share_key *key)
{
    pthread_t id;
    *pool = (struct pool){0};
    struct pool_thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL)
        return false;
    thread->options = *options;
    thread->users = 2;
    thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&thread->lock, NULL); /* with default attributes these cannot fail */
    (void)pthread_cond_init(&thread->some, NULL);
    if (thread->wake_fd < 0 || !share_key_copy(&thread->key, key) ||
        pthread_create(&id, NULL, work, thread) != 0) {
        free_thread(thread);
        return false;
    }
    (void)pthread_detach(id);
    pool->thread = thread;
    return true;
}

void pool_close(struct pool *pool)
{
    for (size_t i = 0; i < pool->count; i++)
        afar_close(pool->idle[i].client);
    pool->count = 0;
    leave(pool->thread);
    pool->thread = NULL;
}

void pool_want(struct pool *pool, size_t count)
{
    const struct job job = {.opens = true};
    while (count > 0 && pool->count + pool->opening + pool->verifying < POOL_IDLE_MAX &&
           add_job(pool, &job))
        count--;
}

bool pool_is_empty(const struct pool *pool)
{
    return pool->count + pool->opening + pool->verifying == 0;
}

/* Removes one of the idle connections, and returns it. */
static struct pool_connection remove_idle(struct pool *pool, size_t at)
{
    const struct pool_connection connection = pool->idle[at];
    pool->count--;
    memmove(pool->idle + at, pool->idle + at + 1, (pool->count - at) * sizeof pool->idle[0]);
    return connection;
}

/* True if nothing has come, not even the end. */
static bool is_silent(struct afar_client *client)
{
    char byte = 0;
    size_t received = 0;
    return afar_relay_receive(client, &byte, sizeof byte, &received, NULL) == AFAR_EAGAIN;
}

bool pool_take(struct pool *pool, struct pool_connection *connection, int64_t now_ms, bool *later)
{
    *later = pool->verifying > 0;
    while (pool->count > 0) {
        *connection = remove_idle(pool, pool->count - 1);
        if (!is_silent(connection->client)) {
            afar_close(connection->client);
            continue;
        }
        if (now_ms - connection->heard_ms < TRUSTED_MS)
            return true;
        const struct job job = {.connection = *connection};
        if (add_job(pool, &job))
            *later = true;
        else
            afar_close(connection->client);
    }
    *connection = (struct pool_connection){0};
    return false;
}

void pool_give_back(struct pool *pool, struct pool_connection *connection, int64_t now_ms)
{
    if (pool->count < POOL_IDLE_MAX) {
        connection->heard_ms = now_ms;
        pool->idle[pool->count++] = *connection;
    } else {
        afar_close(connection->client);
    }
    *connection = (struct pool_connection){0};
}

int pool_fd(const struct pool *pool)
{
    return pool->thread->wake_fd;
}

void pool_collect(struct pool *pool, int64_t now_ms)
{
    struct pool_thread *thread = pool->thread;
    struct job done[POOL_JOBS_MAX];
    uint64_t times = 0;
    (void)!read(thread->wake_fd, &times, sizeof times);
    (void)pthread_mutex_lock(&thread->lock);
    size_t count = thread->done_count;
    memcpy(done, thread->done, count * sizeof done[0]);
    thread->done_count = 0;
    (void)pthread_mutex_unlock(&thread->lock);
    for (size_t i = 0; i < count; i++) {
        if (done[i].opens) {
            pool->opening--;
            pool->failed = done[i].connection.client == NULL;
            pool->refused = pool->refused || done[i].refused;
        } else {
            pool->verifying--;
        }
        if (done[i].connection.client != NULL)
            pool_give_back(pool, &done[i].connection, now_ms);
    }
}

void pool_watch(const struct pool *pool, struct pollfd watched[POOL_IDLE_MAX])
{
    for (size_t i = 0; i < pool->count; i++)
        watched[i] = (struct pollfd){.fd = afar_fd(pool->idle[i].client), .events = POLLIN};
}

void pool_check(struct pool *pool, const struct pollfd watched[POOL_IDLE_MAX])
{
    for (size_t i = pool->count; i-- > 0;) {
        if (watched[i].revents == 0 || is_silent(pool->idle[i].client))
            continue;
        struct pool_connection gone = remove_idle(pool, i);
        afar_close(gone.client);
    }
}
