/* All rules of a configuration, in order.
 *
 * Owns:    the rules.
 * Threads: made by one thread; then read-only and reference-counted; any thread may take and drop
 *          references: a command that is being started keeps the rules that allowed it.
 * Blocks:  see rule.h.
 * Limits:  RULES_MAX. */
#ifndef POLICY_RULES_H
#define POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/rule.h"

enum { RULES_MAX = 4096, RULE_NAME_BYTES = 40 };

struct rules;

/* Makes an empty list with one reference. `file`: the name of the configuration in messages;
 * copied. NULL: out of memory. */
struct rules *rules_new(const char *file);

/* Takes a reference and returns `rules`. NULL is fine. */
struct rules *rules_keep(struct rules *rules);

/* Drops a reference; the last one frees the rules. NULL is fine. */
void rules_free(struct rules *rules);

/* Sets the file of the rules that are added from now on. AFAR_ENOMEM. */
enum afar_status rules_from(struct rules *rules, const char *file, struct afar_error *err);

/* Adds a rule. AFAR_EINVAL: a bad or a taken name, or too many rules. AFAR_ENOMEM. */
enum afar_status rules_begin(struct rules *rules, const char *name, unsigned line,
                             struct afar_error *err);

/* Sets a key of the rule that was added last (rule_set). */
enum afar_status rules_set(struct rules *rules, const char *key, const char *value,
                           struct afar_error *err);

/* Gives the user to each rule that names none, and to rules_otherwise. Call it once, after the last
 * rule. AFAR_ENOMEM. */
enum afar_status rules_set_user(struct rules *rules, const struct user *user,
                                struct afar_error *err);

/* If there are no rules, commands run as if by this rule, which has no name. NULL: they run as the
 * server's user. `rules` may be NULL. */
const struct rule *rules_otherwise(const struct rules *rules);

/* rule_check of all rules; the message begins with file and line of the rule. Not with NULL. */
enum afar_status rules_check(const struct rules *rules, struct afar_error *err);

/* Adds the 64 digits of each "pin:sha256:…" that a rule is for. `rules` may be NULL.
 * AFAR_ENOMEM. */
enum afar_status rules_pins(const struct rules *rules, struct words *pins, struct afar_error *err);

/* Whether a rule is for a "pin:sha256:…". `rules` may be NULL. */
bool rules_have_pin(const struct rules *rules);

/* How many rules there are (NULL: 0), and one of them, below that number. */
size_t rules_count(const struct rules *rules);
const struct rule *rules_at(const struct rules *rules, size_t at);

/* The `file` of rules_new, and how many files there are with it. Not with NULL. */
const char *rules_file(const struct rules *rules);
size_t rules_file_count(const struct rules *rules);

#endif
