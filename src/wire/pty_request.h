/* The terminal that an exec asks for, and its size.
 *
 * Owns:    plain values.
 * Threads: any.
 * Blocks:  never.
 * Limits:  below; all texts consist of few kinds of characters, so that none has a special meaning
 *          in a shell, a path or a terminal. */
#ifndef WIRE_PTY_REQUEST_H
#define WIRE_PTY_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "wire/pty_text.h"

struct cJSON;

struct screen_size {
    uint16_t rows; /* rows or cols 0: size not known */
    uint16_t cols;
    uint16_t xpixel;
    uint16_t ypixel;
};

struct pty_locale {
    char name[PTY_LOCALE_NAME_BYTES]; /* LANG or LC_… */
    char value[PTY_VALUE_BYTES];
};

struct pty_request {
    char term[PTY_TERM_BYTES];   /* TERM */
    char color[PTY_VALUE_BYTES]; /* COLORTERM; "": none */
    struct screen_size size;
    bool utf8;
    size_t locale_count;
    struct pty_locale locale[PTY_LOCALES_MAX];
};

/* Sets the values that `"pty":true` asks for. */
void pty_request_init(struct pty_request *request);

/* Decodes the field "pty" of an exec. The caller frees *request; it is NULL if the field is absent
 * or false, and after an error. AFAR_EPEER: err names the field ("pty.rows"). AFAR_ENOMEM. */
enum afar_status pty_request_decode(struct pty_request **request, const struct cJSON *object,
                                    struct afar_error *err);

/* Adds the field "pty". False: out of memory. */
bool pty_request_encode(const struct pty_request *request, struct cJSON *object);

/* Decodes rows, cols, xpixel and ypixel of the object whose name in messages is `prefix` ("pty.",
 * or ""). `required`: rows and cols must be there. Members of *size whose field is absent stay.
 * AFAR_EPEER. */
enum afar_status screen_size_decode(struct screen_size *size, const struct cJSON *object,
                                    const char *prefix, bool required, struct afar_error *err);

#endif
