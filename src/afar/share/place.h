/* Where shares are found: a folder of the user's, and in it for each a socket, NAME.sock, with its
 * key beside it, NAME.key, and a lock, NAME.lock, which the share holds while it lives.
 *
 * The folder is $XDG_RUNTIME_DIR/afar, else /run/user/UID/afar, else /tmp/afar-UID: of mode 0700 and
 * the user's own, or there is none.
 *
 * Owns:    nothing, but for struct share_place's descriptors (share_place_leave).
 * Threads: any.
 * Blocks:  never for long.
 * Limits:  names of 107 bytes, as sockets have them; SHARES_MAX in a list. */
#ifndef AFAR_SHARE_PLACE_H
#define AFAR_SHARE_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "afar/share/key.h"

enum { SHARE_PATH_BYTES = 108, SHARES_MAX = 256 };

/* A connection to the share with this key, and its process; -1: there is none. */
int share_place_dial(const struct share_key *key, pid_t *pid);

/* Whether somebody is or becomes the share of this key; true also where there can be none. */
bool share_place_taken(const struct share_key *key);

struct share_place {
    int lock_fd;
    int listen_fd;               /* -1: not yet, or no longer */
    char path[SHARE_PATH_BYTES]; /* without its end */
};

/* Becomes the share of this key. False: another is it, or there is no place. */
bool share_place_take(struct share_place *place, const struct share_key *key);

/* From now on it is found. False: there is no place. */
bool share_place_open(struct share_place *place, const struct share_key *key);

/* From now on it is not; others may become it. Also for one that was not taken. */
void share_place_leave(struct share_place *place);

/* Calls `show` for each that answers, with the first line of its key. */
void share_place_each(void (*show)(void *user, const char *url, pid_t pid), void *user);

/* The user at the other end. (uid_t)-1: not known. */
uid_t share_peer(int fd, pid_t *pid);

#endif
