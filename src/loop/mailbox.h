/* Messages to a thread's event loop.
 *
 * A message lies inside the object that it is about. An object has at most one message under way,
 * so posting cannot fail and a mailbox cannot fill up.
 *
 * Owns:    its eventfd; never the messages.
 * Threads: mailbox_post from any; everything else from the loop's thread. `lock` guards the list;
 *          it is held for a few instructions and never during a callback.
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
    struct mail **last; /* guarded by lock; where the next message is linked */
};

/* AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status mailbox_open(struct mailbox *mailbox, struct loop *loop, struct afar_error *err);
void mailbox_close(struct mailbox *mailbox);

/* Delivers the messages that are there now. For shutdown, when the loop does not turn any more. */
void mailbox_deliver(struct mailbox *mailbox);

/* mail->deliver will run in the loop's thread, in the order of posting. */
void mailbox_post(struct mailbox *mailbox, struct mail *mail);

#endif
