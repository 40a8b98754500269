#include "policy/units.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define DURATION_MAX_MS UINT64_C(2147483647)
#define SIZE_MAX_BYTES UINT64_C(9007199254740991)

enum { SHOWN_BYTES = 60, PROCESSORS_MAX = 1024, MILLIS_MIN = 10 };

struct unit {
    const char *name;
    uint64_t factor;
};

/* Parses the digits at the beginning. Returns what follows; NULL: no digits, or above `max`. */
static const char *take_digits(const char *text, uint64_t max, uint64_t *value)
{
    const char *at = text;
    *value = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (*value > (max - digit) / 10)
            return NULL;
        *value = *value * 10 + digit;
    }
    return at == text ? NULL : at;
}

/* Parses a number and a unit. False: bad syntax, or the result is above `max`. */
static bool parse(const char *text, const struct unit *units, size_t count, uint64_t max,
                  uint64_t *result)
{
    uint64_t value = 0;
    const char *rest = take_digits(text, max, &value);
    for (size_t i = 0; rest != NULL && i < count; i++) {
        if (strcmp(rest, units[i].name) != 0 || value > max / units[i].factor)
            continue;
        *result = value * units[i].factor;
        return true;
    }
    return false;
}

enum afar_status duration_parse(const char *text, uint64_t *duration_ms, struct afar_error *err)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    if (parse(text, units, sizeof units / sizeof units[0], DURATION_MAX_MS, duration_ms) &&
        *duration_ms > 0)
        return AFAR_OK;
    return afar_fail(
        err, AFAR_EINVAL,
        "'%.*s' is not a duration from 1ms to 24d: expected a number with ms, s, m, h or d",
        SHOWN_BYTES, text);
}

enum afar_status size_parse(const char *text, uint64_t *size_bytes, struct afar_error *err)
{
    static const struct unit units[] = {
        {"B", 1}, {"K", UINT64_C(1) << 10}, {"M", UINT64_C(1) << 20}, {"G", UINT64_C(1) << 30}};
    *size_bytes = 0;
    if (strcmp(text, "0") == 0 ||
        parse(text, units, sizeof units / sizeof units[0], SIZE_MAX_BYTES, size_bytes))
        return AFAR_OK;
    return afar_fail(err, AFAR_EINVAL,
                     "'%.*s' is not a size: expected a number with B, K, M or G, such as 512M",
                     SHOWN_BYTES, text);
}

enum afar_status processors_parse(const char *text, uint64_t *millis, struct afar_error *err)
{
    uint64_t whole = 0;
    uint64_t part = 0;
    const char *rest = take_digits(text, PROCESSORS_MAX, &whole);
    bool good = rest != NULL;
    if (good && *rest == '.') {
        const char *digits = rest + 1;
        rest = take_digits(digits, 999, &part);
        good = rest != NULL && rest - digits <= 3;
        for (ptrdiff_t i = rest - digits; good && i < 3; i++)
            part *= 10;
    }
    *millis = whole * 1000 + part;
    if (good && *rest == '\0' && *millis >= MILLIS_MIN)
        return AFAR_OK;
    return afar_fail(
        err, AFAR_EINVAL,
        "'%.*s' is not a number of processors: expected one from 0.01 to 1024, such as 0.5 or 2",
        SHOWN_BYTES, text);
}
