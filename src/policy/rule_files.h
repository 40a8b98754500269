/* What a rule says of files: under which directories they may be read and written.
 *
 * Owns:    nothing.
 * Threads: rules are only read once they have been checked.
 * Blocks:  never.
 * Limits:  RULE_ROOTS_MAX lines' worth of paths in a rule. */
#ifndef POLICY_RULE_FILES_H
#define POLICY_RULE_FILES_H

#include "policy/rule.h"

enum { RULE_ROOTS_MAX = 64 };

/* files = read PATH… or write PATH…; adds. AFAR_EINVAL, AFAR_ENOMEM. */
enum afar_status rule_files_set(struct rule *rule, const char *value, struct afar_error *err);

/* What only the whole rule can show. AFAR_EINVAL. */
enum afar_status rule_files_check(const struct rule *rule, struct afar_error *err);

/* Whether the path is absolute, without "//", "." and ".." and a slash at its end. */
bool rule_path_is_plain(const char *path);

/* The home that "~" stands for: that of the rule's user; without one that of `self`, the server's own
 * user (NULL: not known), as for commands; else HOME. NULL: there is none. Borrowed. */
const char *rule_files_home(const struct rule *rule, const struct user *self);

/* The roots, "r" or "w" before each path, with "~" as the home; none: all that the user may.
 * AFAR_EINVAL: there is no home. AFAR_ENOMEM. `rule` may be NULL. */
enum afar_status rule_files_roots(const struct rule *rule, const struct user *self,
                                  struct words *roots, struct afar_error *err);

/* The root that decides about an absolute path: the longest that it is in. NULL: none. */
const char *rule_files_find(const struct words *roots, const char *path);

#endif
