/* What a shared connection is good for: the server and all that was shown and demanded when it was
 * opened. Two clients share only where all of that is the same, as text.
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
    char name[SHARE_NAME_BYTES]; /* of the text, for the names of files; others may have it too */
};

/* The key of a remote that is open. Files count as they are now: one that was replaced is another.
 * False: nothing is to be shared with that URL, or memory is out; nothing was said. */
bool share_key_make(struct share_key *key, const struct remote *remote);
/* False: out of memory. */
bool share_key_copy(struct share_key *key, const struct share_key *other);
void share_key_close(struct share_key *key);

bool share_key_equal(const struct share_key *one, const struct share_key *other);

/* A name of a file as it is from everywhere; the caller's. NULL: out of memory. */
char *share_absolute(const char *path);

#endif
