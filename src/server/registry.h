/* All jobs of the server by their id, so that any connection can signal any of them.
 *
 * Owns:    nothing; an entry lies inside its job, which its worker owns.
 * Threads: any; one mutex, off the data path, never held across a callback.
 * Blocks:  never.
 * Limits:  max_jobs entries, claimed before anything is spawned. */
#ifndef SERVER_REGISTRY_H
#define SERVER_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/list.h"
#include "wire/message.h"

struct registry;

struct registry_entry {
    struct list link;              /* guarded by the registry */
    char id[MESSAGE_JOB_ID_BYTES]; /* fixed once added */
    pid_t leader;                  /* guarded; 0: nothing to signal (not yet started, or reaped) */
    bool killed;                   /* guarded; a kill request has reached it */
};

/* NULL: out of memory. */
struct registry *registry_new(size_t max_jobs);
void registry_free(struct registry *registry);

/* Gives the entry a fresh random id and a place. AFAR_ELIMIT: max_jobs are there. AFAR_ESYSTEM. */
enum afar_status registry_add(struct registry *registry, struct registry_entry *entry,
                              struct afar_error *err);

/* The job runs; it can be signalled from now on. */
void registry_set_leader(struct registry *registry, struct registry_entry *entry, pid_t leader);

/* Must come before the leader is reaped, because its pid may be a stranger's afterwards. Tells
 * whether it was killed by request. */
bool registry_clear_leader(struct registry *registry, struct registry_entry *entry);

void registry_remove(struct registry *registry, struct registry_entry *entry);

/* Signals the process group of a job. False: no such job runs. */
bool registry_signal(struct registry *registry, const char *id, int number);

size_t registry_count(struct registry *registry);

#endif
