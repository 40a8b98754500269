/* Which job is meant: its id, a unique beginning of that (4 letters or more), or once:NAME.
 *
 * Owns nothing; one thread.
 * Blocks:  while the server is asked for its list. */
#ifndef AFAR_JOB_NAME_H
#define AFAR_JOB_NAME_H

#include <stdbool.h>

#include "afar/remote.h"

enum { JOB_NAME_BYTES = 33 };

/* *pty: it is on a terminal; NULL: that is of no account, and a whole id is not asked for. False: it
 * has been said why. */
bool job_name_find(struct remote *remote, const char *text, char job[JOB_NAME_BYTES], bool *pty);

/* The kept job that has been started by this name and has ended; "": there is none. False: it has
 * been said why. */
bool job_name_find_ended(struct remote *remote, const char *name, char job[JOB_NAME_BYTES]);

#endif
