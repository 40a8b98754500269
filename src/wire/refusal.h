/* Why a request is refused: the codes of an `error` (PROTOCOL.md §9), and a refusal on its way from
 * the code that decides to the code that answers.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  a text of AFAR_ERROR_MESSAGE_BYTES. */
#ifndef WIRE_REFUSAL_H
#define WIRE_REFUSAL_H

#include "base/error.h"

enum refusal_code {
    REFUSAL_NONE,
    REFUSAL_BAD_REQUEST,
    REFUSAL_UNSUPPORTED,
    REFUSAL_DENIED,
    REFUSAL_BUSY,
    REFUSAL_LIMIT,
    REFUSAL_GONE,
    REFUSAL_SUPERSEDED,
    REFUSAL_STALE,
    REFUSAL_CONFLICT,
    REFUSAL_RUNNING,
    REFUSAL_NOT_FOUND,
    REFUSAL_DRAINING,
    REFUSAL_INTERNAL,
    REFUSAL_CODES
};

struct refusal {
    enum refusal_code code; /* REFUSAL_NONE: not refused */
    char text[AFAR_ERROR_MESSAGE_BYTES];
};

/* The code's word in an `error`; "" for REFUSAL_NONE. */
const char *refusal_word(enum refusal_code code);

#endif
