#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set_message(struct afar_error *err, enum afar_status code, int sys_errno,
                        const char *format, va_list args)
{
    err->code = code;
    err->sys_errno = sys_errno;
    err->reason[0] = '\0';
    (void)vsnprintf(err->message, sizeof err->message, format, args);
}

enum afar_status afar_fail(struct afar_error *err, enum afar_status code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        set_message(err, code, 0, format, args);
        va_end(args);
    }
    return code;
}

enum afar_status afar_fail_errno(struct afar_error *err, int sys_errno, const char *format, ...)
{
    enum afar_status code = sys_errno == ENOMEM ? AFAR_ENOMEM : AFAR_ESYSTEM;
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        set_message(err, code, sys_errno, format, args);
        va_end(args);

        size_t used = strlen(err->message);
        char space[128];
        /* _GNU_SOURCE: the GNU strerror_r, which returns the string. */
        const char *text = strerror_r(sys_errno, space, sizeof space);
        (void)snprintf(err->message + used, sizeof err->message - used, ": %s", text);
    }
    return code;
}

enum afar_status afar_prefix(struct afar_error *err, const char *format, ...)
{
    if (err == NULL)
        return AFAR_EBUG;
    char old[AFAR_ERROR_MESSAGE_BYTES];
    memcpy(old, err->message, sizeof old);

    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);

    size_t used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof err->message - used, ": %s", old);
    return err->code;
}

const char *errno_name(int sys_errno, char space[24])
{
    const char *name = strerrorname_np(sys_errno);
    if (name != NULL)
        return name;
    (void)snprintf(space, 24, "E%d", sys_errno);
    return space;
}
