/* One forwarded connection, seen from the client: between our standard input and output and a place
 * that the server connects to. What the server tells of it by standard error is taken apart here.
 *
 * Owns:    nothing; standard input and output are the process's.
 * Threads: one.
 * Blocks:  channel_run, until both directions have ended.
 * Limits:  lines of CHANNEL_LINE_BYTES. */
#ifndef AFAR_CHANNEL_H
#define AFAR_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "afar/remote.h"
#include "base/forward_target.h"

enum { CHANNEL_LINE_BYTES = 640 };

struct channel {
    /* The connection is made; before the first byte of it. May be NULL. */
    void (*connected)(void *user);
    void *user;
    /* The rest is this module's. */
    bool is_connected;
    bool has_eof; /* the other side ends after eof_at bytes */
    uint64_t eof_at;
    uint64_t written;
    bool closed;                   /* our output was ended */
    enum forward_end end;          /* by its exit code */
    char said[CHANNEL_LINE_BYTES]; /* the last line for a person */
    char line[CHANNEL_LINE_BYTES];
    size_t used;
};

/* Some of its standard error. */
void channel_hear(struct channel *channel, const void *data, size_t size);

/* Output comes, which tells that it is connected, whatever has been heard. */
void channel_sees_output(struct channel *channel);

/* So much of it was written. */
void channel_wrote(struct channel *channel, size_t size);

/* All that there will be has been written: once. Then channel_close_output. */
bool channel_output_is_over(struct channel *channel);

/* Whoever reads our standard output reads its end. */
void channel_close_output(void);

/* Connects where that was not done yet, asks for `target` as `user` (NULL: nobody in particular) and
 * carries bytes until the end. `channel` is as it was initialised. 0, or SSH_STATUS's 255: it has
 * been said why. */
int channel_run(struct remote *remote, const char *target, const char *user,
                struct channel *channel);

#endif
