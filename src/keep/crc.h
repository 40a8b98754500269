/* CRC-32C (Castagnoli): detects records that are torn or damaged.
 *
 * Owns:    its table.
 * Threads: read-only after crc_init; then any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef KEEP_CRC_H
#define KEEP_CRC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CRC_SLICES = 8 };

struct crc {
    bool by_processor; /* which has an instruction for it */
    uint32_t table[CRC_SLICES][256];
};

void crc_init(struct crc *crc);

/* Continues from `value`, which is 0 at the beginning. */
uint32_t crc_add(const struct crc *crc, uint32_t value, const void *data, size_t size);

#endif
