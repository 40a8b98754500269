/* An afard with TLS, and a folder of shares for the clients of one test.
 *
 * Owns:    the server, until sharing_close.
 * Threads: one.
 * Blocks:  sharing_expect_…: at most until test_deadline_ms; then the test fails.
 * Limits:  none. */
#ifndef SUPPORT_SHARING_H
#define SUPPORT_SHARING_H

#include "support/afard.h"

enum { SHARING_PATH_BYTES = 160 };

struct sharing {
    struct afard server;
    char folder[96];                  /* used as XDG_RUNTIME_DIR */
    char starts[96];                  /* gets a line each time that `counted` begins */
    char counted[SHARING_PATH_BYTES]; /* a shell line: prints "ready", then copies its input */
};

/* Starts the server and sets XDG_RUNTIME_DIR in the environment. Both return 0, or another value on
 * failure. */
int sharing_open(struct sharing *sharing);
int sharing_close(struct sharing *sharing);

/* Ends all shares. Returns 0, or another value on failure. */
int sharing_stop(struct sharing *sharing);

/* How many shares `afar share --list` prints; *pid: the process of the last one. */
unsigned sharing_count(pid_t *pid);

/* Waits until there is one share; returns its process. */
pid_t sharing_expect_one(void);

/* sharing_expect_connections waits until the server has `count` connections. sharing_accepted: how
 * many it has accepted in all. */
void sharing_expect_connections(const struct afard *server, double count);
double sharing_accepted(const struct afard *server);

/* How many files have this extension (NULL: any); `path`: the last one's path, unless NULL. */
unsigned sharing_files(const struct sharing *sharing, char path[SHARING_PATH_BYTES],
                       const char *end);

/* Starts `afar run --share IDLE` with a shell line. */
void sharing_start(const struct sharing *sharing, struct program *program, const char *idle,
                   const char *line);

/* Runs it to its end: status and output must be these. All output is read, so a share that holds it
 * open is detected. */
void sharing_run(const struct sharing *sharing, const char *idle, const char *line,
                 const char *output, int status);

/* Starts a share and waits for its connections; returns how many the server has accepted by
 * then. */
double sharing_warm(const struct sharing *sharing, pid_t *pid);

/* Expects that `counted` has begun once. */
void sharing_expect_one_start(const struct sharing *sharing);

/* Pauses shortly; true if the deadline has passed. */
bool sharing_is_late(int64_t deadline_ms);

#endif
