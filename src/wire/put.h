/* What encoders of messages share: a header, and one whole frame of it. For src/wire/ only.
 *
 * Owns nothing; any thread; never blocks.
 * Limits:  FRAME_HEADER_MAX_BYTES, FRAME_PAYLOAD_MAX_BYTES, and the buffer's: AFAR_ELIMIT. Nothing
 *          is added unless all of the frame is. */
#ifndef WIRE_PUT_H
#define WIRE_PUT_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"

struct cJSON;

enum afar_status put_frame(struct buffer *out, const char *header, size_t header_bytes,
                           const void *payload, size_t size, struct afar_error *err);

/* For headers of numbers and fixed words, where nothing needs escaping: at most PUT_PLAIN_BYTES. */
enum { PUT_PLAIN_BYTES = 768 };
enum afar_status put_plain(struct buffer *out, const void *payload, size_t size,
                           struct afar_error *err, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* With "type" and "id". NULL: out of memory. */
struct cJSON *put_new_object(const char *type, bool has_id, uint64_t id);

/* Frees `object`. `ok`: whether building it succeeded; otherwise AFAR_ENOMEM. AFAR_EINVAL:
 * something in it is not UTF-8. */
enum afar_status put_object(struct buffer *out, struct cJSON *object, bool ok, const void *payload,
                            size_t size, struct afar_error *err);

enum afar_status put_out_of_memory(struct afar_error *err);
enum afar_status put_not_utf8(struct afar_error *err);

#endif
