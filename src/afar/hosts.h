/* ~/.config/afar/hosts: short names of servers, and how to connect to each.
 *
 *     [build-7]                            [*.lab]
 *     endpoint = tls://10.0.0.7:7420       endpoint = tls://%h.example.org
 *     ca = build-ca.pem                    user = builder
 *
 * A section's name is a host as the user writes it, or a pattern of fnmatch(3). Each key is taken
 * from the first matching section that has it. AFAR_HOSTS names another file, or, if empty, none.
 *
 * Owns:    a struct host owns its strings (host_close).
 * Threads: one.
 * Blocks:  as long as the file does.
 * Limits:  lines of HOSTS_LINE_BYTES. */
#ifndef AFAR_HOSTS_H
#define AFAR_HOSTS_H

#include <stdbool.h>

#include "afar/options.h"

enum { HOSTS_LINE_BYTES = 200 }; /* inih's limit */

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
        char *text;    /* NULL: not set; file names are complete, and %h is replaced */
        unsigned line; /* line number in the file */
    } value[HOST_KEYS];
    char *file; /* NULL: no file */
};

/* Reads the entries for `name`. False: a problem of the file, or out of memory, was reported.
 * host_close in any case. */
bool host_find(struct host *host, const char *name);
void host_close(struct host *host);

const char *host_key_name(enum host_key key);

/* Sets the options that the command line has not set: the endpoint as host, the credentials, which
 * point into `host` from then on, and the time to reconnect. False: a bad value was reported. */
bool host_apply(const struct host *host, struct options *options);

#endif
