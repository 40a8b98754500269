/* Parses the destination of `afar ssh`: ssh's forms, and Afar's own URLs.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  a host of SSH_HOST_BYTES. */
#ifndef AFAR_SSH_DESTINATION_H
#define AFAR_SSH_DESTINATION_H

#include "afar/ssh/options.h"

enum { SSH_HOST_BYTES = 512, SSH_URL_BYTES = 600 };

struct ssh_destination {
    char host[SSH_HOST_BYTES]; /* a name, an address without brackets, or Afar's URL */
    bool is_url;               /* tls://, tcp://, unix:// or udp:// */
};

/* Parses options->destination: "host", "user@host", "ssh://[user@]host[:port][/]" or "[user@]URL"
 * with a URL of Afar's; the last "@" separates, but for what is in such a URL. User and port are set
 * in the options, unless set before. False: `message` says what is wrong. */
bool ssh_destination_parse(struct ssh_destination *destination, struct ssh_options *options,
                           char message[SSH_MESSAGE_BYTES]);

/* Makes tls://HOST:PORT, with brackets if needed. `port` NULL: without a port. False: too long. */
bool ssh_destination_url(char url[SSH_URL_BYTES], const char *host, const char *port);

/* Copies the URL with another port; unchanged if `port` is NULL or it is a Unix socket's. False:
 * too long. */
bool ssh_destination_replace(char out[SSH_URL_BYTES], const char *url, const char *port);

#endif
