/* Decodes the fields of an exec request. For src/wire/ only; other folders use message.h.
 *
 * Owns nothing; any thread; never blocks. */
#ifndef WIRE_EXEC_REQUEST_H
#define WIRE_EXEC_REQUEST_H

#include "wire/message.h"

struct cJSON;

enum {
    EXEC_WORDS_MAX = 4096, /* in JSON; longer lists travel in the payload */
    EXEC_SUBSYSTEM_BYTES = 32
};

/* The caller owns *request (exec_request_free); it is NULL unless AFAR_OK. `payload_bytes` of
 * payload follow, and argc, envc, cwdc and shellc must not ask for more strings than fit there.
 * AFAR_EPEER: a field is missing or wrong; err names it. AFAR_EREFUSED: the client speaks another
 * version of the protocol; err->reason is the code to answer. AFAR_ENOMEM. */
enum afar_status exec_request_decode(struct exec_request **request, const struct cJSON *object,
                                     size_t payload_bytes, struct afar_error *err);

#endif
