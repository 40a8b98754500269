/* afard's command line.
 *
 *     1. options_parse: what to do, and which file to load.
 *     2. options_apply, after the file was loaded: the command line has priority.
 *
 * Owns:    nothing; strings are borrowed from argv.
 * Threads: one, because getopt_long(3) keeps its state in globals.
 * Blocks:  never.
 * Limits:  those of the configuration. */
#ifndef AFARD_OPTIONS_H
#define AFARD_OPTIONS_H

#include <stdbool.h>

#include "afard/explain.h"
#include "policy/config.h"

struct options {
    const char *config_file;          /* NULL: none */
    struct explain_question question; /* identity NULL: --explain was not given */
    const char *verify_audit;         /* the file to check; NULL: --verify-audit was not given */
    const char *expect;               /* the hash of the last line; NULL: any */
    bool print_endpoints;
    bool check;
    bool help;
    bool version;
};

/* Parses the whole line; options_apply checks the values for the configuration. AFAR_EINVAL: an
 * option does not exist, lacks its argument, takes none, or does not fit to the others. */
enum afar_status options_parse(struct options *options, int argc, char **argv,
                               struct afar_error *err);

/* Sets the configuration's values from the line. Listeners on the line replace those in *config.
 * AFAR_EINVAL, AFAR_ENOMEM: as config_set. */
enum afar_status options_apply(struct config *config, int argc, char **argv,
                               struct afar_error *err);

/* The text of --help. */
const char *options_help(void);

#endif
