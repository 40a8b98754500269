/* A real afard over TLS, TCP and HTTP whose clients are far away: for tests of windows that grow.
 *
 * Owns:    the server and the relay, until distant_stop.
 * Threads: one, and the relay's (support/far.h).
 * Blocks:  as support/program.h.
 * Limits:  those of support/afard.h and support/far.h. */
#ifndef SUPPORT_DISTANT_H
#define SUPPORT_DISTANT_H

#include "support/afard.h"
#include "support/far.h"

enum { DISTANT_ONE_WAY_US = 50000 };

struct distant {
    struct afard server; /* url[0]: tls, url[1]: tcp, neither over the relay */
    struct far *far;
    char url[64]; /* over TLS and the relay */
};

/* `max` and `total`: "window_max_bytes=…" and "window_total_bytes=…"; `more`: further settings, such
 * as "heartbeat_ms=1000", NULL-terminated. */
void distant_start(struct distant *distant, const char *max, const char *total,
                   const char *const *more);

/* Returns the server's exit status. */
int distant_stop(struct distant *distant);

/* Starts a line of shell in the server's folder, in which $AFAR is the client, $URL the way over the
 * relay, and $NEAR the one beside it. */
void distant_begin(const struct distant *distant, struct program *program, const char *line);

/* Without waiting, and without reaping it. */
bool distant_has_ended(const struct program *program);

/* It must end with status 0. */
void distant_end(struct program *program);
void distant_run(const struct distant *distant, const char *line);

/* What windows have grown by now, and how often they have. */
double distant_grown_bytes(const struct distant *distant);
double distant_times_grown(const struct distant *distant);

/* Waits until all of it has been given back. */
void distant_expect_none_grown(const struct distant *distant);

/* Runs a line that prints "same", and cuts the way up to three times while windows are large. */
void distant_cut_often(const struct distant *distant, const char *line);

#endif
