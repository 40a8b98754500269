/* The wrappers for calls about terminals. */
// wrap: ioctl tcgetattr tcsetattr fchown newlocale
#include "support/inject_internal.h"

#include <locale.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

WRAPS(int, ioctl, int fd, unsigned long request, ...);
WRAPS(int, tcgetattr, int fd, struct termios *modes);
WRAPS(int, tcsetattr, int fd, int when, const struct termios *modes);
WRAPS(int, fchown, int fd, uid_t user, gid_t group);
WRAPS(locale_t, newlocale, int mask, const char *name, locale_t base);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    int failure = FAILURE(CALL_IOCTL);
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return failure != 0 ? inject_fail(failure) : __real_ioctl(fd, request, argument);
}

int __wrap_tcgetattr(int fd, struct termios *modes)
{
    int failure = FAILURE(CALL_TCGETATTR);
    return failure != 0 ? inject_fail(failure) : __real_tcgetattr(fd, modes);
}

int __wrap_tcsetattr(int fd, int when, const struct termios *modes)
{
    int failure = FAILURE(CALL_TCSETATTR);
    return failure != 0 ? inject_fail(failure) : __real_tcsetattr(fd, when, modes);
}

int __wrap_fchown(int fd, uid_t user, gid_t group)
{
    int failure = FAILURE(CALL_FCHOWN);
    return failure != 0 ? inject_fail(failure) : __real_fchown(fd, user, group);
}

locale_t __wrap_newlocale(int mask, const char *name, locale_t base)
{
    int failure = FAILURE(CALL_NEWLOCALE);
    if (failure == 0)
        return __real_newlocale(mask, name, base);
    errno = failure;
    return (locale_t)0;
}
