/* What this process may do for the rules: a server that is root may still lack capabilities, as in
 * a container, and then it cannot become another user, or not end what it has started as one.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef POLICY_PRIVILEGES_H
#define POLICY_PRIVILEGES_H

#include "policy/rule.h"

/* AFAR_EINVAL: the rule wants something that this process cannot do. The message names each
 * capability that is missing. */
enum afar_status privileges_check(const struct rule *rule, struct afar_error *err);

#endif
