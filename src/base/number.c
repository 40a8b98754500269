#include "base/number.h"

#include <inttypes.h>

enum afar_status number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value,
                              struct afar_error *err)
{
    uint64_t sum = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (sum > (UINT64_MAX - digit) / 10)
            break; /* the overflowing digit remains, so the text is refused below */
        sum = sum * 10 + digit;
    }
    if (at == text || *at != '\0' || sum < min || sum > max)
        return afar_fail(err, AFAR_EINVAL,
                         "'%s' is not a whole number from %" PRIu64 " to %" PRIu64, text, min, max);
    *value = sum;
    return AFAR_OK;
}
