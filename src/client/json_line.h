/* One frame as one line of JSON, for people and programs that read `afar run --json`.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  JSON_LINE_MAX_BYTES, enough for the largest header and payload, all escaped. */
#ifndef CLIENT_JSON_LINE_H
#define CLIENT_JSON_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum { JSON_LINE_MAX_BYTES = 6 * ((1 << 20) + 65536) + 64 };

/* Replaces the contents of `line` (a buffer of that limit) by the header's JSON object and a NUL.
 * The payload is added as the last field: "data" if it is UTF-8, else "data_base64"; neither if it
 * is empty. The header must be one JSON object, as the decoder has checked. Characters that a
 * terminal could obey are escaped everywhere (base/escape.h). AFAR_ELIMIT, AFAR_ENOMEM. */
enum afar_status json_line_render(struct buffer *line, const uint8_t *header, size_t header_size,
                                  const uint8_t *payload, size_t size, struct afar_error *err);

#endif
