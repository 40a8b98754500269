/* The files of rules that `include` lines of afard.conf(5) name.
 *
 * Owns:    nothing.
 * Threads: the one that loads the configuration.
 * Blocks:  on the file system.
 * Limits:  INCLUDE_FILES_MAX files of one pattern; RULES_MAX rules in all. */
#ifndef POLICY_INCLUDE_H
#define POLICY_INCLUDE_H

#include "policy/config.h"

enum { INCLUDE_FILES_MAX = 1024 };

/* Adds the rules of all files that config->include fits, each pattern's in the order of their
 * names. A name without a wildcard must be there, and so must the folder of one with a wildcard,
 * unless it comes from config_load_defaults. No file and no folder of it may be writable by others.
 * Where a pattern was given and there is no rule in the end, it is an error: without rules
 * everything would be allowed. AFAR_EINVAL, AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status include_read(struct config *config, struct afar_error *err);

#endif
