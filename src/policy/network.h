/* Networks such as 10.0.0.0/8, and whether an address is in one.
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

/* Parses "ADDRESS" or "ADDRESS/BITS". AFAR_EINVAL: neither, or bits are set behind the prefix: it
 * could be meant as a smaller network. */
enum afar_status network_parse(struct network *network, const char *text, struct afar_error *err);

/* Whether an address is in the network. `address` is written as by address_format (net/address.h):
 * "127.0.0.1:7420", "[fe80::1%eth0]:7420". False for anything else, such as "unix". */
bool network_has(const struct network *network, const char *address);

#endif
