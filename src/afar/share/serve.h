/* The share itself: one process for one key, which gives a connection to each client that comes.
 *
 * Owns:    everything, while it runs.
 * Threads: one, and the pool's.
 * Blocks:  until it was idle for as long as `options` say; or TERM comes; or, once its clients are
 *          gone, after USR1, or if the key has changed.
 * Limits:  SERVE_CLIENTS_MAX; further clients are closed, and dial the server themselves. */
#ifndef AFAR_SHARE_SERVE_H
#define AFAR_SHARE_SERVE_H

#include "afar/options.h"

enum { SERVE_CLIENTS_MAX = 64 };

/* Returns the program's exit status. */
int share_serve(const struct options *options);

#endif
