/* The target of a forwarded connection, "host:port", or "[address]:port" for IPv6; and what the
 * server reports about the connection on standard error and by the exit code. See wire/PROTOCOL.md,
 * "forward".
 *
 * Owns nothing; any thread; never blocks.
 * Limits:  a host of 253 bytes (RFC 1035 §2.3.4). */
#ifndef BASE_FORWARD_TARGET_H
#define BASE_FORWARD_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { FORWARD_HOST_BYTES = 254, FORWARD_TEXT_BYTES = 264 };

struct forward_target {
    char host[FORWARD_HOST_BYTES]; /* a name in lower case, or an address without brackets */
    uint16_t port;
    bool is_address;
    bool is_loopback; /* 127.0.0.0/8, ::1, localhost and names below it */
};

/* Parses the text. A name may have only letters, digits and -._; AFAR_EINVAL: err says what is
 * wrong. */
enum afar_status forward_target_parse(struct forward_target *target, const char *text,
                                      struct afar_error *err);

/* The same for a host of `size` bytes and a port that are given separately. */
enum afar_status forward_target_make(struct forward_target *target, const char *host, size_t size,
                                     const char *port, struct afar_error *err);

void forward_target_format(const struct forward_target *target, char text[FORWARD_TEXT_BYTES]);

/* The exit code of a forwarded connection. */
enum forward_end {
    FORWARD_ENDED,       /* both sides have ended the stream */
    FORWARD_BROKEN,      /* the connection was lost: reset, or no answer for too long */
    FORWARD_NOT_FOUND,   /* no connection: the name does not exist, … */
    FORWARD_REFUSED,     /* … no server listens there, … */
    FORWARD_UNREACHABLE, /* … there is no route, … */
    FORWARD_TIMED_OUT,   /* … no answer in time, … */
    FORWARD_FAILED       /* … or another error */
};

/* The first words of lines on standard error; other lines are for people. */
#define FORWARD_CONNECTED "connected " /* followed by the address connected to */
#define FORWARD_EOF "eof " /* followed by the number of bytes of standard output before the end */

#endif
