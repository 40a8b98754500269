/* AFARD_… variables: each key of the configuration by the environment, for containers.
 *
 *     AFARD_LISTEN="tls://0.0.0.0 unix:///run/afard.sock" AFARD_TLS_CERT=/secrets/tls.crt afard
 *
 * Owns:    nothing.
 * Threads: as long as nobody changes the environment.
 * Blocks:  never.
 * Limits:  those of the configuration. */
#ifndef AFARD_VARIABLES_H
#define AFARD_VARIABLES_H

#include "policy/config.h"

/* Takes the blanks and line ends off the ends of the values, in place: a file of variables with
 * CRLF leaves a CR there. */
void variables_trim(char **environment);

/* Sets what the variables of "NAME=value" say, after the file and before the command line;
 * listeners there replace those that *config has. An empty value counts as none. Left alone:
 * AFARD_CONFIG, AFARD_DEFAULTS, and what Kubernetes gives to every pod beside a service that is
 * called afard (AFARD_PORT…, AFARD_SERVICE_…). AFAR_EINVAL names the variable; AFAR_ENOMEM. */
enum afar_status variables_apply(struct config *config, char *const *environment,
                                 struct afar_error *err);

/* AFARD_CONFIG, the file to read where -c does not say; NULL: none. Borrowed. */
const char *variables_config_file(char *const *environment);

/* AFARD_DEFAULTS, the file to read before all others (config_load_defaults); likewise. */
const char *variables_defaults_file(char *const *environment);

#endif
