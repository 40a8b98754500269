#include "keep/crc.h"

#include <string.h>

#define POLYNOMIAL UINT32_C(0x82f63b78) /* Castagnoli's, bits reversed */

/* SSE 4.2 has this polynomial (Intel's manual, volume 2, CRC32), and is ten times as fast. */
#ifdef __x86_64__

static bool processor_has_it(void)
{
    return __builtin_cpu_supports("sse4.2") != 0;
}

__attribute__((target("sse4.2"))) static uint32_t add_by_processor(uint32_t value,
                                                                   const uint8_t *at, size_t size)
{
    uint64_t wide = value;
    uint64_t word = 0;
    for (; size >= sizeof word; size -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    value = (uint32_t)wide;
    for (; size > 0; size--, at++)
        value = __builtin_ia32_crc32qi(value, *at);
    return value;
}

#else

static bool processor_has_it(void)
{
    return false;
}

static uint32_t add_by_processor(uint32_t value, const uint8_t *at, size_t size)
{
    (void)at;
    (void)size;
    return value;
}

#endif

void crc_init(struct crc *crc)
{
    crc->by_processor = processor_has_it();
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++)
            value = (value >> 1) ^ ((value & 1) != 0 ? POLYNOMIAL : 0);
        crc->table[0][byte] = value;
    }
    for (int slice = 1; slice < CRC_SLICES; slice++) {
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = crc->table[slice - 1][byte];
            crc->table[slice][byte] = (before >> 8) ^ crc->table[0][before & 0xff];
        }
    }
}

static uint32_t word_at(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Eight bytes at a time: all output passes through here, at the speed of the disk. */
static uint32_t add_eight(const struct crc *crc, uint32_t value, const uint8_t *at)
{
    uint32_t low = value ^ word_at(at);
    uint32_t high = word_at(at + 4);
    return crc->table[7][low & 0xff] ^ crc->table[6][(low >> 8) & 0xff] ^
           crc->table[5][(low >> 16) & 0xff] ^ crc->table[4][low >> 24] ^
           crc->table[3][high & 0xff] ^ crc->table[2][(high >> 8) & 0xff] ^
           crc->table[1][(high >> 16) & 0xff] ^ crc->table[0][high >> 24];
}

uint32_t crc_add(const struct crc *crc, uint32_t value, const void *data, size_t size)
{
    const uint8_t *at = data;
    value = ~value;
    if (crc->by_processor)
        return ~add_by_processor(value, at, size);
    for (; size >= CRC_SLICES; size -= CRC_SLICES, at += CRC_SLICES)
        value = add_eight(crc, value, at);
    for (; size > 0; size--, at++)
        value = (value >> 8) ^ crc->table[0][(value ^ *at) & 0xff];
    return ~value;
}
