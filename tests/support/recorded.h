/* The files of recordings, as tests look at them; what cannot be read fails the test.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  never.
 * Limits:  RECORDED_PATH_BYTES of name. */
#ifndef SUPPORT_RECORDED_H
#define SUPPORT_RECORDED_H

#include <stddef.h>

#include "base/digest.h"

enum { RECORDED_PATH_BYTES = 512 };

/* How many files are in the folder; the path of one of them. */
unsigned recorded_find(const char *folder, char path[RECORDED_PATH_BYTES]);

/* Reads all of a file into `text`, which ends in a NUL then. How long it is. */
size_t recorded_read(const char *path, char *text, size_t size);

/* The SHA-256 of so much. */
void recorded_hash(const char *text, size_t size, char hash[DIGEST_HEX_BYTES]);

#endif
