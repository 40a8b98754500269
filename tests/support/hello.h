/* ClientHellos, well-formed or not, as bytes: what a stranger may send to a server.
 *
 *     struct hello hello;
 *     hello_begin(&hello);
 *     hello_groups(&hello, groups, count);
 *     hello_share(&hello, group, size) … hello_pad(&hello, size);
 *     hello_end(&hello);
 *     … hello_records(&hello, 1, out, sizeof out) …
 *
 * Owns:    nothing; all of it lies in struct hello.
 * Threads: one.
 * Blocks:  never.
 * Limits:  HELLO_MAX_BYTES; the test fails beyond. */
#ifndef SUPPORT_HELLO_H
#define SUPPORT_HELLO_H

#include <stddef.h>
#include <stdint.h>

enum { HELLO_MAX_BYTES = 160 * 1024, HELLO_X25519 = 29, HELLO_FFDHE2048 = 256 };

struct hello {
    uint8_t bytes[HELLO_MAX_BYTES]; /* the handshake message: type, length, body */
    size_t size;
    size_t extensions_at; /* what follows their length; likewise: */
    size_t list_at;
    size_t inner_at;
};

/* TLS 1.3, the signatures of everyday keys, ALPN afar/1; so many further cipher suites and
 * signatures that nobody knows. */
void hello_begin(struct hello *hello, size_t ciphers, size_t signatures);

/* supported_groups: these, after `unknown` that nobody knows. */
void hello_groups(struct hello *hello, const uint16_t *groups, size_t count, size_t unknown);

/* key_share: between the two calls any number of shares; `data` NULL: random bytes. */
void hello_shares_begin(struct hello *hello);
void hello_share(struct hello *hello, uint16_t group, const uint8_t *data, size_t size);
void hello_shares_end(struct hello *hello);

/* pre_shared_key: `count` identities of `size` bytes each that begin like `ticket` (may be NULL),
 * with binders of 32 bytes. The last extension. */
void hello_tickets(struct hello *hello, const uint8_t *ticket, size_t ticket_size, size_t count,
                   size_t size);

/* An extension of that many bytes that nobody knows. */
void hello_unknown(struct hello *hello, uint16_t type, size_t size);

/* Fills in the lengths. */
void hello_end(struct hello *hello);

/* The same in records of `piece` bytes each (the last one may be shorter). Returns how many bytes
 * they take. */
size_t hello_records(const struct hello *hello, size_t piece, uint8_t *out, size_t size);

#endif
