/* Where `afar ssh` is to connect: what stands in the place of ssh's destination, and Afar's own URL.
 *
 * Owns nothing; any thread; never blocks.
 * Limits:  a host of SSH_HOST_BYTES. */
#ifndef AFAR_SSH_DESTINATION_H
#define AFAR_SSH_DESTINATION_H

#include "afar/ssh/options.h"

enum { SSH_HOST_BYTES = 512, SSH_URL_BYTES = 600 };

struct ssh_destination {
    char host[SSH_HOST_BYTES]; /* a name, or an address without brackets; or a URL of Afar's */
    bool is_url;               /* tls://, tcp:// or unix:// */
};

/* Reads "host", "user@host" or "ssh://[user@]host[:port][/]"; the last "@" divides. User and port go
 * to the options, unless they are known. False: `message` says what is wrong. */
bool ssh_destination_parse(struct ssh_destination *destination, struct ssh_options *options,
                           char message[SSH_MESSAGE_BYTES]);

/* tls://HOST:PORT, with brackets where they are needed. `port` NULL: none is written. */
bool ssh_destination_url(char url[SSH_URL_BYTES], const char *host, const char *port);

/* The URL with another port; `port` NULL, or a URL that has none: as it is. */
bool ssh_destination_replace(char out[SSH_URL_BYTES], const char *url, const char *port);

#endif
