/* The exec request's fields. For src/wire/ only: the rest of the world uses message.h.
 *
 * Owns nothing; any thread; never blocks. */
#ifndef WIRE_EXEC_REQUEST_H
#define WIRE_EXEC_REQUEST_H

#include "wire/message.h"

struct cJSON;

enum {
    EXEC_WORDS_MAX = 4096, /* in JSON; more travel in the payload */
    EXEC_SUBSYSTEM_BYTES = 32
};

/* *request is owned by the caller, and NULL unless AFAR_OK. `payload_bytes` will follow, and argc,
 * envc and cwdc must not ask for more strings than fit there. AFAR_EPEER names the field.
 * AFAR_EREFUSED: of another version of the protocol; err->reason is the answer's code.
 * AFAR_ENOMEM. */
enum afar_status exec_request_decode(struct exec_request **request, const struct cJSON *object,
                                     size_t payload_bytes, struct afar_error *err);

#endif
