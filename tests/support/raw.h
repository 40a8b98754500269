/* Raw sockets and frames: for what our own clients would not send.
 *
 * Owns:    nothing; descriptors and headers are the caller's.
 * Threads: any.
 * Blocks:  at most until test_deadline_ms; then the test fails.
 * Limits:  none. */
#ifndef SUPPORT_RAW_H
#define SUPPORT_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A blocking TCP socket, connected to 127.0.0.1. */
int raw_connect(uint16_t port);

/* The same from this address of 127.0.0.0/8. */
int raw_connect_from(uint16_t port, const char *source);

void raw_send(int fd, const void *data, size_t size);

/* A frame without payload. */
void raw_send_frame(int fd, const char *header);

/* The same with a formatted header of at most 511 bytes. */
void raw_say(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A frame with payload; the header must contain its size. */
void raw_send_frame_with(int fd, const char *header, const void *payload, size_t size);

/* Reads exactly `size` bytes. False: the peer closed or reset first. */
bool raw_read(int fd, void *data, size_t size);

/* Reads the next frame. Returns its header, NUL-terminated, which the caller frees; NULL: the peer
 * has closed. `payload` may be NULL; else *payload is the payload, which the caller frees (empty if
 * there is none, NULL if the peer has closed). */
char *raw_read_header(int fd, char **payload);

/* Reads until the peer closes; the caller frees the result. */
char *raw_read_rest(int fd, size_t *size);

/* Closes with a reset. */
void raw_reset(int fd);

/* Drops all that the peer sends from now on, so that nothing is acknowledged. False: only root may
 * do this here. */
bool raw_pull_cable(int fd);

#endif
