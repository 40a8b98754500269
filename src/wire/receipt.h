/* The fields of the receipt, in an exit frame. For src/wire/ only.
 *
 * Owns nothing; any thread; never blocks. */
#ifndef WIRE_RECEIPT_H
#define WIRE_RECEIPT_H

#include <stdbool.h>

#include <afar/receipt.h>

#include "base/error.h"

struct cJSON;

/* AFAR_EPEER: a field is missing or wrong; err names it. */
enum afar_status receipt_decode(struct afar_receipt *receipt, const struct cJSON *object,
                                struct afar_error *err);

/* Adds the fields to `object`, with the digests if `digest`. False: out of memory. */
bool receipt_encode(const struct afar_receipt *receipt, bool digest, struct cJSON *object);

#endif
