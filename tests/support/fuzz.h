/* What the fuzz targets do with one input. The bodies are here so that the fuzzers (tests/fuzz) and
 * the replay of their corpora under gcc (tests/unit/wire/test_corpus.c) are the same code.
 *
 * Owns:    nothing; each call starts afresh.
 * Threads: any.
 * Blocks:  never, and nothing is spawned: no fuzzer may reach an exec.
 * Limits:  none. A broken promise ends the process by abort(). */
#ifndef SUPPORT_FUZZ_H
#define SUPPORT_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* data[0]: bytes in one piece, less one; then a stream of frames. */
void fuzz_frame(const uint8_t *data, size_t size);

/* data[0]: the lowest bit is 1 for headed, the others are the bytes in one piece; then replies. */
void fuzz_tutorial(const uint8_t *data, size_t size);

/* A URL. */
void fuzz_endpoint(const uint8_t *data, size_t size);

#endif
