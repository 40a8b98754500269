/* A pin as people write it: "sha256:" and 64 hex digits.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef AFAR_PIN_TEXT_H
#define AFAR_PIN_TEXT_H

#include <stdbool.h>

#include <afar/keygen.h>

#define PIN_PREFIX "sha256:"

/* Extracts the digits, in lower case. False: not a pin; `pin` is "" then. */
bool pin_parse(const char *text, char pin[AFAR_PIN_BYTES]);

#endif
