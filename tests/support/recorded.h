/* Recordings as files, for tests; a file that cannot be read fails the test.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  on the disk.
 * Limits:  RECORDED_PATH_BYTES for a path. */
#ifndef SUPPORT_RECORDED_H
#define SUPPORT_RECORDED_H

#include <stddef.h>

#include "base/digest.h"

enum { RECORDED_PATH_BYTES = 512 };

/* Returns how many files are in the folder, and the path of one of them. */
unsigned recorded_find(const char *folder, char path[RECORDED_PATH_BYTES]);

/* Reads a whole file into `text`, NUL-terminated. Returns its size. */
size_t recorded_read(const char *path, char *text, size_t size);

/* The SHA-256 of `size` bytes. */
void recorded_hash(const char *text, size_t size, char hash[DIGEST_HEX_BYTES]);

#endif
