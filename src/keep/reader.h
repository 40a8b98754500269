/* Shared by reader.c (connections, bytes, output), reader_ask.c (requests) and reader_room.c (sizes
 * of windows) only. */
#ifndef KEEP_READER_H
#define KEEP_READER_H

#include "keep/keeper_internal.h"

/* What its windows have grown by. The memory is counted by the server (server/window_pool.h): the
 * keeper asks it for each growth, and says when it holds less. A server that knows nothing of this
 * does not answer the keeper's ping, without which nothing grows. */
struct reader_room {
    bool asking;          /* a growth, and the server has not answered yet */
    size_t window_wanted; /* sizes to grow to; 0: none */
    size_t credit_wanted;
    /* Beyond the initial sizes: what the server was told last, and what it allows. */
    size_t window_told;
    size_t credit_told;
    size_t window_allowed;
    size_t credit_allowed;
};

struct reader {
    struct list link;
    struct keeper *keeper;
    struct loop_source source;
    struct decoder decoder;
    struct buffer in;
    struct buffer out;
    bool known;     /* it has sent the token */
    bool drives;    /* it is the reader that keeper->run serves */
    bool watches;   /* it only reads; `own` serves it */
    bool follow;    /* it also wants output that is still to come */
    uint64_t until; /* if not `follow`: the end of the output when it attached */
    bool output;    /* it wants output; false: only the end */
    bool times;     /* it wants the time of each frame */
    bool starting;  /* it must still be told `started` */
    bool leaving;   /* nothing more is sent but `out`; then it is closed */
    bool blocked;   /* waits for room in its socket */
    uint64_t id;
    struct run_host own;
    struct spool_cursor cursor; /* of own */
    struct reader_room room;
};

/* Closes the connection once what is in `out` has been sent. */
void reader_leave(struct reader *reader);

/* An answer that cannot be made ends the connection; the client connects again. */
void reader_check(struct reader *reader, enum afar_status status);

void reader_refuse(struct reader *reader, uint64_t id, const char *code, const char *text);

/* The run_host whose output it gets; NULL: it has not attached. */
struct run_host *reader_host(struct reader *reader);

/* True if a frame was sent only in part. */
bool reader_inside(struct reader *reader);

/* Handles a request. In reader_ask.c. */
void reader_take(struct reader *reader, const struct message *message, const uint8_t *payload);

/* reader_room.c */

/* Its attach has been answered. */
void room_begin(struct reader *reader);

/* Call room_clock before its run_host is told that something was sent or received, room_ask after
 * something was sent, and room_settle after something was received. */
void room_clock(struct reader *reader);
void room_ask(struct reader *reader);
void room_settle(struct reader *reader);

/* The answer to the ping; and how much the server allows. */
void room_answered(struct reader *reader, const struct message *message);
void room_take(struct reader *reader, const struct message *message);

#endif
