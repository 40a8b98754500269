/* The environment of a command: the server's own, without what concerns only the server, and then
 * the request's.
 *
 * Owns:    the result is the caller's, freed by environment_free.
 * Threads: any, as long as nobody changes the process's environment.
 * Blocks:  never.
 * Limits:  none of its own; execve(2) has some. */
#ifndef EXEC_ENVIRONMENT_H
#define EXEC_ENVIRONMENT_H

#include "base/error.h"

/* Where there is none: what login(1) and sshd(8) give to everyone. */
#define ENVIRONMENT_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* `base` is the server's environment, `extra` the request's, `last` what neither of them can change
 * (each NULL-terminated, or NULL); of two entries with one name the later counts. In no particular
 * order. Left out of base: AFARD_*, AFAR_SERVER, LISTEN_FDS and its like, NOTIFY_SOCKET, WATCHDOG_*: they speak
 * to the server. PATH is added where there is none. AFAR_ENOMEM. */
enum afar_status environment_build(char ***result, char *const *base, char *const *extra,
                                   char *const *last, struct afar_error *err);
void environment_free(char **environment);

/* The value of `name`, borrowed, or NULL. */
const char *environment_get(char *const *environment, const char *name);

#endif
