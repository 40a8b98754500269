/* Whom a rule is for. A client has names, each with its kind before it, as net/peer.h lists them:
 *
 *     uri:spiffe://prod/ci/runner-7   dns:runner-7.ci.example   email:ann@example.com   cn:ann
 *     pin:sha256:5d41…                uid:1000   gid:100        anonymous
 *
 * A pattern is one of these, with "*" for what has no separator in it ('/' in a uri, '.' in a DNS
 * name, '@' in an address) and "**" for anything; or "any", which is everybody. Pins and numbers
 * have no stars.
 *
 * Owns:    its text.
 * Threads: read-only once parsed; then any.
 * Blocks:  client_pattern_parse, where it looks up a user or group by name.
 * Limits:  a line of the configuration. */
#ifndef POLICY_CLIENT_PATTERN_H
#define POLICY_CLIENT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* A longer name matches no pattern with stars. */
enum { CLIENT_NAME_BYTES = 1024 };

struct client_pattern {
    char *text;     /* "uid:33" where the file says uid:www-data */
    char separator; /* what "*" does not stand for; '\0': it stands for anything */
    bool glob;
    bool fold; /* upper and lower case are the same: DNS names (RFC 4343) */
};

/* AFAR_EINVAL says which kinds there are. AFAR_ENOMEM. */
enum afar_status client_pattern_parse(struct client_pattern *pattern, const char *text,
                                      struct afar_error *err);
void client_pattern_close(struct client_pattern *pattern);

/* A name as a client has it, as a person writes it; *name is the caller's ("uid:33" for
 * uid:www-data). AFAR_EINVAL: no client has a name of this form. AFAR_ENOMEM. */
enum afar_status client_name_parse(char **name, const char *text, struct afar_error *err);

bool client_pattern_match(const struct client_pattern *pattern, char *const *names);

/* The 64 hex digits of a "pin:sha256:…", else NULL. Borrowed. */
const char *client_pattern_pin(const struct client_pattern *pattern);

#endif
