/* Finds a job by its id, a unique beginning of the id (4 letters or more), or once:NAME.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  while the server is asked for its list.
 * Limits:  none. */
#ifndef AFAR_JOB_NAME_H
#define AFAR_JOB_NAME_H

#include <stdbool.h>

#include "afar/remote.h"

enum { JOB_NAME_BYTES = 33 };

/* True if a job can have this name: not empty, UTF-8, no control characters. Lists of jobs, by
 * which a name is found, show others as something else. */
bool job_name_is_sound(const char *name);

/* `pty` not NULL: *pty says if the job is on a terminal; NULL: a complete id is taken as it is,
 * without asking the server. False: see err, whose reason is "not_found" or "bad_request" if the
 * server was not at fault. */
bool job_name_find(struct remote *remote, const char *text, char job[JOB_NAME_BYTES], bool *pty,
                   struct afar_error *err);

/* Finds the kept job that was started under this name and has ended; "": none. False: the reason
 * was reported. */
bool job_name_find_ended(struct remote *remote, const char *name, char job[JOB_NAME_BYTES]);

#endif
