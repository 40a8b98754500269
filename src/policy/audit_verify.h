/* afard --verify-audit: whether an audit log's chain is whole.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file.
 * Limits:  one line in memory. That lines were cut off at the end, only `expected` tells. */
#ifndef POLICY_AUDIT_VERIFY_H
#define POLICY_AUDIT_VERIFY_H

#include "policy/audit.h"

struct audit_verdict {
    uint64_t lines;
    uint64_t first_seq;                /* above 0: the log before it is another file … */
    char first_prev[AUDIT_HASH_BYTES]; /* … whose last hash is this */
    uint64_t last_seq;
    char last_hash[AUDIT_HASH_BYTES];
    uint64_t recordings; /* that are named, and were looked at */
};

/* `expected`: what the last hash must be, or NULL. AFAR_OK: whole, and so are the recordings that it
 * names. AFAR_EPEER: not; the message
 * names the line and says what is wrong. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status audit_verify(const char *path, const char *expected, struct audit_verdict *verdict,
                              struct afar_error *err);

#endif
