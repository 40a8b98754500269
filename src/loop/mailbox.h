/* Messages to a thread's event loop.
 *
 * A message lies inside the object that it is about, at most one under way per object, so that
 * posting cannot fail and a mailbox cannot fill up.
 *
 * Owns:    its eventfd; never the messages.
 * Threads: mailbox_post from any; everything else from the loop's thread. The list is guarded by
 *          `lock`, which is held for a few instructions and never across a callback.
 * Blocks:  never.
 * Limits:  none. */
#ifndef LOOP_MAILBOX_H
#define LOOP_MAILBOX_H

#include <pthread.h>

#include "loop/loop.h"

struct mail {
    struct mail *next;
    void (*deliver)(struct mail *);
};

struct mailbox {
    struct loop *loop;
    struct loop_source source;
    pthread_mutex_t lock;
    struct mail *first; /* guarded by lock */
    struct mail **last; /* guarded by lock; where the next one is hung */
};

/* AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status mailbox_open(struct mailbox *mailbox, struct loop *loop, struct afar_error *err);
void mailbox_close(struct mailbox *mailbox);

/* Delivers what is there now. For the end, when the loop turns no more. */
void mailbox_deliver(struct mailbox *mailbox);

/* mail->deliver will run in the loop's thread, in the order of posting. */
void mailbox_post(struct mailbox *mailbox, struct mail *mail);

#endif
