/* Included before each source file by the analysers of `make lint` only. Tells them what they
 * cannot see: afar_fail returns its code argument, so never AFAR_OK. Without this they follow paths
 * on which a call has failed and the caller believes that it succeeded.
 *
 * Owns:    nothing.
 * Threads: none: no code.
 * Blocks:  never.
 * Limits:  none. */
#ifndef SUPPORT_ANALYSE_H
#define SUPPORT_ANALYSE_H

#include "base/error.h"

#define afar_fail(err, code, ...) ((void)(afar_fail)((err), (code), __VA_ARGS__), (code))
#define afar_fail_errno(err, sys_errno, ...) \
    ((afar_fail_errno)((err), (sys_errno), __VA_ARGS__) == AFAR_ENOMEM ? AFAR_ENOMEM : AFAR_ESYSTEM)

#endif
