/* Decodes the messages of runs that can outlive their connection. For src/wire/ only.
 *
 * Owns nothing; any thread; never blocks. Every problem is AFAR_EPEER, and err names the field. */
#ifndef WIRE_MESSAGE_RUN_H
#define WIRE_MESSAGE_RUN_H

#include "wire/message.h"

struct cJSON;

/* If the field is absent and not required, `holder` becomes "". */
enum afar_status message_get_holder(const struct cJSON *object, bool required,
                                    char holder[MESSAGE_HOLDER_BYTES], struct afar_error *err);

/* An absent field gives 0. */
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

/* Decodes the request or the answer. In an answer message->jobs is set, which the message owns.
 * AFAR_ENOMEM. */
enum afar_status message_decode_jobs(struct message *message, const struct cJSON *object,
                                     struct afar_error *err);

#endif
