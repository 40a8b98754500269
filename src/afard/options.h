/* afard's command line.
 *
 *   1. options_parse says what is to be done, and which file to load.
 *   2. options_apply, after the file was loaded: the command line wins.
 *
 * Owns:    nothing; strings are borrowed from argv.
 * Threads: one, since getopt_long(3) keeps its place in globals.
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
    const char *verify_audit;         /* the file; NULL: not asked for */
    const char *expect;               /* the hash that it must end with; NULL: any */
    bool print_endpoints;
    bool check;
    bool help;
    bool version;
};

/* Reads the whole line; values that belong into the configuration are looked at by options_apply.
 * AFAR_EINVAL: an option that does not exist, lacks its argument, or has one too many. */
enum afar_status options_parse(struct options *options, int argc, char **argv,
                               struct afar_error *err);

/* Sets what the line says. Listeners that are given there replace those that *config has.
 * AFAR_EINVAL, AFAR_ENOMEM as config_set. */
enum afar_status options_apply(struct config *config, int argc, char **argv,
                               struct afar_error *err);

/* What --help prints. */
const char *options_help(void);

#endif
