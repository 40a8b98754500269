/* What cJSON lets pass and we must not: two readers of one text must never see two things.
 *
 * Owns nothing; any thread; never blocks.
 * Limits:  JSON_DEPTH_MAX, JSON_KEYS_MAX keys in one object. */
#ifndef WIRE_JSON_CHECK_H
#define WIRE_JSON_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct cJSON;

enum { JSON_DEPTH_MAX = 8, JSON_KEYS_MAX = 1024 };

/* Before parsing: UTF-8, no NUL and no escaped one (cJSON would cut the string there), not nested
 * deeper than JSON_DEPTH_MAX (cJSON recurses), only white space after the end. AFAR_EPEER. */
enum afar_status json_check_text(const uint8_t *text, size_t size, struct afar_error *err);

/* After parsing: no object, at any depth, has the same key twice or too many keys. AFAR_EPEER. */
enum afar_status json_check_keys(const struct cJSON *tree, struct afar_error *err);

#endif
