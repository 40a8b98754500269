/* `record =` and `record_full =` of a rule: recording its terminals. For rule.c.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  rule_record_check, on the file system.
 * Limits:  none. */
#ifndef POLICY_RULE_RECORD_H
#define POLICY_RULE_RECORD_H

#include "policy/rule.h"

/* Set the keys record and record_full. AFAR_EINVAL: a bad value, or the key is set already.
 * AFAR_ENOMEM. */
enum afar_status rule_record_set(struct rule *rule, const char *value, struct afar_error *err);
enum afar_status rule_record_set_full(struct rule *rule, const char *value, struct afar_error *err);

/* Checks them against the rest of the rule, and that no other user, nor the rule's user, can write
 * to the folder. AFAR_EINVAL; AFAR_ESYSTEM: the folder cannot be opened. */
enum afar_status rule_record_check(const struct rule *rule, struct afar_error *err);

#endif
