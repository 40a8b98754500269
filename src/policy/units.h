/* Numbers with a unit, as in rules.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  durations to 24 days (poll(2) counts milliseconds in an int), sizes to 2^53-1 bytes. */
#ifndef POLICY_UNITS_H
#define POLICY_UNITS_H

#include <stdint.h>

#include "base/error.h"

/* "500ms", "30s", "5m", "2h", "1d" → milliseconds, at least 1. The unit is required: a bare 30
 * could be read as seconds or milliseconds. AFAR_EINVAL. */
enum afar_status duration_parse(const char *text, uint64_t *duration_ms, struct afar_error *err);

/* "4096B", "64K", "10M", "2G" → bytes; units are powers of 1,024. The unit is required except for
 * "0": "memory = 512" is hardly meant in bytes. AFAR_EINVAL. */
enum afar_status size_parse(const char *text, uint64_t *size_bytes, struct afar_error *err);

/* "2" or "0.5" processors → thousandths, at least 10; at most three digits after the point.
 * AFAR_EINVAL. */
enum afar_status processors_parse(const char *text, uint64_t *millis, struct afar_error *err);

#endif
