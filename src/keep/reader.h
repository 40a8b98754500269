/* What reader.c (connections, bytes, output) and reader_ask.c (what is asked for there) share. For
 * those only. */
#ifndef KEEP_READER_H
#define KEEP_READER_H

#include "keep/keeper_internal.h"

struct reader {
    struct list link;
    struct keeper *keeper;
    struct loop_source source;
    struct decoder decoder;
    struct buffer in;
    struct buffer out;
    bool known;     /* it has shown the token */
    bool drives;    /* keeper->run is its own */
    bool watches;   /* `own` is */
    bool follow;    /* as it has asked: also what comes … */
    uint64_t until; /* … or else what was there */
    bool output;    /* likewise: anything but the end */
    bool times;     /* likewise: and when it was written */
    bool starting;  /* `started` is still to be told */
    bool leaving;   /* nothing comes any more: closed when `out` is empty */
    bool blocked;   /* waits for room in its socket */
    uint64_t id;
    struct run_host own;
    struct spool_cursor cursor; /* of own */
};

/* Nothing comes any more; what is still to be sent is sent. */
void reader_leave(struct reader *reader);

/* What cannot be answered ends the connection: its client comes back. */
void reader_check(struct reader *reader, enum afar_status status);

void reader_refuse(struct reader *reader, uint64_t id, const char *code, const char *text);

/* Whose output it gets; NULL: it has not attached. */
struct run_host *reader_host(struct reader *reader);

/* A frame is sent in part. */
bool reader_inside(struct reader *reader);

/* Does what it asks for. reader_ask.c */
void reader_take(struct reader *reader, const struct message *message, const uint8_t *payload);

#endif
