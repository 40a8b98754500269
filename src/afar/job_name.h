/* Which job is meant: its id, a unique beginning of that (4 letters or more), or once:NAME.
 *
 * Owns nothing; one thread.
 * Blocks:  while the server is asked for its list. */
#ifndef AFAR_JOB_NAME_H
#define AFAR_JOB_NAME_H

#include <stdbool.h>

#include "afar/remote.h"

enum { JOB_NAME_BYTES = 33 };

/* False: it has been said why. */
bool job_name_find(struct remote *remote, const char *text, char job[JOB_NAME_BYTES]);

#endif
