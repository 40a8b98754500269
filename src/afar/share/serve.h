/* The share itself: one process for one key, which hands a connection to each client that comes.
 *
 * Owns:    all of it, while it runs.
 * Threads: one, and the pool's.
 * Blocks:  until it has been idle for as long as `options` say, is ended by TERM or, once its
 *          clients have gone, by USR1, or the key is no longer what it was.
 * Limits:  SERVE_CLIENTS_MAX; others are closed at once, and connect by themselves. */
#ifndef AFAR_SHARE_SERVE_H
#define AFAR_SHARE_SERVE_H

#include "afar/options.h"

enum { SERVE_CLIENTS_MAX = 64 };

/* Returns the program's exit status. */
int share_serve(const struct options *options);

#endif
