/* Whether this process has the privileges that a rule needs. A server that is root may still lack
 * capabilities, as in a container, and then it cannot become another user, or cannot kill the
 * processes that it has started as another user.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef POLICY_PRIVILEGES_H
#define POLICY_PRIVILEGES_H

#include "policy/rule.h"

/* AFAR_EINVAL: the rule needs something that this process cannot do. If the process is root, the
 * message names the missing capabilities. */
enum afar_status privileges_check(const struct rule *rule, struct afar_error *err);

#endif
