/* Partial files of copies: what is not complete yet of a file NAME is `.NAME.afar-TAG` beside it,
 * the tag in hexadecimal.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  partial_sweep, on the file system.
 * Limits:  partial_sweep reads PARTIAL_SWEEP_MAX entries of the directory. */
#ifndef BASE_PARTIAL_H
#define BASE_PARTIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum {
    PARTIAL_TAG_BYTES = 8,
    PARTIAL_NAME_BYTES = 256, /* with its NUL */
    /* Larger directories are left alone: a copy of many files would read them again and again. */
    PARTIAL_SWEEP_MAX = 10000,
    PARTIAL_RESUMED_BYTES = 1 << 20, /* only larger files leave partial ones, to go on with */
    /* Who was cut goes on soon, if at all. */
    PARTIAL_OLD_SECONDS = 24 * 60 * 60
};

/* Makes the name of a partial file; of a long NAME it has the first 232 bytes. */
void partial_name(const char *name, const uint8_t tag[PARTIAL_TAG_BYTES],
                  char out[PARTIAL_NAME_BYTES]);

/* Removes partial files of `name` in the directory that other copies have left: they are ours (by
 * effective user), not locked, and were last written more than PARTIAL_OLD_SECONDS before `now`.
 * Calls on_removed, if there is one, for each. Failures only leave a file where it is. */
void partial_sweep(int dir, const char *name, time_t now,
                   void (*on_removed)(void *user, const char *partial), void *user);

#endif
