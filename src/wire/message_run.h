/* The messages of runs that outlive their connection, decoded. For src/wire/ only.
 *
 * Owns nothing; any thread; never blocks. Every problem is AFAR_EPEER with the field's name. */
#ifndef WIRE_MESSAGE_RUN_H
#define WIRE_MESSAGE_RUN_H

#include "wire/message.h"

struct cJSON;

/* Absent and not required: "". */
enum afar_status message_get_holder(const struct cJSON *object, bool required,
                                    char holder[MESSAGE_HOLDER_BYTES], struct afar_error *err);

/* Absent: 0. */
enum afar_status message_get_window_max(const struct cJSON *object, uint64_t *window_max,
                                        struct afar_error *err);

enum afar_status message_decode_started(struct message *message, const struct cJSON *object,
                                        struct afar_error *err);
enum afar_status message_decode_attach(struct message *message, const struct cJSON *object,
                                       struct afar_error *err);
enum afar_status message_decode_attached(struct message *message, const struct cJSON *object,
                                         struct afar_error *err);
enum afar_status message_decode_cut(struct message *message, const struct cJSON *object,
                                    struct afar_error *err);

/* The request, or the answer; then message->jobs is owned by the message. AFAR_ENOMEM. */
enum afar_status message_decode_jobs(struct message *message, const struct cJSON *object,
                                     struct afar_error *err);

#endif
