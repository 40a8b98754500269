/* Checks the texts of a request for a terminal: its name, and what goes into the environment.
 *
 * Owns nothing; any thread; never blocks.
 * Limits:  below. */
#ifndef WIRE_PTY_TEXT_H
#define WIRE_PTY_TEXT_H

#include <stdbool.h>

enum {
    PTY_TERM_BYTES = 64 + 1,
    PTY_VALUE_BYTES = 64 + 1,
    PTY_LOCALE_NAME_BYTES = 32,
    PTY_LOCALES_MAX = 16
};

/* True if the text is a valid TERM; a valid value of COLORTERM or of a locale; the name of a locale
 * variable. */
bool pty_is_term(const char *text);
bool pty_is_value(const char *text);
bool pty_is_locale_name(const char *text);

#endif
