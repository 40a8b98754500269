/* An afard with TLS, and a folder of shares for the clients of one test.
 *
 * Owns:    the server, until sharing_close.
 * Threads: one.
 * Blocks:  sharing_expect_…: until test_deadline_ms at most; then the test fails.
 * Limits:  none. */
#ifndef SUPPORT_SHARING_H
#define SUPPORT_SHARING_H

#include "support/afard.h"

enum { SHARING_PATH_BYTES = 160 };

struct sharing {
    struct afard server;
    char folder[96];                  /* XDG_RUNTIME_DIR */
    char starts[96];                  /* a line for each time that the next one began */
    char counted[SHARING_PATH_BYTES]; /* says "ready", then what it is given */
};

/* With XDG_RUNTIME_DIR in the environment. 0, or not. */
int sharing_open(struct sharing *sharing);
int sharing_close(struct sharing *sharing);

/* Ends all shares. 0, or not. */
int sharing_stop(struct sharing *sharing);

/* How many `afar share --list` names; the last one's process in *pid. */
unsigned sharing_count(pid_t *pid);

/* Waits until there is one: its process. */
pid_t sharing_expect_one(void);

/* Waits until the server has so many connections; and how many it has ever had. */
void sharing_expect_connections(const struct afard *server, double count);
double sharing_accepted(const struct afard *server);

/* How many files with this end (NULL: any) there are; the last one's name in `path`, unless NULL. */
unsigned sharing_files(const struct sharing *sharing, char path[SHARING_PATH_BYTES],
                       const char *end);

/* `afar run --share IDLE` of a line for the shell. */
void sharing_start(const struct sharing *sharing, struct program *program, const char *idle,
                   const char *line);

/* To its end, which must be this; all output is read: a share that holds it would be noticed. */
void sharing_run(const struct sharing *sharing, const char *idle, const char *line,
                 const char *output, int status);

/* Begins a share, and waits for its connections; how many the server has accepted then. */
double sharing_warm(const struct sharing *sharing, pid_t *pid);

/* The counted line has begun once. */
void sharing_expect_one_start(const struct sharing *sharing);

/* A moment later: whether it is too late. */
bool sharing_is_late(int64_t deadline_ms);

#endif
