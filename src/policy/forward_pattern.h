/* `forward =` of a rule: where connections may be forwarded to. A pattern is compared with the
 * client's text, before any name is resolved:
 *
 *     localhost:5432   db.example:5432   *.db.example:5432   **:443   10.0.0.0/8:22   [fd00::/8]:*
 *
 * "*" in a name matches any text without a dot, and "**" any text; "**" alone matches any name or
 * address. A port is a number, a range 8000-8010, or "*".
 *
 * Owns:    its name.
 * Threads: read-only once parsed; then any.
 * Blocks:  never.
 * Limits:  a line of the configuration. */
#ifndef POLICY_FORWARD_PATTERN_H
#define POLICY_FORWARD_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/client_pattern.h"
#include "policy/network.h"
#include "base/forward_target.h"

struct forward_pattern {
    bool any; /* "**" */
    bool is_network;
    struct network network;
    struct client_pattern name; /* otherwise; "dns:…" */
    uint16_t first_port;
    uint16_t last_port;
};

/* AFAR_EINVAL: not a pattern; the message says what was expected. AFAR_ENOMEM. On failure there is
 * nothing to close. */
enum afar_status forward_pattern_parse(struct forward_pattern *pattern, const char *text,
                                       struct afar_error *err);
void forward_pattern_close(struct forward_pattern *pattern);

bool forward_pattern_match(const struct forward_pattern *pattern,
                           const struct forward_target *target);

#endif
