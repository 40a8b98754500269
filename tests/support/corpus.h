/* Reading a fuzzer's corpus.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the disk.
 * Limits:  16 MiB for each file. */
#ifndef SUPPORT_CORPUS_H
#define SUPPORT_CORPUS_H

#include <stddef.h>
#include <stdint.h>

/* Calls `run` with the content of the file, or of each file in the folder. Returns the number of
 * files, or -1 with errno. Each content is in a block of exactly its size. */
int corpus_replay(const char *path, void (*run)(const uint8_t *data, size_t size));

#endif
