/* One frame as one line of JSON, for people and programs that read `afar run --json`.
 *
 * Owns nothing; any thread; never blocks.
 * Limits:  JSON_LINE_MAX_BYTES: each byte of the largest payload and header escaped. */
#ifndef CLIENT_JSON_LINE_H
#define CLIENT_JSON_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum { JSON_LINE_MAX_BYTES = 6 * ((1 << 20) + 65536) + 64 };

/* Puts the header's object in place of what `line` holds (a buffer of that limit), with the payload
 * as its last field, and a NUL: "data" where the payload is UTF-8, else "data_base64"; neither
 * where it is empty. The header must be one JSON object, as the decoder let it pass. Characters
 * that a terminal could obey are escaped, wherever they stand (base/escape.h). AFAR_ENOMEM. */
enum afar_status json_line_render(struct buffer *line, const uint8_t *header, size_t header_size,
                                  const uint8_t *payload, size_t size, struct afar_error *err);

#endif
