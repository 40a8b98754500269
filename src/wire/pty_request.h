/* The terminal that an exec asks for, and its size.
 *
 * Owns:    plain values.
 * Threads: any.
 * Blocks:  never.
 * Limits:  below; all text is of few letters, so that none of it can mean anything to a shell, a
 *          path or a terminal. */
#ifndef WIRE_PTY_REQUEST_H
#define WIRE_PTY_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "wire/pty_text.h"

struct cJSON;

struct screen_size {
    uint16_t rows; /* 0, or cols 0: not known */
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

/* What `"pty":true` asks for. */
void pty_request_init(struct pty_request *request);

/* The field "pty" of an exec: *request is owned by the caller (free), NULL where it is absent or
 * false. AFAR_EPEER names the field ("pty.rows"). AFAR_ENOMEM. */
enum afar_status pty_request_decode(struct pty_request **request, const struct cJSON *object,
                                    struct afar_error *err);

/* Adds the field "pty". False: out of memory. */
bool pty_request_encode(const struct pty_request *request, struct cJSON *object);

/* rows, cols, xpixel and ypixel of an object whose name is `prefix` ("pty.", or ""). The first two
 * may be `required`; those that are absent stay. AFAR_EPEER. */
enum afar_status screen_size_decode(struct screen_size *size, const struct cJSON *object,
                                    const char *prefix, bool required, struct afar_error *err);

#endif
