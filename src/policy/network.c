#include "policy/network.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/number.h"

enum { TEXT_BYTES = 64, SHOWN_BYTES = 60, MAPPED_BITS = 96 };

/* Reads a numeric address; IPv4 becomes ::ffff:a.b.c.d. */
static bool parse_address(const char *text, uint8_t bytes[16], bool *is_ipv4)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    *is_ipv4 = inet_pton(AF_INET, text, bytes + sizeof mapped) == 1;
    if (*is_ipv4)
        memcpy(bytes, mapped, sizeof mapped);
    return *is_ipv4 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* The bits of one byte that belong to a prefix of `bits`. */
static uint8_t mask_of(unsigned at, unsigned bits)
{
    if (bits >= at * 8 + 8)
        return 0xff;
    if (bits <= at * 8)
        return 0;
    return (uint8_t)(0xffU << (8 - (bits - at * 8)));
}

enum afar_status network_parse(struct network *network, const char *text, struct afar_error *err)
{
    char address[TEXT_BYTES];
    bool is_ipv4 = false;
    uint64_t bits = 0;
    size_t size = strcspn(text, "/");
    bool good = size < sizeof address;
    if (good) {
        memcpy(address, text, size);
        address[size] = '\0';
        good = parse_address(address, network->bytes, &is_ipv4);
    }
    bits = is_ipv4 ? 32 : 128;
    if (good && text[size] == '/')
        good = number_parse(text + size + 1, 0, bits, &bits, NULL) == AFAR_OK;
    if (!good)
        return afar_fail(err, AFAR_EINVAL,
                         "'%.*s' is neither an address nor a network such as 10.0.0.0/8",
                         SHOWN_BYTES, text);
    network->bits = (unsigned)bits + (is_ipv4 ? MAPPED_BITS : 0);
    for (unsigned i = 0; i < 16; i++) {
        if ((network->bytes[i] & ~mask_of(i, network->bits)) != 0)
            return afar_fail(err, AFAR_EINVAL, "'%.*s' has bits set behind its prefix", SHOWN_BYTES,
                             text);
    }
    return AFAR_OK;
}

bool network_has(const struct network *network, const char *address)
{
    char text[TEXT_BYTES];
    uint8_t bytes[16];
    bool is_ipv4 = false;
    const char *begin = address[0] == '[' ? address + 1 : address;
    /* Without the port and the interface of a link-local address. */
    size_t size = address[0] == '[' ? strcspn(begin, "]%") : strcspn(begin, ":");
    if (size >= sizeof text)
        return false;
    memcpy(text, begin, size);
    text[size] = '\0';
    if (!parse_address(text, bytes, &is_ipv4))
        return false;
    for (unsigned i = 0; i < 16; i++) {
        if (((bytes[i] ^ network->bytes[i]) & mask_of(i, network->bits)) != 0)
            return false;
    }
    return true;
}
