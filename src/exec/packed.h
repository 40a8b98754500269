/* Orders for another process of the same program: bytes and strings, one after another in a file.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file.
 * Limits:  none. */
#ifndef EXEC_PACKED_H
#define EXEC_PACKED_H

#include <stddef.h>

#include "base/error.h"

/* Writes all of the data. AFAR_ESYSTEM: "cannot tell `whom` what to do". */
enum afar_status packed_put(int fd, const void *data, size_t size, const char *whom,
                            struct afar_error *err);

/* Writes each word with its NUL; `words` is NULL-terminated. Errors as packed_put. */
enum afar_status packed_put_words(int fd, char *const *words, const char *whom,
                                  struct afar_error *err);

/* How many words there are before the NULL. */
size_t packed_count(char *const *words);

/* Returns the string at *at and moves *at behind its NUL, which must be before `end`. NULL: there
 * is no whole string. */
char *packed_take(char **at, const char *end);

#endif
