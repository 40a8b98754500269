/* Questions about kept jobs that a disk or a keeper has to be asked for: kill, jobs, forget. A
 * companion does, and the answer goes to the conversation if that is still there.
 *
 * Owns:    itself, until it is done.
 * Threads: its worker's; the work, its companion's.
 * Blocks:  never.
 * Limits:  ERRANDS_MAX under way for a conversation. */
#ifndef SERVER_PROTOCOL_ERRAND_H
#define SERVER_PROTOCOL_ERRAND_H

#include <stdbool.h>

#include "wire/message.h"

struct native;

enum { ERRANDS_MAX = 8 };

/* `message` is a kill (of the kept `job`), jobs or forget, which is allowed; `owner` NULL: also
 * others' jobs. */
void errand_run(struct native *native, const struct message *message, const char *owner,
                const char *job);

/* The conversation is going away. */
void errands_abandon(struct native *native);

#endif
