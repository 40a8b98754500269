/* ClientHello messages, well-formed or not, as bytes: what a stranger may send to a server.
 *
 *     struct hello hello;
 *     hello_begin(&hello, ciphers, signatures);
 *     hello_groups(&hello, groups, count, unknown);
 *     hello_shares_begin(&hello), hello_share(&hello, …), hello_shares_end(&hello);
 *     hello_end(&hello);
 *     … hello_records(&hello, piece, out, sizeof out) …
 *
 * Owns:    nothing; all of it is in struct hello.
 * Threads: one.
 * Blocks:  never.
 * Limits:  HELLO_MAX_BYTES; beyond that the test fails. */
#ifndef SUPPORT_HELLO_H
#define SUPPORT_HELLO_H

#include <stddef.h>
#include <stdint.h>

enum { HELLO_MAX_BYTES = 160 * 1024, HELLO_X25519 = 29, HELLO_FFDHE2048 = 256 };

struct hello {
    uint8_t bytes[HELLO_MAX_BYTES]; /* the handshake message: type, length, body */
    size_t size;
    size_t extensions_at; /* offset of the contents, after the length; so are: */
    size_t list_at;
    size_t inner_at;
};

/* Begins a TLS 1.3 hello with common signature algorithms and the ALPN afar/1. `ciphers`,
 * `signatures`: the number of unknown values that are put before the known ones. */
void hello_begin(struct hello *hello, size_t ciphers, size_t signatures);

/* supported_groups: `unknown` unknown groups, then these. */
void hello_groups(struct hello *hello, const uint16_t *groups, size_t count, size_t unknown);

/* key_share: any number of shares between begin and end; `data` NULL: random bytes. */
void hello_shares_begin(struct hello *hello);
void hello_share(struct hello *hello, uint16_t group, const uint8_t *data, size_t size);
void hello_shares_end(struct hello *hello);

/* pre_shared_key: `count` identities of `size` bytes each that begin with `ticket` (may be NULL),
 * with binders of 32 bytes. Must be the last extension. */
void hello_tickets(struct hello *hello, const uint8_t *ticket, size_t ticket_size, size_t count,
                   size_t size);

/* An unknown extension of `size` bytes. */
void hello_unknown(struct hello *hello, uint16_t type, size_t size);

/* Fills in the lengths. */
void hello_end(struct hello *hello);

/* Writes the message as records of `piece` bytes each (the last may be shorter). Returns their
 * total size. */
size_t hello_records(const struct hello *hello, size_t piece, uint8_t *out, size_t size);

#endif
