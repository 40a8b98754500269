/* The fields of a line of the audit log, as JSON. What is too long is cut between two characters,
 * and then two fields follow that say so: KEY_cut, which is true, and KEY_sha256, of the whole.
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

/* Once something has failed, nothing more is added. */
struct audit_text {
    struct buffer *out;
    enum afar_status status;
    struct afar_error *err;
};

/* As it is. */
void audit_text_put(struct audit_text *text, const char *json);

/* ,"KEY":"VALUE"; of at most `most` bytes. Nothing in it can end the string or the line, or be
 * obeyed by a terminal; a byte that is not UTF-8 is \ufffd. NULL: nothing. */
void audit_text_add(struct audit_text *text, const char *key, const char *value, size_t most);

/* The same, but what is not UTF-8 is in hex, as KEY_hex. */
void audit_text_add_exactly(struct audit_text *text, const char *key, const char *value,
                            size_t most);

void audit_text_add_number(struct audit_text *text, const char *key, uint64_t number);

/* ,"KEY":["WORD",…]; of at most `most` bytes, each word counted with its NUL. Of each word what is
 * before `end` ('\0': all of it). Where one is not UTF-8, all of them are in hex, as KEY_hex. The
 * hash is of the words as they would be written, each with a NUL behind it. NULL: nothing. */
void audit_text_add_words(struct audit_text *text, const char *key, char *const *words, char end,
                          size_t most);

#endif
