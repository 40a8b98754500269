/* Requests about kept jobs that need a disk or a keeper: kill, jobs, forget. A companion carries
 * them out, and the answer goes to the conversation if that still exists.
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

/* `message` is a kill or forget of the kept `job`, or jobs (those after the id `job`), and is
 * allowed. `owner` NULL: others' jobs, too. Errors are answered to the client. */
void errand_run(struct native *native, const struct message *message, const char *owner,
                const char *job);

/* The conversation ends: its errands go on without an answer. */
void errands_abandon(struct native *native);

#endif
