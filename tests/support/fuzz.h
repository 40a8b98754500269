/* What the fuzz targets do with one input. The fuzzers (tests/fuzz) and the replay of their corpora
 * under gcc (tests/unit/…/test_corpus.c) share this code.
 *
 * Owns:    nothing; each call starts afresh.
 * Threads: any.
 * Blocks:  never. Nothing is spawned: a fuzzer must not reach exec.
 * Limits:  none. A violated property ends the process by abort(). */
#ifndef SUPPORT_FUZZ_H
#define SUPPORT_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* data[0]: size of a piece, minus one; then a stream of frames. */
void fuzz_frame(const uint8_t *data, size_t size);

/* data[0]: lowest bit 1: headed; other bits: size of a piece; then replies. */
void fuzz_tutorial(const uint8_t *data, size_t size);

/* Two bytes, little-endian: the length of a header; then the header and a payload. */
void fuzz_message(const uint8_t *data, size_t size);

/* Output of a program on a terminal. */
void fuzz_modes(const uint8_t *data, size_t size);

/* data[0]: bits 0 to 2: stdin, digest, JSON lines; other bits: size of a piece (0: all in one);
 * then what a server sends to a client that has requested a command. */
void fuzz_client(const uint8_t *data, size_t size);

/* A configuration file. */
void fuzz_config(const uint8_t *data, size_t size);

/* Rules, a line "---", and a request in four lines: the client's names, the words, the environment,
 * the user. */
void fuzz_rules(const uint8_t *data, size_t size);

/* A URL. */
void fuzz_endpoint(const uint8_t *data, size_t size);

/* data[0]: lowest bit 1: the client knows our private requests; then what it sends to an SFTP
 * server after its INIT. Handles are 0, 1, … if the program has a getrandom() that returns
 * zeros. */
void fuzz_sftp(const uint8_t *data, size_t size);

/* data[0]: bits 0 to 6: up (else down), in place, unverified, update, questions, links all, resume.
 * data[1]: size of a piece, minus one; then answers of a server: for each a type, two bytes of
 * length, and the content after the id (type 255: bytes that are not a packet). */
void fuzz_copy(const uint8_t *data, size_t size);

#endif
