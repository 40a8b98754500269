/* Shared by the encoders of messages: builds a header and appends it as one whole frame. For
 * src/wire/ only.
 *
 * Owns nothing; any thread; never blocks.
 * Limits:  FRAME_HEADER_MAX_BYTES, FRAME_PAYLOAD_MAX_BYTES, and the buffer's: AFAR_ELIMIT.
 *          AFAR_ENOMEM. After an error nothing has been appended. */
#ifndef WIRE_PUT_H
#define WIRE_PUT_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"

struct cJSON;

enum afar_status put_frame(struct buffer *out, const char *header, size_t header_bytes,
                           const void *payload, size_t size, struct afar_error *err);

/* For headers of numbers and fixed words, where nothing needs escaping. AFAR_EBUG: the header
 * exceeds PUT_PLAIN_BYTES. */
enum { PUT_PLAIN_BYTES = 768 };
enum afar_status put_plain(struct buffer *out, const void *payload, size_t size,
                           struct afar_error *err, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* A JSON object with "type" and, if `has_id`, "id"; put_object frees it. NULL: out of memory. */
struct cJSON *put_new_object(const char *type, bool has_id, uint64_t id);

/* Appends `object` as a frame, and frees it in any case. `ok` false: building it failed, and the
 * result is AFAR_ENOMEM. AFAR_EINVAL: something in it is not UTF-8. */
enum afar_status put_object(struct buffer *out, struct cJSON *object, bool ok, const void *payload,
                            size_t size, struct afar_error *err);

enum afar_status put_out_of_memory(struct afar_error *err);
enum afar_status put_not_utf8(struct afar_error *err);

#endif
