/* Parses whole numbers: strict, decimal, bounded. Owns nothing; any thread; never blocks. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stdint.h>

#include "base/error.h"

/* Accepts digits only: no sign, space, prefix or exponent. AFAR_EINVAL: not a number from `min` to
 * `max`; err names the text and the range. */
enum afar_status number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value,
                              struct afar_error *err);

#endif
