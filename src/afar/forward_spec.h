/* What is to be forwarded, as ssh(1) writes it: -L [BIND:]PORT:HOST:PORT, -L PATH:HOST:PORT and
 * -D [BIND:]PORT; and for `afar forward` also PORT:PORT and PORT alone, where HOST is localhost.
 *
 * Owns nothing; any thread; never blocks.
 * Limits:  the names of base/forward_target.h. */
#ifndef AFAR_FORWARD_SPEC_H
#define AFAR_FORWARD_SPEC_H

#include <stdbool.h>

#include "base/error.h"
#include "base/forward_target.h"

enum { FORWARD_PATH_BYTES = 108 }; /* unix(7), sun_path */

struct forward_spec {
    bool has_bind;                 /* an address was given: */
    char bind[FORWARD_HOST_BYTES]; /* without brackets; "" or "*": every one */
    uint16_t port;                 /* 0: the kernel chooses */
    char path[FORWARD_PATH_BYTES]; /* of a Unix socket, instead of these; "": none */
    bool dynamic;                  /* each client says where to (SOCKS); else: */
    char target[FORWARD_TEXT_BYTES];
};

/* `brief`: the short forms of `afar forward` are accepted, too. AFAR_EINVAL says what is wrong. */
enum afar_status forward_spec_local(struct forward_spec *spec, const char *text, bool brief,
                                    struct afar_error *err);
enum afar_status forward_spec_dynamic(struct forward_spec *spec, const char *text,
                                      struct afar_error *err);

#endif
