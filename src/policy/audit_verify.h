/* afard --verify-audit: whether an audit log's chain is intact.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the log and on the recordings that it names.
 * Limits:  one line in memory; paths of recordings of 511 bytes. Lines missing at the end can be
 *          noticed only with `expected`. */
#ifndef POLICY_AUDIT_VERIFY_H
#define POLICY_AUDIT_VERIFY_H

#include "policy/audit.h"

struct audit_verdict {
    uint64_t lines;
    uint64_t first_seq;                /* above 0: the log continues another file … */
    char first_prev[AUDIT_HASH_BYTES]; /* … whose last hash is this */
    uint64_t last_seq;
    char last_hash[AUDIT_HASH_BYTES];
    uint64_t recordings; /* recordings that the log names and that were checked */
};

/* `expected`: what the last hash must be, or NULL. AFAR_OK: the chain and the recordings that it
 * names are intact. AFAR_EPEER: they are not; the message names the line and says what is wrong.
 * AFAR_ESYSTEM: the log or a recording cannot be read. AFAR_ENOMEM. */
enum afar_status audit_verify(const char *path, const char *expected, struct audit_verdict *verdict,
                              struct afar_error *err);

#endif
