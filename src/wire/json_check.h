/* Rejects JSON that cJSON accepts but that two readers could understand differently.
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

/* Checks the text before parsing: exactly one JSON value (RFC 8259) and white space, in UTF-8
 * without a byte order mark, without a NUL or an escaped NUL, nested no deeper than JSON_DEPTH_MAX
 * (cJSON recurses). cJSON parses every text that passes, unless memory runs out. AFAR_EPEER: err
 * says what is wrong and where. */
enum afar_status json_check_text(const uint8_t *text, size_t size, struct afar_error *err);

/* Checks the tree after parsing. AFAR_EPEER: an object, at any depth, has a key twice or more than
 * JSON_KEYS_MAX keys. */
enum afar_status json_check_keys(const struct cJSON *tree, struct afar_error *err);

/* Checks the text, parses it and checks the tree. The caller owns *tree (cJSON_Delete); it is
 * always an object, and NULL unless AFAR_OK. AFAR_EPEER, AFAR_ENOMEM. */
enum afar_status json_parse_object(struct cJSON **tree, const uint8_t *text, size_t size,
                                   struct afar_error *err);

#endif
