/* Read before each source file by the analysers of `make lint`, and by nobody else. It tells them
 * what they cannot see: a function that fails returns what it was told to, so never AFAR_OK.
 * Without it they follow paths on which something failed and the caller believes that it did not.
 *
 * Owns nothing; no code; no limits. */
#ifndef SUPPORT_ANALYSE_H
#define SUPPORT_ANALYSE_H

#include "base/error.h"

#define afar_fail(err, code, ...) ((void)(afar_fail)((err), (code), __VA_ARGS__), (code))
#define afar_fail_errno(err, sys_errno, ...) \
    ((afar_fail_errno)((err), (sys_errno), __VA_ARGS__) == AFAR_ENOMEM ? AFAR_ENOMEM : AFAR_ESYSTEM)

#endif
