/* Bytes and texts, one after another in a file, for another process of the same program: orders.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file.
 * Limits:  none. */
#ifndef EXEC_PACKED_H
#define EXEC_PACKED_H

#include <stddef.h>

#include "base/error.h"

/* Writes all of it. AFAR_ESYSTEM: "cannot tell `whom` what to do". */
enum afar_status packed_put(int fd, const void *data, size_t size, const char *whom,
                            struct afar_error *err);

/* Each word with its NUL; `words` ends in NULL. Errors as packed_put's. */
enum afar_status packed_put_words(int fd, char *const *words, const char *whom,
                                  struct afar_error *err);

size_t packed_count(char *const *words);

/* The next text from *at on, which lies before `end` with its NUL, and *at behind it. NULL: there
 * is none. */
char *packed_take(char **at, const char *end);

#endif
