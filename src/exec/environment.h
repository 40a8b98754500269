/* The environment of a command: the server's own, without the variables that are meant for the
 * server, plus the request's.
 *
 * Owns:    the result is the caller's, freed by environment_free.
 * Threads: any, as long as no thread changes the process's environment.
 * Blocks:  never.
 * Limits:  none of its own; execve(2) has some. */
#ifndef EXEC_ENVIRONMENT_H
#define EXEC_ENVIRONMENT_H

#include "base/error.h"

/* PATH, if neither the server nor the request has one: that of login(1) and sshd(8). */
#define ENVIRONMENT_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Merges `base`, the server's environment, `extra`, the request's, and `last`, which overrides both
 * (each NULL-terminated, or NULL); of entries with the same name the last one is used. The result
 * is in no particular order. Omits from base: AFARD_*, AFAR_SERVER, and the variables that systemd
 * sets for a service (LISTEN_*, NOTIFY_SOCKET, WATCHDOG_*, INVOCATION_ID, …). Adds PATH if it is
 * missing. AFAR_ENOMEM. */
enum afar_status environment_build(char ***result, char *const *base, char *const *extra,
                                   char *const *last, struct afar_error *err);
void environment_free(char **environment);

/* The value of `name`, borrowed, or NULL. */
const char *environment_get(char *const *environment, const char *name);

#endif
