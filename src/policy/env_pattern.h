/* `env =` of a rule: which variables a client may set.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef POLICY_ENV_PATTERN_H
#define POLICY_ENV_PATTERN_H

#include <stdbool.h>

#include "base/error.h"

/* Checks that the pattern is a name, or the beginning of one with a "*" at its end. AFAR_EINVAL: it
 * is not, or it begins with AFAR: these names are reserved. */
enum afar_status env_pattern_check(const char *pattern, struct afar_error *err);

/* Whether the pattern matches the variable of "NAME=value". A dangerous variable is matched only by
 * its whole name, never by "*"; names that begin with AFAR are never matched. */
bool env_pattern_match(const char *pattern, const char *entry);

/* Whether the variable of "NAME=value" or "NAME" can make programs run other code (PATH,
 * LD_PRELOAD, BASH_ENV, …). The list cannot be complete. */
bool env_is_dangerous(const char *entry);

/* Whether the pattern has fewer than three letters before its "*" ("*", "P*"): it matches so many
 * names that dangerous ones which env_is_dangerous does not know are likely among them. */
bool env_pattern_is_wide(const char *pattern);

#endif
