/* The key of a share: identifies the server, and the credentials and demands with which a
 * connection was opened. Two clients share only if their keys are equal, as text.
 *
 * Owns:    the text (share_key_close).
 * Threads: any.
 * Blocks:  as long as looking at files does; reads the file of known servers.
 * Limits:  none. */
#ifndef AFAR_SHARE_KEY_H
#define AFAR_SHARE_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "afar/remote.h"

enum { SHARE_NAME_BYTES = 33 };

struct share_key {
    char *text; /* lines; the first is the URL */
    size_t size;
    char name[SHARE_NAME_BYTES]; /* a hash of the text, for file names; not unique */
};

/* Makes the key of a remote that is open. It includes the files' inodes, sizes and times, so a file
 * that was replaced gives another key. False: this URL cannot be shared, or out of memory. Reports
 * only a file of known servers that cannot be trusted. */
bool share_key_make(struct share_key *key, const struct remote *remote);
/* False: out of memory. */
bool share_key_copy(struct share_key *key, const struct share_key *other);
void share_key_close(struct share_key *key);

bool share_key_equal(const struct share_key *one, const struct share_key *other);

/* The file's absolute name, which the caller frees. NULL: out of memory, or no working
 * directory. */
char *share_absolute(const char *path);

#endif
