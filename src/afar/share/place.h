/* Where clients find shares: a folder of the user's, with a socket NAME.sock for each share, its
 * key NAME.key, and a lock NAME.lock, which the share holds while it can be found.
 *
 * The folder is $XDG_RUNTIME_DIR/afar, else /run/user/UID/afar, else /tmp/afar-UID. It is used only
 * if it is the user's and its mode is 0700.
 *
 * Owns:    nothing but struct share_place's descriptors (share_place_leave).
 * Threads: any.
 * Blocks:  never for long.
 * Limits:  paths of 107 bytes, as for sockets; SHARES_MAX in a list. */
#ifndef AFAR_SHARE_PLACE_H
#define AFAR_SHARE_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "afar/share/key.h"

enum { SHARE_PATH_BYTES = 108, SHARES_MAX = 256 };

/* Connects to the share with this key. Returns the socket, which the caller closes, and the share's
 * process; -1: no such share. `pid` may be NULL. */
int share_place_dial(const struct share_key *key, pid_t *pid);

/* True if there is a folder for the share of this key; makes it, if it is missing. */
bool share_place_is_usable(const struct share_key *key);

/* True if a process is or is becoming the share of this key, or if there can be none. */
bool share_place_taken(const struct share_key *key);

struct share_place {
    int lock_fd;
    int listen_fd;               /* -1: not open yet, or no more */
    char path[SHARE_PATH_BYTES]; /* FOLDER/NAME, without the extension */
};

/* Takes the lock, to become the share of this key. False: another process has it, or there is no
 * usable folder. share_place_leave in any case. */
bool share_place_take(struct share_place *place, const struct share_key *key);

/* Writes the key and opens the socket: clients find the share from now on. False: that failed. */
bool share_place_open(struct share_place *place, const struct share_key *key);

/* Removes the files and closes the descriptors: another process can become the share. Also for a
 * place that was not taken. */
void share_place_leave(struct share_place *place);

/* The process that is or is becoming the share of this key; 0: none. */
pid_t share_place_holder(const struct share_key *key);

/* Calls `show` for each share that answers, with its URL, the first line of its key; and for each
 * that is only beginning, with NULL. */
void share_place_each(void (*show)(void *user, const char *url, pid_t pid), void *user);

/* The user and process (`pid` may be NULL) at the other end of the socket. (uid_t)-1: not known. */
uid_t share_peer(int fd, pid_t *pid);

#endif
