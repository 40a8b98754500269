/* AFARD_… variables: set any key of the configuration from the environment, for containers.
 *
 *     AFARD_LISTEN="tls://0.0.0.0 unix:///run/afard.sock" AFARD_TLS_CERT=/secrets/tls.crt afard
 *
 * Owns:    nothing.
 * Threads: any, while no thread changes the environment.
 * Blocks:  never.
 * Limits:  those of the configuration. */
#ifndef AFARD_VARIABLES_H
#define AFARD_VARIABLES_H

#include "policy/config.h"

/* Removes blanks and line ends at both ends of the values, in place, as in the configuration file;
 * a file of variables with CRLF leaves a CR there. */
void variables_trim(char **environment);

/* Sets keys from "NAME=value" variables, after the file and before the command line; listeners in a
 * variable replace those in *config. An empty value is ignored. Not keys: AFARD_CONFIG,
 * AFARD_DEFAULTS, and the variables that Kubernetes sets for a service called afard (AFARD_PORT…,
 * AFARD_SERVICE_…). AFAR_EINVAL: err names the variable; AFAR_ENOMEM. */
enum afar_status variables_apply(struct config *config, char *const *environment,
                                 struct afar_error *err);

/* AFARD_CONFIG: the file to read if -c is not given; NULL: none. Borrowed. */
const char *variables_config_file(char *const *environment);

/* AFARD_DEFAULTS: the file to read before all others (config_load_defaults); NULL: none.
 * Borrowed. */
const char *variables_defaults_file(char *const *environment);

#endif
