/* Which job holds which partial file, for another one of the same owner that finds it locked: a
 * client that was killed leaves its session away (protocol/run.h), and its partial files with it.
 *
 * Owns:    its entries; each lies in a list of its job too (partials_leave).
 * Threads: any; one mutex, off the data path, never held across a call of others.
 * Blocks:  never.
 * Limits:  PARTIALS_PER_JOB; of more than that, and where memory is out, nothing is known: they are
 *          let go when their session is over. */
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
    struct list buckets[PARTIALS_BUCKETS]; /* guarded by it, like all the rest */
};

/* Those of one job. */
struct partials_of {
    struct list list;
    size_t count;
    char job[MESSAGE_JOB_ID_BYTES];
};

void partials_init(struct partials *partials);
void partials_close(struct partials *partials);

/* `of`: before the first of its job. */
void partials_begin(struct partials_of *of, const char *job);

/* It holds the file, or lets it go. */
void partials_hold(struct partials *partials, struct partials_of *of, const struct file_key *file);
void partials_let_go(struct partials *partials, struct partials_of *of,
                     const struct file_key *file);
/* It lets all of them go. Also for one that was never begun. */
void partials_leave(struct partials *partials, struct partials_of *of);

/* The job that holds it, other than `asker`. False: none does. */
bool partials_find(struct partials *partials, const struct partials_of *asker,
                   const struct file_key *file, char job[MESSAGE_JOB_ID_BYTES]);

#endif
