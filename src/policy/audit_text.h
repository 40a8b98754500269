/* The fields of a line of the audit log, as JSON. A value that is too long is cut between two
 * characters, and two fields follow it: KEY_cut, which is true, and KEY_sha256, of the whole value.
 *
 * Owns:    nothing; the buffer is the caller's.
 * Threads: one.
 * Blocks:  never.
 * Limits:  the buffer's, and those of each call. For src/policy/ only. */
#ifndef POLICY_AUDIT_TEXT_H
#define POLICY_AUDIT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* Where fields are written to. After the first failure, which `status` and *err have (AFAR_ENOMEM,
 * AFAR_ELIMIT), the functions below do nothing. */
struct audit_text {
    struct buffer *out;
    enum afar_status status;
    struct afar_error *err;
};

/* Appends `json` unchanged. */
void audit_text_put(struct audit_text *text, const char *json);

/* Appends ,"KEY":"VALUE" with at most `most` bytes of the value. Quotes and control characters are
 * escaped, so the value cannot end the string or the line or send a sequence to a terminal; bytes
 * that are not UTF-8 become \ufffd. A value of NULL adds nothing. */
void audit_text_add(struct audit_text *text, const char *key, const char *value, size_t most);

/* The same, but a value that is not UTF-8 is written in hex, with the key KEY_hex. */
void audit_text_add_exactly(struct audit_text *text, const char *key, const char *value,
                            size_t most);

void audit_text_add_number(struct audit_text *text, const char *key, uint64_t number);

/* Appends ,"KEY":["WORD",…] with at most `most` bytes, counting a NUL per word. Each word is
 * written up to its first `end` ('\0': all of it). If one is not UTF-8, all are written in hex,
 * with the key KEY_hex. The hash is over the words up to `end`, each followed by a NUL. NULL adds
 * nothing. */
void audit_text_add_words(struct audit_text *text, const char *key, char *const *words, char end,
                          size_t most);

#endif
