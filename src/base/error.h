/* Fills in a struct afar_error.
 *
 * Owns:    nothing.
 * Threads: any; the caller owns the error.
 * Blocks:  never.
 * Limits:  AFAR_ERROR_MESSAGE_BYTES. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <afar/error.h>

/* Writes code and message to `err` (may be NULL) and returns the code, so that a failing function
 * can end with `return afar_fail(err, AFAR_EPEER, …);`. Sets sys_errno to 0 and reason to "". */
enum afar_status afar_fail(struct afar_error *err, enum afar_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: stores `sys_errno`, and appends ": " and its description to
 * the message. The code is AFAR_ENOMEM for ENOMEM, otherwise AFAR_ESYSTEM. */
enum afar_status afar_fail_errno(struct afar_error *err, int sys_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Inserts "prefix: " in front of the present message and returns the present code. `err` NULL: does
 * nothing and returns AFAR_EBUG. */
enum afar_status afar_prefix(struct afar_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Returns "ENOENT" for ENOENT, "E<number>" for a number that libc does not know. The string is
 * static or in `space`. */
const char *errno_name(int sys_errno, char space[24]);

#endif
