/* All rules of a configuration, in its order.
 *
 * Owns:    the rules.
 * Threads: made by one thread; then read-only and shared by references, which any thread may take
 *          and give back: a command that is being started holds on to the rules it was judged by.
 * Blocks:  see rule.h.
 * Limits:  RULES_MAX. */
#ifndef POLICY_RULES_H
#define POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/rule.h"

enum { RULES_MAX = 4096, RULE_NAME_BYTES = 40 };

struct rules;

/* NULL: out of memory. `file`: what messages call the configuration; copied. */
struct rules *rules_new(const char *file);
struct rules *rules_keep(struct rules *rules);
void rules_free(struct rules *rules);

/* The rules that are added from now on stand in another file. AFAR_ENOMEM. */
enum afar_status rules_from(struct rules *rules, const char *file, struct afar_error *err);

/* Begins a rule, whose keys rules_set sets from then on. AFAR_EINVAL: a bad or a taken name, too
 * many. AFAR_ENOMEM. */
enum afar_status rules_begin(struct rules *rules, const char *name, unsigned line,
                             struct afar_error *err);
enum afar_status rules_set(struct rules *rules, const char *key, const char *value,
                           struct afar_error *err);

/* Each rule that names no user gets this one, and so does what runs without any rule. Once, after
 * the last rule. AFAR_ENOMEM. */
enum afar_status rules_set_user(struct rules *rules, const struct user *user,
                                struct afar_error *err);

/* How a command runs where there are no rules: as if by this one, which has no name. NULL: as the
 * server does. `rules` may be NULL. */
const struct rule *rules_otherwise(const struct rules *rules);

/* rule_check of all; the message begins with file and line of the rule. */
enum afar_status rules_check(const struct rules *rules, struct afar_error *err);

/* Adds the 64 digits of each "pin:sha256:…" that some rule is for. AFAR_ENOMEM. */
enum afar_status rules_pins(const struct rules *rules, struct words *pins, struct afar_error *err);
bool rules_have_pin(const struct rules *rules);

/* In all of these `rules` may be NULL, which is none. */
size_t rules_count(const struct rules *rules);
const struct rule *rules_at(const struct rules *rules, size_t at);

/* The file of the first rules_new, and how many there are in all; not of NULL. */
const char *rules_file(const struct rules *rules);
size_t rules_file_count(const struct rules *rules);

#endif
