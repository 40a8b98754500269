/* Which variables a client may set.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef POLICY_ENV_PATTERN_H
#define POLICY_ENV_PATTERN_H

#include <stdbool.h>

#include "base/error.h"

/* A name, or the beginning of one and a "*" at its end. AFAR_EINVAL: anything else, or one that
 * Afar keeps for itself (AFAR_…). */
enum afar_status env_pattern_check(const char *pattern, struct afar_error *err);

/* Whether it lets the variable of "NAME=value" be set. Those by which a program can be made to run
 * something else (PATH, LD_PRELOAD, BASH_ENV, …) are met by their whole name only, never by "*";
 * AFAR_… by nothing. */
bool env_pattern_match(const char *pattern, const char *entry);

/* True for those. */
bool env_is_dangerous(const char *entry);

/* Whether it matches nearly everything ("*", "P*"): among that are names that no list of dangerous
 * ones can be expected to have. */
bool env_pattern_is_wide(const char *pattern);

#endif
