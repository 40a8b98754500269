/* Parses what is to be forwarded, as ssh(1) writes it: -L [BIND:]PORT:HOST:PORT, -L PATH:HOST:PORT
 * and -D [BIND:]PORT; for `afar forward` also PORT:PORT and PORT alone, for which HOST is
 * localhost. Also the HOST:PORT of -W.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  the names of base/forward_target.h. */
#ifndef AFAR_FORWARD_SPEC_H
#define AFAR_FORWARD_SPEC_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/forward_target.h"

enum { FORWARD_PATH_BYTES = 108 }; /* unix(7), sun_path */

struct forward_spec {
    bool has_bind;                 /* an address was given: `bind` */
    char bind[FORWARD_HOST_BYTES]; /* without brackets; "" or "*": every address */
    uint16_t port;                 /* 0: the kernel chooses */
    char path[FORWARD_PATH_BYTES]; /* a Unix socket, instead of these; "": none */
    bool made;                     /* by us, at `path` (set by forwards_listen): this file */
    dev_t device;
    ino_t inode;
    bool dynamic; /* each client names its target (SOCKS); else: */
    char target[FORWARD_TEXT_BYTES];
};

/* `brief`: also accept the short forms of `afar forward`. AFAR_EINVAL: *err says what is wrong. */
enum afar_status forward_spec_local(struct forward_spec *spec, const char *text, bool brief,
                                    struct afar_error *err);
enum afar_status forward_spec_dynamic(struct forward_spec *spec, const char *text,
                                      struct afar_error *err);

/* HOST:PORT, as a server takes it. Brackets may be around any HOST, because ssh(1) writes
 * -W [%h]:%p. */
enum afar_status forward_spec_stdio(char target[FORWARD_TEXT_BYTES], const char *text,
                                    struct afar_error *err);

#endif
