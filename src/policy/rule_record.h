/* What a rule says of recordings of its terminals. For rule.c.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  rule_record_check, on the file system.
 * Limits:  none. */
#ifndef POLICY_RULE_RECORD_H
#define POLICY_RULE_RECORD_H

#include "policy/rule.h"

/* The keys record and record_full. AFAR_EINVAL, AFAR_ENOMEM. */
enum afar_status rule_record_set(struct rule *rule, const char *value, struct afar_error *err);
enum afar_status rule_record_set_full(struct rule *rule, const char *value, struct afar_error *err);

/* What only the whole can show, and the folder. AFAR_EINVAL, AFAR_ESYSTEM. */
enum afar_status rule_record_check(const struct rule *rule, struct afar_error *err);

#endif
