/* Reads the files of rules that the `include` lines of afard.conf(5) name.
 *
 * Owns:    nothing.
 * Threads: the one that loads the configuration.
 * Blocks:  on the file system.
 * Limits:  INCLUDE_FILES_MAX files of one pattern; RULES_MAX rules in all. */
#ifndef POLICY_INCLUDE_H
#define POLICY_INCLUDE_H

#include "policy/config.h"

enum { INCLUDE_FILES_MAX = 1024 };

/* Adds the rules of all files that match the patterns of config->include; for each pattern, in the
 * order of the files' names. A file named without a wildcard must exist, and so must the folder of
 * a pattern; patterns from config_load_defaults are skipped if their folder is missing. No file or
 * its folder may be writable by other users (trusted.h). It is an error if patterns were given but
 * there are no rules in the end: without rules everything would be allowed. AFAR_EINVAL,
 * AFAR_ESYSTEM, AFAR_ENOMEM; AFAR_ELIMIT: a rule's user is in too many groups. */
enum afar_status include_read(struct config *config, struct afar_error *err);

#endif
