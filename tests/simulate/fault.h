/* Faults that are planted, one at a time, to see that the simulation finds them: in the models of
 * the harness by asking fault_is, in the real core by functions that are wrapped at link time.
 *
 * Owns nothing. Threads: one. Blocks: never. Limits: none. */
#ifndef SIMULATE_FAULT_H
#define SIMULATE_FAULT_H

#include <stdbool.h>

enum fault {
    FAULT_NONE,
    FAULT_EPOCH,               /* an attach is fenced by how often the client was attached */
    FAULT_NO_ATTEMPT,          /* attempts are not compared */
    FAULT_NEXT_IS_ACK,         /* what an attach asks for counts as taken */
    FAULT_OFF_BY_ONE,          /* sent again from one frame further */
    FAULT_LOST_ACK,            /* some acknowledgements do nothing */
    FAULT_SECOND_EXEC,         /* a client whose exec was not answered sends it again */
    FAULT_RELEASED_WHEN_SENT,  /* a run ends when its receipt was sent */
    FAULT_DROPPED_WHEN_FULL,   /* output that finds no room is dropped */
    FAULT_OLD_END,             /* the end of any old connection detaches the run */
    FAULT_STDIN_FORGOTTEN,     /* an attach loses input that the command has not read */
    FAULT_STDIN_UNTRIMMED,     /* input that is sent again is taken again */
    FAULT_OLD_ID,              /* frames that are sent again have the old request's id */
    FAULT_HALF_FRAME,          /* a client keeps half a frame of the old connection */
    FAULT_EOF_ONCE,            /* the end of stdin is not sent again */
    FAULT_CLOSE_ONCE,          /* nor is the close of a stream */
    FAULT_CREDIT_OF_RECEIVED,  /* input counts as taken when it has been received */
    FAULT_LOCK_BY_KEEPER,      /* a folder is locked by its keeper, not by who makes it */
    FAULT_KEY_EVICTED,         /* a name is forgotten with the output */
    FAULT_RECEIPT_BEFORE_SYNC, /* the receipt is on disk before the output is */
    FAULT_END_LINE_LOST,       /* marked as audited before the line is written */
    FAULTS
};

const char *fault_name(enum fault fault);

/* What is planted from now on. */
void fault_plant(enum fault fault);
bool fault_is(enum fault fault);

#endif
