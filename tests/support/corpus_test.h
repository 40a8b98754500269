/* A fuzzer's corpus as an ordinary test.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  on the disk.
 * Limits:  those of corpus.h. */
#ifndef SUPPORT_CORPUS_TEST_H
#define SUPPORT_CORPUS_TEST_H

#include <stddef.h>
#include <stdint.h>

/* Replays tests/fuzz/corpus/`target`; fails the test if that is empty. */
void corpus_test(const char *target, void (*run)(const uint8_t *data, size_t size));

#endif
