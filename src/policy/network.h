/* "10.0.0.0/8": networks, and whether an address is in one.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  numeric IPv4 and IPv6 addresses; an IPv4-mapped IPv6 address counts as the IPv4 one. */
#ifndef POLICY_NETWORK_H
#define POLICY_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct network {
    uint8_t bytes[16]; /* IPv4 as IPv4-mapped */
    unsigned bits;     /* 0 to 128 */
};

/* "ADDRESS" or "ADDRESS/BITS". AFAR_EINVAL; also where bits are set behind the prefix, which
 * somebody would read as a smaller network. */
enum afar_status network_parse(struct network *network, const char *text, struct afar_error *err);

/* `address` as address_format (net/address.h) writes it: "127.0.0.1:7420", "[fe80::1%eth0]:7420".
 * False for anything else, such as "unix". */
bool network_has(const struct network *network, const char *address);

#endif
