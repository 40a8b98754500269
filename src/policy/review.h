/* Warnings about rules that are valid but doubtful.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file system: not for event loops.
 * Limits:  none. */
#ifndef POLICY_REVIEW_H
#define POLICY_REVIEW_H

#include "policy/rules.h"

/* Adds a line, beginning with file, line and name of the rule, for each rule that lets clients
 * other than root run programs or use files as root because it has no user, and for each directory
 * and program of a rule that does not exist. `rules` may be NULL. AFAR_ENOMEM. */
enum afar_status review_rules(const struct rules *rules, struct words *warnings,
                              struct afar_error *err);

#endif
