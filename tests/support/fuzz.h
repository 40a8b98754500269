/* What the fuzz targets do with one input. The bodies are here so that the fuzzers (tests/fuzz) and
 * the replay of their corpora under gcc (tests/unit/…/test_corpus.c) are the same code.
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

/* Two bytes, little-endian: the length of a header; then the header, then a payload. */
void fuzz_message(const uint8_t *data, size_t size);

/* What a program writes to its terminal. */
void fuzz_modes(const uint8_t *data, size_t size);

/* data[0]: bits 0 to 2 for stdin, digest, lines of JSON, the others are the bytes in one piece (0:
 * all); then what a server says to a client that has asked for a command. */
void fuzz_client(const uint8_t *data, size_t size);

/* A configuration file. */
void fuzz_config(const uint8_t *data, size_t size);

/* Rules, a line "---", and a request in four lines: the client's names, the words, the environment,
 * the user. */
void fuzz_rules(const uint8_t *data, size_t size);

/* A URL. */
void fuzz_endpoint(const uint8_t *data, size_t size);

/* data[0]: the lowest bit is 1 for a client that knows our private requests; then what it sends to
 * an SFTP server behind its INIT. Handles are 0, 1, … where the program has a getrandom() that gives
 * zeros. */
void fuzz_sftp(const uint8_t *data, size_t size);

/* data[0]: bits 0 to 6 for up (else down), in place, unverified, update, questions, links all,
 * resume;
 * data[1]: bytes in one piece, less one; then answers of a server: for each a type, two bytes of
 * length, and what stands behind its id (type 255: bytes that are no packet). */
void fuzz_copy(const uint8_t *data, size_t size);

#endif
