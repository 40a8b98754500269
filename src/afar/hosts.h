/* ~/.config/afar/hosts: short names of servers, and what is needed to connect to each.
 *
 *     [build-7]                            [*.lab]
 *     endpoint = tls://10.0.0.7:7420       endpoint = tls://%h.example.org
 *     ca = build-ca.pem                    user = builder
 *
 * A section's name is the host that is asked for, or a pattern of fnmatch(3); of each key the first
 * section that fits and has it counts. AFAR_HOSTS names another file, or, empty, none.
 *
 * Owns:    a struct host owns its texts (host_close).
 * Threads: one.
 * Blocks:  as long as the file does.
 * Limits:  lines of HOSTS_LINE_BYTES. */
#ifndef AFAR_HOSTS_H
#define AFAR_HOSTS_H

#include <stdbool.h>

#include "afar/options.h"

enum { HOSTS_LINE_BYTES = 200 }; /* of inih */

enum host_key {
    HOST_ENDPOINT,
    HOST_CA,
    HOST_CERT,
    HOST_KEY,
    HOST_PIN,
    HOST_USER,
    HOST_RECONNECT,
    HOST_SHARE,
    HOST_VIA,
    HOST_KEYS
};

struct host {
    struct {
        char *text;    /* NULL: not said; names of files are whole, and %h is replaced */
        unsigned line; /* of the file */
    } value[HOST_KEYS];
    char *file; /* NULL: there is none */
};

/* False: it has been said what is wrong with the file, or memory is out. host_close in any case. */
bool host_find(struct host *host, const char *name);
void host_close(struct host *host);

const char *host_key_name(enum host_key key);

/* Sets what the command line has not: the endpoint as the host, and the credentials, which point
 * into `host` from then on; and for how long a lost connection is tried again. False: it has been said what is wrong. */
bool host_apply(const struct host *host, struct options *options);

#endif
