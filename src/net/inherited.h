/* Sockets that a service manager has opened and hands over when it starts us: the protocol of
 * sd_listen_fds(3), of which its manual says that it is stable and may be implemented anew.
 *
 *     LISTEN_PID=…  our process id, or else all of it is meant for another process
 *     LISTEN_FDS=2  descriptors 3 and 4
 *     LISTEN_FDNAMES=afard.socket:admin
 *
 * Owns:    the descriptors, until they are taken.
 * Threads: inherited_open while there is but one: it changes the environment.
 * Blocks:  never.
 * Limits:  INHERITED_MAX descriptors. */
#ifndef NET_INHERITED_H
#define NET_INHERITED_H

#include "net/endpoint.h"

enum { INHERITED_MAX = ENDPOINT_INHERITED_MAX };

struct inherited;

/* Takes over what LISTEN_FDS says; all of it is close-on-exec from then on, and the variables are
 * gone. *inherited is NULL where nothing was handed over. AFAR_EINVAL: the variables make no sense,
 * or a descriptor is not open; then nothing was closed. AFAR_ENOMEM. */
enum afar_status inherited_open(struct inherited **inherited, struct afar_error *err);

/* Closes what was not taken. NULL is fine. */
void inherited_free(struct inherited *inherited);

/* Gives away the socket that `endpoint` (inherited) names: *fd is the caller's. `inherited` may be
 * NULL. AFAR_EINVAL says which there are. */
enum afar_status inherited_take(struct inherited *inherited, const struct endpoint *endpoint,
                                int *fd, struct afar_error *err);

/* The name of one of those that were not taken, which is closed with it; NULL: there is none left.
 * Borrowed until inherited_free. */
const char *inherited_close_next(struct inherited *inherited);

#endif
