/* Where a forwarded connection leads: "host:port", or "[address]:port" of IPv6; and what the server
 * says of it by its standard error and its exit code. See wire/PROTOCOL.md,
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
    char host[FORWARD_HOST_BYTES]; /* in lower case; a name, or an address without brackets */
    uint16_t port;
    bool is_address;
    bool is_loopback; /* 127.0.0.0/8, ::1, localhost and names below it: no resolver is asked */
};

/* Names have letters, digits and -._ only. AFAR_EINVAL says what is wrong. */
enum afar_status forward_target_parse(struct forward_target *target, const char *text,
                                      struct afar_error *err);

/* The same, its two parts being apart. */
enum afar_status forward_target_make(struct forward_target *target, const char *host, size_t size,
                                     const char *port, struct afar_error *err);

void forward_target_format(const struct forward_target *target, char text[FORWARD_TEXT_BYTES]);

/* The exit code of a forwarded connection. */
enum forward_end {
    FORWARD_ENDED,       /* both sides have ended it */
    FORWARD_BROKEN,      /* it was lost: reset, or without an answer for too long */
    FORWARD_NOT_FOUND,   /* never made: no such name, … */
    FORWARD_REFUSED,     /* … nobody listens there, … */
    FORWARD_UNREACHABLE, /* … no way there, … */
    FORWARD_TIMED_OUT,   /* … no answer in time, … */
    FORWARD_FAILED       /* … or something else */
};

/* Lines of its standard error; any other is for a person. */
#define FORWARD_CONNECTED "connected " /* … and the address that it was made to */
#define FORWARD_EOF "eof " /* … and how many bytes of standard output come before it */

#endif
