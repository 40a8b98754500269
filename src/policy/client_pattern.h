/* Which clients a rule is for. A client has names, each with a prefix for its kind (net/peer.h):
 *
 *     uri:spiffe://prod/ci/runner-7   dns:runner-7.ci.example   email:ann@example.com   cn:ann
 *     pin:sha256:5d41…                uid:1000   gid:100        anonymous
 *
 * A pattern is a name in which "*" matches any text without the separator of its kind ('/' in a
 * uri, '.' in a DNS name, '@' in an email address; a cn has none) and "**" matches any text; or
 * "any", which matches every client. Pins and numbers cannot have stars.
 *
 * Owns:    its text.
 * Threads: read-only once parsed; then any.
 * Blocks:  client_pattern_parse and client_name_parse, if they look up a user or group by name.
 * Limits:  a line of the configuration. */
#ifndef POLICY_CLIENT_PATTERN_H
#define POLICY_CLIENT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* A longer name matches no pattern of the kinds uri, dns, email and cn. */
enum { CLIENT_NAME_BYTES = 1024 };

struct client_pattern {
    char *text;     /* "uid:33" if the file says uid:www-data */
    char separator; /* the character that "*" does not match; '\0': "*" matches any text */
    bool glob;      /* uri, dns, email and cn: may contain stars */
    bool fold;      /* ignores case: DNS names (RFC 4343) */
};

/* AFAR_EINVAL: not a name or pattern, or there is no such user or group. AFAR_ESYSTEM: these cannot
 * be looked up. AFAR_ENOMEM. On failure there is nothing to close. */
enum afar_status client_pattern_parse(struct client_pattern *pattern, const char *text,
                                      struct afar_error *err);
void client_pattern_close(struct client_pattern *pattern);

/* Turns a name that a person wrote into the form in which clients have it: "uid:33" for
 * uid:www-data. The caller frees *name. AFAR_EINVAL: no client has a name of this form. Other
 * errors as client_pattern_parse. */
enum afar_status client_name_parse(char **name, const char *text, struct afar_error *err);

/* Whether the pattern matches one of the names (NULL-terminated). */
bool client_pattern_match(const struct client_pattern *pattern, char *const *names);

/* The 64 hex digits of a "pin:sha256:…"; NULL for other kinds. Borrowed from the pattern. */
const char *client_pattern_pin(const struct client_pattern *pattern);

#endif
