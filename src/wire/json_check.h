/* What cJSON lets pass and we must not: two readers of one text must never see two things.
 *
 * Owns nothing; any thread; never blocks.
 * Limits:  JSON_DEPTH_MAX, JSON_KEYS_MAX keys in one object, JSON_NUMBER_MAX_BYTES. */
#ifndef WIRE_JSON_CHECK_H
#define WIRE_JSON_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct cJSON;

enum {
    JSON_DEPTH_MAX = 8,
    JSON_KEYS_MAX = 1024,
    JSON_NUMBER_MAX_BYTES = 32 /* cJSON itself gives up at 63 */
};

/* Before parsing: exactly one JSON value (RFC 8259) and white space, in UTF-8 without a byte order
 * mark, no NUL and no escaped one, not nested deeper than JSON_DEPTH_MAX (cJSON recurses). What
 * passes here cJSON parses, unless memory is out. AFAR_EPEER says what is wrong and where. */
enum afar_status json_check_text(const uint8_t *text, size_t size, struct afar_error *err);

/* After parsing: no object, at any depth, has the same key twice or too many keys. AFAR_EPEER. */
enum afar_status json_check_keys(const struct cJSON *tree, struct afar_error *err);

/* Both, and the parsing between: *tree is owned by the caller (cJSON_Delete), NULL unless AFAR_OK,
 * and always an object. AFAR_EPEER, AFAR_ENOMEM. */
enum afar_status json_parse_object(struct cJSON **tree, const uint8_t *text, size_t size,
                                   struct afar_error *err);

#endif
