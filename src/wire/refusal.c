#include "wire/refusal.h"

const char *refusal_word(enum refusal_code code)
{
    static const char *const words[REFUSAL_CODES] = {
        [REFUSAL_NONE] = "",
        [REFUSAL_BAD_REQUEST] = "bad_request",
        [REFUSAL_UNSUPPORTED] = "unsupported",
        [REFUSAL_DENIED] = "denied",
        [REFUSAL_BUSY] = "busy",
        [REFUSAL_LIMIT] = "limit",
        [REFUSAL_GONE] = "gone",
        [REFUSAL_SUPERSEDED] = "superseded",
        [REFUSAL_STALE] = "stale",
        [REFUSAL_CONFLICT] = "conflict",
        [REFUSAL_RUNNING] = "running",
        [REFUSAL_NOT_FOUND] = "not_found",
        [REFUSAL_DRAINING] = "draining",
        [REFUSAL_INTERNAL] = "internal",
    };
    return words[code];
}
