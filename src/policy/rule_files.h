/* `files =` of a rule: under which directories files may be read and written.
 *
 * Owns:    nothing.
 * Threads: rules are read-only once they have been checked; then any.
 * Blocks:  never.
 * Limits:  RULE_ROOTS_MAX paths in a rule. */
#ifndef POLICY_RULE_FILES_H
#define POLICY_RULE_FILES_H

#include "policy/rule.h"

enum { RULE_ROOTS_MAX = 64 };

/* Adds the paths of a line: files = read PATH… or write PATH…. AFAR_EINVAL: bad syntax or too many
 * paths. AFAR_ENOMEM. */
enum afar_status rule_files_set(struct rule *rule, const char *value, struct afar_error *err);

/* Checks `files` and files_max against the rest of the rule. AFAR_EINVAL: files are not allowed,
 * are allowed together with force or wrapper, a read path is in a write path, or "~" is used
 * without a home. AFAR_ENOMEM. */
enum afar_status rule_files_check(const struct rule *rule, struct afar_error *err);

/* Whether the path is absolute, without "//", "." and "..", and without a slash at its end. */
bool rule_path_is_plain(const char *path);

/* The directory that "~" stands for: the home of the rule's user; if it names none, $HOME; without
 * that the home of `self`, the server's own user (NULL: not known). NULL: there is none. Borrowed.
 * `rule` may be NULL. */
const char *rule_files_home(const struct rule *rule, const struct user *self);

/* Adds the rule's roots to `roots`: each "r" or "w", followed by the path with "~" expanded. None:
 * all files that the user may access. AFAR_EINVAL: the home is not known. AFAR_ENOMEM. The caller
 * closes `roots` in any case. `rule` may be NULL. */
enum afar_status rule_files_roots(const struct rule *rule, const struct user *self,
                                  struct words *roots, struct afar_error *err);

/* The root that applies to an absolute path: the longest that contains it. NULL: none. Borrowed. */
const char *rule_files_find(const struct words *roots, const char *path);

#endif
