/* What a server offers beyond the minimum of version 1: the field `features` of `pong` and
 * `started`. Each word is the name of a field or message in PROTOCOL.md.
 *
 * Owns nothing; any thread; never blocks. */
#ifndef WIRE_FEATURES_H
#define WIRE_FEATURES_H

#include <stddef.h>

#include "base/error.h"

struct cJSON;

/* A set of features is an unsigned. */
enum feature {
    FEATURE_DETACH = 1 << 0,
    FEATURE_DIGEST = 1 << 1,
    FEATURE_HOME = 1 << 2, /* also login, shell_of, shellc and env_if_allowed */
    FEATURE_KILL = 1 << 3,
    FEATURE_PTY = 1 << 4, /* with `resize` and `pause` */
    FEATURE_RESUME = 1 << 5,
    FEATURE_START_WITHIN_MS = 1 << 6,
    FEATURE_SUBSYSTEM = 1 << 7,
    FEATURE_USER = 1 << 8,
    FEATURE_KEEP = 1 << 9,
    FEATURE_LEAVE = 1 << 10,
    FEATURE_FORWARD = 1 << 11,
    FEATURE_TIMES = 1 << 12
};

/* Enough for all words, as a JSON array or as text. */
enum { FEATURES_BYTES = 256 };

/* Writes the JSON array ["digest","kill"]. */
void features_write(char out[FEATURES_BYTES], unsigned features);

/* Reads the field "features" of `object` into `words`, separated by blanks, for comparing and
 * showing. Skips words with characters other than a-z, 0-9 and _, and words that do not fit in
 * `size` bytes. An absent field gives "". AFAR_EPEER: the field is not an array of strings. */
enum afar_status features_decode(const struct cJSON *object, char *words, size_t size,
                                 struct afar_error *err);

#endif
