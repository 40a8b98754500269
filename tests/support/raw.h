/* Raw sockets and frames: what no client of ours would send.
 *
 * Owns:    nothing; descriptors and headers are the caller's.
 * Threads: any.
 * Blocks:  until test_deadline_ms at most; then the test fails.
 * Limits:  none. */
#ifndef SUPPORT_RAW_H
#define SUPPORT_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A blocking TCP socket, connected to 127.0.0.1. */
int raw_connect(uint16_t port);

/* The same from that address of 127.0.0.0/8. */
int raw_connect_from(uint16_t port, const char *source);

void raw_send(int fd, const void *data, size_t size);

/* A frame without payload. */
void raw_send_frame(int fd, const char *header);

/* The same, of a header of at most 511 bytes. */
void raw_say(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A frame with payload; the header must say its size itself. */
void raw_send_frame_with(int fd, const char *header, const void *payload, size_t size);

/* Reads exactly `size` bytes. False: the peer closed or reset first. */
bool raw_read(int fd, void *data, size_t size);

/* The next frame's header, NUL-terminated, to be freed; NULL where the peer has closed. Its payload
 * (as "size" says) goes to *payload, to be freed (NULL: none wanted or none there). */
char *raw_read_header(int fd, char **payload);

/* The whole rest until the peer closes; to be freed. */
char *raw_read_rest(int fd, size_t *size);

/* Closes with a reset. */
void raw_reset(int fd);

/* Nothing that the peer sends arrives any more, and nothing is acknowledged. False: only root may
 * do this here. */
bool raw_pull_cable(int fd);

#endif
