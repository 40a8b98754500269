/* Which job holds which partial file, so that another job of the same owner that finds the file
 * locked can end the holder: a client that was killed leaves its run away (protocol/run.h), and
 * that holds its partial files.
 *
 * Owns:    its entries; each also lies in a list of its job (partials_leave).
 * Threads: any; one mutex, off the data path, never held across a callback.
 * Blocks:  never.
 * Limits:  PARTIALS_PER_JOB. Files beyond that, or without memory, are not entered: their holder
 *          keeps them until its run is over. */
#ifndef SERVER_PARTIALS_H
#define SERVER_PARTIALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "wire/file_note.h"
#include "wire/message.h"

enum { PARTIALS_PER_JOB = 256, PARTIALS_BUCKETS = 64 };

struct partials {
    pthread_mutex_t lock;
    struct list buckets[PARTIALS_BUCKETS]; /* guarded by lock, like all the rest */
};

/* The partial files of one job. */
struct partials_of {
    struct list list;
    size_t count;
    char job[MESSAGE_JOB_ID_BYTES];
};

void partials_init(struct partials *partials);
void partials_close(struct partials *partials);

/* Before the job's first file. */
void partials_begin(struct partials_of *of, const char *job);

/* The job now holds the file, or has let it go. */
void partials_hold(struct partials *partials, struct partials_of *of, const struct file_key *file);
void partials_let_go(struct partials *partials, struct partials_of *of,
                     const struct file_key *file);
/* The job lets go of all its files. Does nothing for an all-zero `of`. */
void partials_leave(struct partials *partials, struct partials_of *of);

/* Finds a job other than `asker` that holds the file. False: none does. */
bool partials_find(struct partials *partials, const struct partials_of *asker,
                   const struct file_key *file, char job[MESSAGE_JOB_ID_BYTES]);

#endif
