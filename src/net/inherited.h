/* Sockets that a service manager has opened and passes to us when it starts us: the protocol of
 * sd_listen_fds(3), which its manual calls stable and open to other implementations.
 *
 *     LISTEN_PID=…  our process id; otherwise all of it is meant for another process
 *     LISTEN_FDS=2  descriptors 3 and 4
 *     LISTEN_FDNAMES=afard.socket:admin
 *
 * Owns:    the descriptors, until they are taken.
 * Threads: call inherited_open while there is only one thread: it changes the environment.
 * Blocks:  never.
 * Limits:  INHERITED_MAX descriptors. */
#ifndef NET_INHERITED_H
#define NET_INHERITED_H

#include "net/endpoint.h"

enum { INHERITED_MAX = ENDPOINT_INHERITED_MAX };

struct inherited;

/* Takes over the descriptors of LISTEN_FDS: makes them close-on-exec, and removes the variables
 * from the environment, also after an error. *inherited is NULL if nothing was passed; the caller
 * frees it with inherited_free. AFAR_EINVAL: the variables make no sense, or a descriptor is not
 * open; nothing was closed. AFAR_ENOMEM. */
enum afar_status inherited_open(struct inherited **inherited, struct afar_error *err);

/* Closes the descriptors that were not taken. NULL is allowed. */
void inherited_free(struct inherited *inherited);

/* Takes the socket that the (inherited) endpoint names; the caller owns *fd. `inherited` may be
 * NULL. AFAR_EINVAL: there is no such socket; err lists those that there are. */
enum afar_status inherited_take(struct inherited *inherited, const struct endpoint *endpoint,
                                int *fd, struct afar_error *err);

/* Closes one socket that was not taken and returns its name, borrowed until inherited_free. NULL:
 * none is left. */
const char *inherited_close_next(struct inherited *inherited);

#endif
