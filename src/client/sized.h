/* Converts the structs of include/afar/ that begin with `size` between the program's version (it
 * may have been compiled with other headers) and this version. The rules are in afar/afar.h.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  SIZED_MAX_BYTES. */
#ifndef CLIENT_SIZED_H
#define CLIENT_SIZED_H

#include <stddef.h>

#include "base/error.h"

/* Far more than any such struct will have. A larger `size` was never set, and the struct must not
 * be read. */
enum { SIZED_MAX_BYTES = 4096 };

/* Copies the caller's struct `theirs` to `own` (`own_size` bytes; its size is the first member).
 * Members that the caller's version does not have become 0. AFAR_EINVAL: `theirs` has no size, or
 * sets members that this version does not have. `name` is the struct's, for the message. */
enum afar_status sized_take(void *own, size_t own_size, const void *theirs, const char *name,
                            struct afar_error *err);

/* Sets all of the result struct `theirs` except its size to 0, before it is filled. AFAR_EINVAL: it
 * has no size. */
enum afar_status sized_clear(void *theirs, const char *name, struct afar_error *err);

/* Copies the members of `own` that the caller's version has to `theirs`, which sized_clear has
 * checked. */
void sized_give(void *theirs, const void *own, size_t own_size);

#endif
