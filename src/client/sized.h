/* The structs of include/afar/ that begin with `size`: what a program that was compiled with
 * another version's headers passes in, as this version knows it; and back. The rules are in
 * afar/afar.h.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  SIZED_MAX_BYTES. */
#ifndef CLIENT_SIZED_H
#define CLIENT_SIZED_H

#include <stddef.h>

#include "base/error.h"

/* Far more than any of them will have. What is beyond was never set, and must not be read. */
enum { SIZED_MAX_BYTES = 4096 };

/* Copies what the caller has given in `theirs` to `own` (of `own_size` bytes, its size the first
 * member); what the caller does not know is 0. AFAR_EINVAL: `theirs` has no size, or sets what this
 * version does not know. `name` is the struct's, for the message. */
enum afar_status sized_take(void *own, size_t own_size, const void *theirs, const char *name,
                            struct afar_error *err);

/* Before anything is done for the caller: sets all of `theirs` but its size to 0. AFAR_EINVAL: it
 * has no size. */
enum afar_status sized_clear(void *theirs, const char *name, struct afar_error *err);

/* Copies so much of `own` as the caller knows to `theirs`, which sized_clear has seen. */
void sized_give(void *theirs, const void *own, size_t own_size);

#endif
