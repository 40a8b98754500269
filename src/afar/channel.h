/* One forwarded connection on the client's side: carries bytes between our standard input and
 * output and a target that the server connects to. Parses what the server reports about it on
 * standard error.
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
    /* Called once, when the connection is made, before its first byte is written. May be NULL. */
    void (*connected)(void *user);
    void *user;
    /* The rest is private. */
    bool is_connected;
    bool has_eof; /* the other side ends after eof_at bytes */
    uint64_t eof_at;
    uint64_t written;
    bool closed;                   /* our output is to be closed, or was */
    enum forward_end end;          /* how it ended, from the exit code */
    char said[CHANNEL_LINE_BYTES]; /* the server's last line for people */
    char line[CHANNEL_LINE_BYTES];
    size_t used;
};

/* Takes a piece of the channel's standard error. */
void channel_hear(struct channel *channel, const void *data, size_t size);

/* Output is coming, so the connection is made even if standard error has not said so. */
void channel_sees_output(struct channel *channel);

/* `size` bytes of output were written. */
void channel_wrote(struct channel *channel, size_t size);

/* True, once, when the other side has ended and all of its bytes were written. Then call
 * channel_close_output. */
bool channel_output_is_over(struct channel *channel);

/* Makes the reader of our standard output see its end. */
void channel_close_output(void);

/* Connects unless connected, asks for `target` as `user` (NULL: the server chooses) and carries
 * bytes until the end. `channel` is initialised by the caller. Returns 0, or 255: the reason was
 * reported. */
int channel_run(struct remote *remote, const char *target, const char *user,
                struct channel *channel);

#endif
