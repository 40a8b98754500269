/* Filling a struct afar_error.
 *
 * Owns:    nothing.
 * Threads: any; the error is the caller's.
 * Blocks:  never.
 * Limits:  AFAR_ERROR_MESSAGE_BYTES. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <afar/error.h>

/* Writes code and message to `err` (may be NULL) and returns the code, so that a failing
 * function can end in `return afar_fail(err, AFAR_EPEER, …);`. sys_errno becomes 0. */
enum afar_status afar_fail(struct afar_error *err, enum afar_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: `sys_errno` is kept, and ": " and its description are added
 * to the message. ENOMEM becomes AFAR_ENOMEM, all others AFAR_ESYSTEM. */
enum afar_status afar_fail_errno(struct afar_error *err, int sys_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the message that is there; `err` may be NULL. Returns its code. */
enum afar_status afar_prefix(struct afar_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "ENOENT" for ENOENT; "E<number>" for a number that libc does not know. The string is static or
 * written to `space`, which must hold 24 bytes. */
const char *errno_name(int sys_errno, char space[24]);

#endif
