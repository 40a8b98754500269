/* What an administrator should hear of rules that can be used as they are: nothing of it is an
 * error.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file system: not for a server that runs.
 * Limits:  none. */
#ifndef POLICY_REVIEW_H
#define POLICY_REVIEW_H

#include "policy/rules.h"

/* Adds a line, with file, line and name in front, for each rule that lets others run programs as
 * root because it has no user, and for each directory and program of a rule that is not there.
 * `rules` may be NULL. AFAR_ENOMEM. */
enum afar_status review_rules(const struct rules *rules, struct words *warnings,
                              struct afar_error *err);

#endif
